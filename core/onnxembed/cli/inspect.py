"""Say what a name or a folder stands for, and which file says so.

Kind, stages, prompts, limits, the files with their sizes, and the file and key that each fact comes from. Nothing is
fetched but a list of files and small JSON files.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator

from onnxembed.cli.model_options import add_model, add_source
from onnxembed.description import ModelDescription, describe
from onnxembed.kinds import KINDS

_SHOWN = 88


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the model, the choices among what it ships, and the form of the output."""
    add_model(parser)
    parser.add_argument("--kind", choices=[kind.name for kind in KINDS], help="where the files fit several kinds")
    parser.add_argument("--json", action="store_true", help="print a JSON object")
    add_source(parser)


def run(arguments: argparse.Namespace) -> None:
    """Print a few lines, or JSON."""
    found = describe(
        arguments.name,
        arguments.kind,
        cache_dir=arguments.cache_dir,
        local_files_only=arguments.offline,
        revision=arguments.revision,
        model_file=arguments.model_file,
        variant=arguments.variant,
    )
    print(json.dumps(found.as_dict(), indent=2, ensure_ascii=False) if arguments.json else "\n".join(_lines(found)))


def _lines(found: ModelDescription) -> Iterator[str]:
    where = f", commit {found.revision}" if found.revision else ""
    yield f"{found.name} ({found.found_in}{where})"
    made = f"{found.made_from}, variant {found.variant}" if found.made_from == "graph" else found.made_from
    rows = {
        "kind": f"{found.kind} ({found.model_class})",
        "architecture": found.architecture,
        "made from": made,
        "stages": ", ".join(found.stages),
        "limit": "" if found.limit is None else f"{found.limit} tokens",
        **{key: json.dumps(value, ensure_ascii=False) for key, value in found.settings.items() if value},
        "other graphs": ", ".join(found.variants),
    }
    width = max(map(len, rows))
    yield from (f"  {key.ljust(width)}  {value}" for key, value in rows.items() if value)
    yield f"files ({found.bytes_to_fetch:,} bytes to fetch)"
    sizes = ["?" if file.size is None else f"{file.size:,}" for file in found.files]
    most = max(map(len, sizes), default=0)
    for file, size in zip(found.files, sizes, strict=True):
        yield f"  {'here ' if file.here else 'fetch'}  {size.rjust(most)}  {file.name}"
    yield "facts"
    for fact in found.facts:
        value = json.dumps(fact.value, ensure_ascii=False)
        shown = value if len(value) <= _SHOWN else f"{value[:_SHOWN]}..."
        yield f"  {fact.file}: {fact.key} = {shown}{f'  -> {fact.decides}' if fact.decides else ''}"
