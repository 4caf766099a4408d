"""The page of architectures, measured: each small model of ``tests/golden/rows`` against what its library computed.

python scripts/architecture_table.py           measure all rows and rewrite docs/architectures.md
python scripts/architecture_table.py --check   fail when the page names other architectures, heads, kinds or numbers of
                                               models than the rows, or a difference above the bound; measures nothing
"""

from __future__ import annotations

import argparse
import logging
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnxembed
from onnxembed.compile import compile_model
from onnxembed.errors import OnnxEmbedError
from onnxembed.hub.files import FolderFiles
from onnxembed.kinds import kind_named
from onnxembed.spec import GraphHead, ModelSpec

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # the rows' reader lies with the tests

from tests.fixtures.model_rows import CLASSES, ROWS, Row, computed, difference, read_row, write_row  # noqa: E402

PAGE = ROOT / "docs" / "architectures.md"
_SHIPPED = (GraphHead.VECTORS, GraphHead.CLASSIFICATION, GraphHead.OWN_VECTOR, GraphHead.PICTURE_VECTOR)
"""Heads whose graphs give what published graphs give; those of other heads give the logits instead."""
BOUND = 1e-6
"""The largest difference that the page may show, in units of the largest number or of 1."""
_HEAD = """\
# Architectures

Any repository of the Hub, or folder, whose architecture stands here works from its `safetensors` weights, without
PyTorch: the graph is compiled on the first use. With an ONNX file in the repository, any architecture works, since the
graph has it inside.

Each line is measured: small models with random weights, saved by the library that made them, are loaded from their
files, and embed the same 20 texts (or 6 pictures). The largest difference to that library's float32 results is given
relative to the largest number, or to 1. "ONNX" is the same model as a graph in its folder, without its weights; that
column is empty for tables, and for models whose published graphs give logits that are made into the result here.

This page is written by `python scripts/architecture_table.py`.

| architecture | head | kind | models | safetensors | ONNX | measured against |
|---|---|---|--:|--:|--:|---|
"""
_LINE = re.compile(r"\| (?P<key>[^|]+ \| [^|]+ \| [^|]+) \| (?P<models>\d+) \| (?P<numbers>[^|]* \| [^|]*) \|")


@dataclass(frozen=True, slots=True)
class Measured:
    """A row's largest differences from its weights and from a graph; ``None`` where there is none."""

    row: Row
    weights: float
    graph: float | None


def rows() -> list[Row]:
    """Read all rows."""
    return [read_row(path) for path in sorted(ROWS.glob("*.json"))]


def measure(row: Row) -> Measured:
    """Load a row's model from its weights, and as a graph."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = write_row(row, Path(scratch, "model"))
        by_weights = _difference(row, folder, Path(scratch, "cache"))
        by_graph = _difference(row, folder, Path(scratch, "cache")) if _made_a_graph(row, folder) else None
        return Measured(row, by_weights, by_graph)


def _difference(row: Row, folder: Path, cache: Path) -> float:
    model = getattr(onnxembed, CLASSES[row.kind])(folder, cache_dir=cache, **row.options)
    values = computed(row, model)
    return max(difference(row.expected[name], values[name]) for name in values)


def _made_a_graph(row: Row, folder: Path) -> bool:
    """Put a graph into a model's folder in place of the weights that it is made of; tell whether there is one."""
    model: ModelSpec = kind_named(row.kind).describe(FolderFiles(folder))
    recipe = model.recipe
    if recipe is None or recipe.head not in _SHIPPED:
        return False
    if getattr(model, "static", False) or getattr(model, "routes", ()):  # no graph, or one for each way
        return False
    if getattr(model, "tasks", ()):  # published graphs know no text without a task, as those compiled here do
        return False
    body = folder / model.body_folder
    (body / "onnx").mkdir()
    try:
        compile_model(body, body / "onnx" / "model.onnx", head=recipe.head)
    except (OnnxEmbedError, OSError) as error:
        logging.getLogger(__name__).warning("%s: no graph (%s)", row.name, error)
        return False
    for weights in body.glob("model*.safetensors*"):
        weights.unlink()
    return True


def _measured() -> Iterator[Measured]:
    """Measure all rows; those that cannot be opened are said, and left out of the page."""
    for row in rows():
        try:
            yield measure(row)
        except OnnxEmbedError as error:
            sys.stderr.write(f"{row.name}: {error}\n")


def page(measured: Sequence[Measured]) -> str:
    """Write the page."""
    lines = []
    for key, group in sorted(_grouped(measured).items()):
        graphs = [one.graph for one in group if one.graph is not None]
        shown = f"{max(one.weights for one in group):.0e}", f"{max(graphs):.0e}" if graphs else ""
        libraries = ", ".join(sorted({one.row.library for one in group}))
        lines.append(f"| {' | '.join(key)} | {len(group)} | {' | '.join(shown)} | {libraries} |")
    kinds = {key[0] for key in _grouped(measured)}
    return f"{_HEAD}{chr(10).join(lines)}\n\n{len(kinds)} architectures, {len(measured)} models.\n"


def _grouped(measured: Sequence[Measured]) -> dict[tuple[str, str, str], list[Measured]]:
    groups: dict[tuple[str, str, str], list[Measured]] = {}
    for one in measured:
        groups.setdefault((one.row.architecture, one.row.head, one.row.kind), []).append(one)
    return groups


def problems(text: str, known: Sequence[Row]) -> Iterator[str]:
    """Say where a page is not that of the rows."""
    found = {match["key"]: match for match in _LINE.finditer(text)}
    expected: dict[str, int] = {}
    for row in known:
        key = " | ".join((row.architecture, row.head, row.kind))
        expected[key] = expected.get(key, 0) + 1
    yield from _differing(expected, {key: int(match["models"]) for key, match in found.items()})
    for key, match in found.items():
        for number in filter(None, map(str.strip, match["numbers"].split("|"))):
            if not float(number) <= BOUND:
                yield f"{key}: {number} is above {BOUND:g}"


def _differing(expected: Mapping[str, int], found: Mapping[str, int]) -> Iterator[str]:
    for key in sorted({*expected, *found}):
        if expected.get(key) != found.get(key):
            yield f"{key}: {found.get(key, 0)} models on the page, {expected.get(key, 0)} rows"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page or check it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="measure nothing, and fail where the page is out of date")
    if not parser.parse_args(arguments).check:
        PAGE.write_text(page(list(_measured())), encoding="utf-8")
    wrong = list(problems(PAGE.read_text(encoding="utf-8"), rows()))
    sys.stderr.writelines(f"docs/architectures.md, {line}\n" for line in wrong)
    if wrong:
        sys.stderr.write("Write it again: python scripts/architecture_table.py\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
