"""ARCHITECTURE.md names every module, or the rule that covers it, and nothing that is not there.

python scripts/check_architecture.py            list what is missing; exit status 1 when something is

The map is the first block of code in ARCHITECTURE.md: a folder a line, what is in it indented below it or on the same
line. Names end in ``.py`` or ``/``; ``*.py`` covers the other modules of a folder, ``<kind>/spec.py`` those of every
folder that has one, ``{a,b}.py`` two of them. A package's ``__init__.py`` is named by its folder. Elsewhere, and in
CONTRIBUTING.md, a name in backticks that ends so has to exist.
"""

from __future__ import annotations

import re
import sys
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

MAP, GUIDE = "ARCHITECTURE.md", "CONTRIBUTING.md"
PACKAGES = (
    "core/onnxembed",
    "integrations/fastembed/fastembed",
    "integrations/langchain/langchain_onnxembed",
    "integrations/llamaindex/llama_index",
)
_BLOCK = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_NAME = re.compile(r"(?<![\w/.])[\w<>*{][\w<>*{},./-]*(?:\.py|/)(?![\w/])")
_QUOTED = re.compile(r"`([\w<>*./-]+(?:\.py|/))`")


def problems(root: Path) -> list[str]:
    """List what the map lacks, and what it names in vain.

    Args:
        root: The repository, or a copy of it.

    Returns:
        One line per problem.
    """
    text = (root / MAP).read_text(encoding="utf-8")
    block = _BLOCK.search(text)
    if block is None:
        return [f"{MAP} has no map"]
    there = _there(root)
    above = {f"{folder}/" for path in there for folder in map(str, PurePosixPath(path).parents)}
    covered: set[str] = set()
    found = []
    for pattern in _patterns(block[1]):
        matched = {path for path in there | above if _matches(path, pattern)}
        covered |= matched
        if not matched:
            found.append(f"{MAP} names {pattern}, which does not exist")
    found += [f"{MAP} does not name {path}" for path in sorted(there - covered)]
    elsewhere = {MAP: text[: block.start()] + text[block.end() :]}
    if (root / GUIDE).exists():
        elsewhere[GUIDE] = (root / GUIDE).read_text(encoding="utf-8")
    for document, words in elsewhere.items():
        found += [
            f"{document} names {name}, which does not exist"
            for name in sorted(set(_QUOTED.findall(words)))
            if not _exists(root, there, _plain(name))
        ]
    return found


def _there(root: Path) -> set[str]:
    """Modules, and folders of modules with a final slash, relative to the repository."""
    found = set()
    for package in PACKAGES:
        for path in (root / package).rglob("*.py"):
            folder = path.parent.relative_to(root).as_posix() + "/"
            found.add(folder)
            if path.name != "__init__.py":
                found.add(folder + path.name)
    return found


def _patterns(block: str) -> list[str]:
    """What the map names, each relative to the repository."""
    found = []
    folders: list[tuple[int, list[str]]] = [(-1, [""])]
    for line in block.splitlines():
        indent = len(line) - len(line.lstrip())
        while folders[-1][0] >= indent:
            folders.pop()
        inside = folders[-1][1]
        for number, name in enumerate(_NAME.findall(line)):
            paths = [folder + one for folder in inside for one in _alternatives(_plain(name))]
            found += paths
            if number == 0 and name.endswith("/") and line.lstrip().startswith(name):
                inside = paths
                folders.append((indent, inside))
    return found


def _plain(name: str) -> str:
    """A name with ``*`` for what stands for any."""
    return re.sub(r"<\w+>", "*", name)


def _alternatives(name: str) -> list[str]:
    """The names that ``{a,b}`` stands for."""
    braces = re.search(r"\{([^}]*)\}", name)
    if braces is None:
        return [name]
    return [one for word in braces[1].split(",") for one in _alternatives(name.replace(braces[0], word, 1))]


def _matches(path: str, pattern: str) -> bool:
    """Whether a path is one of a pattern, whose stars do not cross a slash."""
    parts, wanted = path.split("/"), pattern.split("/")
    return len(parts) == len(wanted) and all(map(fnmatchcase, parts, wanted))


def _exists(root: Path, there: set[str], name: str) -> bool:
    """Whether a name of the text is that of a file or folder: from the root, or the end of a module's path."""
    if next(root.glob(name.rstrip("/")), None) is not None:
        return True
    depth = name.rstrip("/").count("/") + 1 + name.endswith("/")
    return any(_matches("/".join(path.split("/")[-depth:]), name) for path in there)


def main() -> int:
    """List the problems.

    Returns:
        The exit status.
    """
    lines = problems(Path(__file__).parents[1])
    sys.stderr.writelines(f"{line}\n" for line in lines)
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
