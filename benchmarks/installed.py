"""Megabytes on disk of a distribution with all that it requires, against the peers.

python -m benchmarks.installed [--json FILE]      run in the environment of the peers, which has them all

The files are those that each distribution's RECORD names, without bytecode; requirements are followed with this
machine's markers. The largest parts are named, since they are what could go.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOTS = ("onnxembed", "fastembed", "sentence-transformers")
_LARGEST = 4


@dataclass(frozen=True, slots=True)
class Installed:
    """What a distribution brings.

    Attributes:
        name: Its name.
        version: Its version.
        distributions: How many distributions there are, itself included.
        megabytes: Their files, in units of 1,000,000 bytes.
        largest: The largest of them with their megabytes.
    """

    name: str
    version: str
    distributions: int
    megabytes: float
    largest: dict[str, float]


def size_of(name: str) -> int:
    """Return the bytes of a distribution's files."""
    files = distribution(name).files or ()
    return sum(Path(str(file.locate())).stat().st_size for file in files if _counts(Path(str(file.locate()))))


def _counts(path: Path) -> bool:
    return path.suffix != ".pyc" and path.is_file()


def closure(root: str) -> set[str]:
    """Return the names of a distribution and of all that it requires."""
    seen: set[str] = set()
    todo = [Requirement(root)]
    while todo:
        requirement = todo.pop()
        name = canonicalize_name(requirement.name)
        if name in seen and not requirement.extras:
            continue
        seen.add(name)
        extras = requirement.extras or {""}
        for line in distribution(name).requires or ():
            wanted = Requirement(line)
            if wanted.marker is None or any(wanted.marker.evaluate({"extra": extra}) for extra in extras):
                todo.append(Requirement(str(wanted).split(";")[0]))
    return seen


def measured(root: str, own: int | None = None) -> Installed:
    """Measure one distribution.

    Args:
        root: Its name.
        own: Bytes of its own files where it is installed as a link to its sources.
    """
    sizes = {name: size_of(name) for name in closure(root)}
    if own is not None:
        sizes[root] = own
    largest = sorted(sizes, key=lambda name: -sizes[name])[:_LARGEST]
    return Installed(
        root,
        distribution(root).version,
        len(sizes),
        round(sum(sizes.values()) / 1e6, 1),
        {name: round(sizes[name] / 1e6, 1) for name in largest},
    )


def sources() -> int:
    """Return the bytes of this package as its wheel has them."""
    package = Path(__file__).parents[1] / "core" / "onnxembed"
    return sum(path.stat().st_size for path in package.rglob("*") if _counts(path))


def to_markdown(results: Mapping[str, Any]) -> str:
    """Draw the table."""
    lines = ["| distribution | packages | MB | largest |", "|---|--:|--:|---|"]
    for row in results["rows"]:
        largest = ", ".join(f"{name} {size:.0f}" for name, size in row["largest"].items())
        lines.append(
            f"| {row['name']} {row['version']} | {row['distributions']} | {row['megabytes']:.0f} | {largest} |"
        )
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> None:
    """Print the table, and write it as JSON when asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="where the figures are kept")
    chosen = parser.parse_args(arguments)
    rows = []
    for root in ROOTS:
        try:
            rows.append(measured(root, sources() if root == "onnxembed" else None))
        except PackageNotFoundError as error:
            print(f"{root}: not measured, {error} is not installed", file=sys.stderr)
    system = {"machine": platform.machine(), "system": platform.system(), "python": platform.python_version()}
    kept = {"where": system, "rows": [asdict(row) for row in rows]}
    print(to_markdown(kept))
    if chosen.json:
        chosen.json.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
