"""Look after the cache: list what it holds, verify it, prune what is of no more use. Nothing is asked of the Hub."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable
from typing import Any

from onnxembed.care.cache import (
    GRAPH_PRECISIONS,
    CachedModel,
    CompiledGraph,
    cache_settings,
    cached_models,
    compiled_graphs,
    leftovers,
)
from onnxembed.care.cache import verified as verified_files
from onnxembed.care.held import sees_processes
from onnxembed.care.prune import Prunable, prunable, prune
from onnxembed.cli.table import table
from onnxembed.errors import InputError, IntegrityError
from onnxembed.hub.settings import StoreSettings, cache_root

_ACTIONS = ("list", "verify", "prune")
_SHORT_COMMIT = 12


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what is to be done, with which models, and the form of the output."""
    parser.add_argument("action", choices=_ACTIONS, help="what is to be done")
    parser.add_argument("names", nargs="*", metavar="MODEL", help="verify, prune: only these models")
    parser.add_argument("--cache-dir", metavar="FOLDER", help="where models are kept")
    parser.add_argument("--older-than", type=float, metavar="DAYS", help="prune: what was not used for so many days")
    parser.add_argument("--precision", choices=GRAPH_PRECISIONS, help="prune: compiled graphs of this precision")
    parser.add_argument("--dry-run", action="store_true", help="prune: say what would go, and remove nothing")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> None:
    """Do it and print what was found."""
    settings = cache_settings(arguments.cache_dir)
    if arguments.action != "prune" and (arguments.older_than is not None or arguments.precision or arguments.dry_run):
        raise InputError("--older-than, --precision and --dry-run belong to 'onnxembed cache prune'")
    root = cache_root(settings)
    if root.exists() and not root.is_dir():
        raise InputError(f"the cache {root} is no folder; name one with --cache-dir or ONNXEMBED_CACHE")
    if arguments.action == "list":
        if arguments.names:
            raise InputError("'onnxembed cache list' lists everything; leave the names out")
        _list(settings, as_json=arguments.json)
    elif arguments.action == "verify":
        _verify(settings, arguments.names, as_json=arguments.json)
    else:
        _prune(settings, arguments)


def _list(settings: StoreSettings, *, as_json: bool) -> None:
    models, graphs, left = cached_models(settings), compiled_graphs(settings), leftovers(settings)
    if as_json:
        found = {
            "cache": str(cache_root(settings)),
            "models": [_plain_model(model) for model in models],
            "compiled": [_plain_graph(graph) for graph in graphs],
            "leftovers": [{"what": one.what, "path": str(one.path), "bytes": one.size} for one in left],
        }
        print(json.dumps(found, indent=2, ensure_ascii=False))
        return
    print(f"cache: {cache_root(settings)}")
    if models:
        heads = ("model", "kind", "MB", "last used", "commits")
        print(table(heads, [_model_cells(model) for model in models], numbers=("MB",)))
    if graphs:
        heads = ("compiled graph of", "precision", "MB", "last used", "made by")
        print(table(heads, [_graph_cells(graph) for graph in graphs], numbers=("MB",)))
    print(
        f"{len(models)} models, {_megabytes(models)} MB; {len(graphs)} compiled graphs, {_megabytes(graphs)} MB; "
        f"{len(left)} leftovers of interrupted runs, {_megabytes(left)} MB"
    )


def _model_cells(model: CachedModel) -> tuple[str, ...]:
    commits = (
        f"{commit[:_SHORT_COMMIT]}{f' ({chr(44).join(names)})' if names else ''}" for commit, names in model.commits
    )
    return (model.name, model.kind or "?", _mb(model.size), _day(model.last_used), " ".join(commits))


def _graph_cells(graph: CompiledGraph) -> tuple[str, ...]:
    made = f"onnxembed {graph.version}" if graph.version else "an earlier version"
    stale = "" if graph.is_current else ", not used by this one"
    return (graph.model or "?", graph.precision or "?", _mb(graph.size), _day(graph.last_used), made + stale)


def _verify(settings: StoreSettings, names: list[str], *, as_json: bool) -> None:
    unknown = sorted(set(names) - {model.name for model in cached_models(settings)})
    if unknown:
        raise InputError(f"the cache holds no repository {unknown[0]!r}; 'onnxembed cache list' lists them")
    files = list(verified_files(settings, names))
    wrong = [(name, file) for name, file in files if file.problem]
    if as_json:
        problems = [{"of": name, "path": str(file.path), "problem": file.problem} for name, file in wrong]
        print(json.dumps({"files": len(files), "problems": problems}, indent=2, ensure_ascii=False))
    else:
        for name, file in wrong:
            print(f"{name}: {file.path}: {file.problem}")
        print(f"{len(files)} files, {sum(file.size for _, file in files) / 1e6:,.1f} MB, {len(wrong)} with a problem")
    if wrong:
        raise IntegrityError(
            f"{len(wrong)} files are not as they should be; 'onnxembed cache prune {wrong[0][0].split()[-1]}' removes "
            "the model, and 'onnxembed download' fetches it again"
        )


def _prune(settings: StoreSettings, arguments: argparse.Namespace) -> None:
    items = prunable(settings, arguments.names, older_than=arguments.older_than, precision=arguments.precision)
    if not sees_processes() and items and not arguments.dry_run:
        print("this system does not show which files processes have open: only locks are looked at", file=sys.stderr)
    if arguments.dry_run:
        outcomes = [(item, "would go", "") for item in items]
    else:
        outcomes = [(done.item, "removed" if done.removed else "kept", done.reason) for done in prune(items)]
    gone = [item for item, outcome, _ in outcomes if outcome != "kept"]
    if arguments.json:
        plain = [{**_plain_item(item), "outcome": outcome, "reason": why} for item, outcome, why in outcomes]
        print(json.dumps({"items": plain, "bytes": sum(item.size for item in gone)}, indent=2, ensure_ascii=False))
        return
    for item, outcome, why in outcomes:
        print(f"{outcome}: {item.what}, {_mb(item.size)} MB ({why or item.why})")
    print(f"{len(gone)} {'would go' if arguments.dry_run else 'removed'}, {_megabytes(gone)} MB")


def _plain_model(model: CachedModel) -> dict[str, Any]:
    return {
        "model": model.name,
        "known_as": list(model.known_as),
        "kind": model.kind,
        "source": model.source,
        "path": str(model.path),
        "commits": {commit: list(names) for commit, names in model.commits},
        "bytes": model.size,
        "last_used": _moment(model.last_used),
    }


def _plain_graph(graph: CompiledGraph) -> dict[str, Any]:
    return {
        "model": graph.model,
        "precision": graph.precision,
        "compiler": graph.compiler,
        "version": graph.version,
        "current": graph.is_current,
        "path": str(graph.path),
        "bytes": graph.size,
        "last_used": _moment(graph.last_used),
    }


def _plain_item(item: Prunable) -> dict[str, Any]:
    return {"what": item.what, "why": item.why, "path": str(item.path), "bytes": item.size}


def _megabytes(things: Iterable[Any]) -> str:
    return _mb(sum(thing.size for thing in things))


def _mb(size: int) -> str:
    return f"{size / 1e6:,.1f}"


def _day(seconds: float) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(seconds)) if seconds else ""


def _moment(seconds: float) -> str | None:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds)) if seconds else None
