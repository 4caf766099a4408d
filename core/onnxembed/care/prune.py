"""What may go from the cache, and its removal; what a running process holds stays."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from onnxembed.care.cache import (
    GRAPH_PRECISIONS,
    CachedModel,
    CompiledGraph,
    cached_models,
    compiled_graphs,
    leftovers,
)
from onnxembed.care.held import Held, taken
from onnxembed.errors import InputError, ModelNotFoundError
from onnxembed.hub.disk import remove_tree, write_failure
from onnxembed.hub.settings import StoreSettings, cache_root, own_folder
from onnxembed.suggest import nearest

_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Prunable:
    """Something that may go.

    Attributes:
        what: What it is, for people.
        why: Why it may go.
        path: The file or the folder.
        size: Its bytes.
        further: What goes with it: lists of files, and lock files, which are held while it is removed.
        locks: Lock files of those that may be writing to it.
    """

    what: str
    why: str
    path: Path
    size: int
    further: tuple[Path, ...] = ()
    locks: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Pruned:
    """What became of it.

    Attributes:
        item: What it was.
        removed: Whether it is gone.
        reason: Why it stays; empty where it is gone.
    """

    item: Prunable
    removed: bool
    reason: str


def prunable(
    settings: StoreSettings,
    names: Sequence[str] = (),
    *,
    older_than: float | None = None,
    precision: str | None = None,
) -> tuple[Prunable, ...]:
    """List what may go from a cache.

    Without names, days and precision: graphs that this version of onnxembed does not use, and what interrupted runs
    left. Each of the three adds what it names.

    Args:
        settings: Says where the cache is.
        names: Models, by their repository or by a name of the catalogue, with the graphs made of them.
        older_than: Models and graphs that were not used for so many days.
        precision: Graphs of this precision, one of `GRAPH_PRECISIONS`.

    Returns:
        Each thing once.

    Raises:
        InputError: If a name is that of no model in the cache, the days are negative, or there are no graphs of that
            precision.
    """
    if precision is not None and precision not in GRAPH_PRECISIONS:
        raise InputError(f"precision={precision!r}: expected one of {', '.join(map(repr, GRAPH_PRECISIONS))}")
    if older_than is not None and not older_than >= 0:  # NaN, too
        raise InputError(f"older_than={older_than:g}: expected a number of days, 0 or more")
    models, graphs = cached_models(settings), compiled_graphs(settings)
    chosen = {model.path for name in names for model in _named(name, models)}
    chosen_names = {model.name for model in models if model.path in chosen}
    since = None if older_than is None else time.time() - older_than * _DAY
    found: list[Prunable] = []
    for model in models:
        if model.path in chosen:
            found.append(_model(model, "named", settings))
        elif since is not None and model.last_used < since:
            found.append(_model(model, f"not used for {older_than:g} days", settings))
    for graph in graphs:
        why = _why_graph(graph, chosen_names, since, precision)
        if why is None and not (names or older_than is not None or precision is not None) and not graph.is_current:
            why = "made by another version, which this one does not use"
        if why is not None:
            what = f"{graph.precision or 'compiled'} graph of {graph.model or 'an unknown model'}"
            found.append(Prunable(what, why, graph.path, graph.size, locks=(graph.path / ".lock",)))
    if not (names or older_than is not None or precision is not None):
        found += [
            Prunable(left.what, "an interrupted run left it", left.path, left.size, locks=_locks(left.path, settings))
            for left in leftovers(settings)
        ]
    return tuple(found)


def prune(items: Sequence[Prunable]) -> Iterator[Pruned]:
    """Remove things from the cache, each unless a process writes, maps, or has it open.

    Args:
        items: What `prunable` gave.

    Yields:
        What became of each.

    Raises:
        ModelNotFoundError: If the cache cannot be written.
    """
    for item in items:
        with taken(item.locks) as free:
            if not free:
                yield Pruned(item, removed=False, reason="another process is writing to it")
                continue
            held = Held()
            if any(held.within(path) for path in (item.path, *item.further)):
                yield Pruned(item, removed=False, reason="a running process has it open")
                continue
            try:
                for path in (item.path, *item.further):
                    remove_tree(path)
            except OSError as error:
                raise ModelNotFoundError(write_failure(item.path, error)) from error
        yield Pruned(item, removed=True, reason="")


def _why_graph(graph: CompiledGraph, chosen: set[str], since: float | None, precision: str | None) -> str | None:
    if graph.model in chosen:
        return "made of a model that was named"
    if since is not None and graph.last_used < since:
        return "not used for so many days"
    return f"in {precision}" if precision is not None and graph.precision == precision else None


def _named(name: str, models: Sequence[CachedModel]) -> list[CachedModel]:
    folded = name.casefold()
    found = [
        model for model in models if folded in {model.name.casefold(), *(known.casefold() for known in model.known_as)}
    ]
    if not found:
        names = [known for model in models for known in (model.name, *model.known_as)]
        raise InputError(f"the cache holds no model {name!r}.{nearest(name, names)} 'onnxembed cache list' lists them")
    return found


def _model(model: CachedModel, why: str, settings: StoreSettings) -> Prunable:
    own, name = own_folder(settings), model.path.name
    further: tuple[Path, ...] = ()
    if model.source == "hub":
        further = (own / "listings" / name, own / "partial" / name, *_linked(model.path, own))
    return Prunable(f"model {model.name}", why, model.path, model.size, further, _locks(model.path, settings))


def _linked(folder: Path, own: Path) -> list[Path]:
    """The folders of hard links to contents of a repository, which would keep their space."""
    contents = {_identity(path) for path in (folder / "blobs").glob("*")}
    return [one for one in sorted((own / "linked").glob("*")) if any(_identity(p) in contents for p in one.glob("*"))]


def _identity(path: Path) -> tuple[int, int]:
    status = path.lstat()
    return status.st_dev, status.st_ino


def _locks(path: Path, settings: StoreSettings) -> tuple[Path, ...]:
    """The lock files of those that may be writing: ours, and those of the Hub's own client."""
    own, root = own_folder(settings), cache_root(settings)
    repository = next((part.name for part in (path, *path.parents) if part.name.startswith("models--")), None)
    if repository is not None:
        theirs = sorted((root / ".locks" / repository).glob("*.lock"))
        return (own / "locks" / f"{repository}.lock", *theirs)
    return (path / ".lock", path.with_name(f"{path.name.removesuffix('.staging')}.lock"))
