"""The one version of all distributions.

python scripts/version.py 0.2.0     writes it wherever it stands; CHANGELOG.md is written by hand
python scripts/version.py --check   fails where a place has another version, or CHANGELOG.md lacks its heading
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
CORE = ROOT / "core" / "onnxembed" / "__init__.py"
_VERSION = re.compile(r"\d+\.\d+\.\d+(?:(?:a|b|rc)\d+)?")
_STATED = re.compile(rf'^(?:__version__ = |version = |version: )"?({_VERSION.pattern})"?$', re.MULTILINE)
_OURS = r"(?:langchain-|llama-index-)?onnxembed(?:-fastembed)?(?:\[\w+\])?"
_BOUND = re.compile(rf'"({_OURS})(?:>=({_VERSION.pattern}),<(\d+\.\d+)|==({_VERSION.pattern}))"')


def places() -> list[Path]:
    """Files in which the version stands."""
    return [CORE, ROOT / "CITATION.cff", *sorted((ROOT / "core").glob("pyproject.toml")), *projects()]


def projects() -> list[Path]:
    """The build files of the distributions that require the core."""
    return sorted(path for path in (ROOT / "integrations").rglob("pyproject.toml") if ".venv" not in path.parts)


def next_minor(version: str) -> str:
    """Return the first version that a requirement of this one leaves out; before 1.0 a minor version may break."""
    major, minor, _ = version.split(".", 2)
    return f"{major}.{int(minor) + 1}" if major == "0" else f"{int(major) + 1}.0"


def rewritten(text: str, version: str) -> str:
    """Return a file's text with this version in each place."""
    stated = _STATED.sub(lambda found: found[0].replace(found[1], version), text)
    return _BOUND.sub(
        lambda found: f'"{found[1]}=={version}"' if found[4] else f'"{found[1]}>={version},<{next_minor(version)}"',
        stated,
    )


def problems(version: str) -> Iterator[str]:
    """Find the places that would change if the version were written again."""
    for path in places():
        text = path.read_text(encoding="utf-8")
        if path.parent != ROOT / "core" and not _STATED.search(text):
            yield f"{path.relative_to(ROOT)}: no version found"
        if rewritten(text, version) != text:
            yield f"{path.relative_to(ROOT)}: not version {version}"
    if f"\n## {version}" not in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"):
        yield f"CHANGELOG.md: no heading of {version}"


def current() -> str:
    """Return the version of the core."""
    found = _STATED.search(CORE.read_text(encoding="utf-8"))
    if found is None:
        raise SystemExit(f"{CORE}: no __version__")
    return found[1]


def main(arguments: list[str]) -> int:
    """Write the version, or check it."""
    if arguments == ["--check"]:
        found = list(problems(current()))
        print(*found, sep="\n", file=sys.stderr)
        return 1 if found else 0
    if len(arguments) != 1 or not _VERSION.fullmatch(arguments[0]):
        print(__doc__, file=sys.stderr)
        return 2
    for path in places():
        path.write_text(rewritten(path.read_text(encoding="utf-8"), arguments[0]), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
