"""How much code there is, how much of it is documentation, and what the adapters say twice.

python scripts/volume.py            the figures
"""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

CORE = "core/onnxembed"
LANGCHAIN = "integrations/langchain/langchain_onnxembed"
LLAMA_INDEX = "integrations/llamaindex/llama_index"
RUN = 12
"""Equal lines in a row that two files may not share."""


@dataclass(frozen=True)
class Volume:
    """What a package's files hold.

    Attributes:
        lines: All lines, as ``wc -l`` counts them.
        filled: Lines that are not blank.
        documentation: Lines, not blank, of statements that are a string and nothing else.
    """

    lines: int
    filled: int
    documentation: int

    @property
    def share(self) -> float:
        """Documentation as a share of the lines that are not blank."""
        return self.documentation / self.filled


@dataclass(frozen=True, order=True)
class Shared:
    """Lines that two files have in common.

    Attributes:
        count: How many, in a row, blank lines between them included.
        first: The one file, and the line at which they begin.
        second: The other.
    """

    count: int
    first: tuple[str, int]
    second: tuple[str, int]


def volume(root: Path, folder: str) -> Volume:
    """Measure the Python files below a folder.

    Args:
        root: The repository, or a copy of it.
        folder: Relative to it.

    Returns:
        The sums.
    """
    lines = filled = documentation = 0
    for path in _files(root / folder):
        text = path.read_text(encoding="utf-8")
        numbered = text.splitlines()
        lines += text.count("\n")
        filled += sum(bool(line.strip()) for line in numbered)
        documentation += sum(bool(numbered[number].strip()) for number in _documentation(ast.parse(text)))
    return Volume(lines, filled, documentation)


def shared_runs(root: Path, first: str, second: str, least: int = RUN) -> list[Shared]:
    """Find runs of equal lines in two folders, whatever their indentation; blank lines count where both have them.

    Args:
        root: The repository, or a copy of it.
        first: A folder relative to it.
        second: Another.
        least: The shortest run that counts.

    Returns:
        The longest runs, none of which is part of another.
    """
    others = [(path, _filled(path)) for path in _files(root / second)]
    found = []
    for path in _files(root / first):
        mine = _filled(path)
        for other, theirs in others:
            for count, at, there in _runs([line for _, line in mine], [line for _, line in theirs]):
                begin, begins = mine[at][0], theirs[there][0]
                span = min(mine[at + count - 1][0] - begin, theirs[there + count - 1][0] - begins) + 1
                if span >= least:
                    places = ((str(one.relative_to(root)), line) for one, line in ((path, begin), (other, begins)))
                    found.append(Shared(span, *places))
    return sorted(found, reverse=True)


def _runs(mine: Sequence[str], theirs: Sequence[str]) -> Iterator[tuple[int, int, int]]:
    """Maximal equal runs: how long, and where in each."""
    places = defaultdict(list)
    for there, line in enumerate(theirs):
        places[line].append(there)
    for at, line in enumerate(mine):
        for there in places[line]:
            if at and there and mine[at - 1] == theirs[there - 1]:
                continue  # part of a run that began before
            count = 0
            while at + count < len(mine) and there + count < len(theirs) and mine[at + count] == theirs[there + count]:
                count += 1
            yield count, at, there


def _filled(path: Path) -> list[tuple[int, str]]:
    lines = enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
    return [(number, line.strip()) for number, line in lines if line.strip()]


def _documentation(tree: ast.Module) -> set[int]:
    """Indices of the lines of string expressions."""
    found: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            found.update(range(node.lineno - 1, node.end_lineno or node.lineno))
    return found


def _files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def main() -> int:
    """Print the figures.

    Returns:
        The exit status.
    """
    root = Path(__file__).parents[1]
    total = 0
    for folder in (CORE, LANGCHAIN, LLAMA_INDEX):
        found = volume(root, folder)
        total += found.lines
        sys.stdout.write(f"{folder:45} {found.lines:6,} lines, {found.share:.1%} documentation\n")
    sys.stdout.write(f"{'in all':45} {total:6,} lines\n")
    for run in shared_runs(root, LANGCHAIN, LLAMA_INDEX):
        places = (f"{path}:{line}" for path, line in (run.first, run.second))
        sys.stdout.write(f"{run.count} equal lines: {' and '.join(places)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
