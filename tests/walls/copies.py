"""Copies of the tree that a test may break."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
ON_THE_PATH = ("core", "integrations/fastembed", "integrations/langchain", "integrations/llamaindex")
PARTS = ("core", "integrations", "scripts", "pyproject.toml", "ARCHITECTURE.md")
CACHES = shutil.ignore_patterns("__pycache__", "*.pyc", "*.egg-info", ".*_cache")


def copy_tree(folder: Path) -> Path:
    """Copy the packages and what lint reads.

    Args:
        folder: Where to; not there yet.

    Returns:
        The folder.
    """
    folder.mkdir(parents=True)
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, folder / part, ignore=CACHES)
        else:
            shutil.copy(ROOT / part, folder / part)
    return folder


def add_line(path: Path, line: str) -> None:
    """Put a statement behind the imports from ``__future__`` of a module."""
    text = path.read_text(encoding="utf-8")
    first = "from __future__ import annotations\n"
    assert first in text
    path.write_text(text.replace(first, f"{first}\n{line}\n", 1), encoding="utf-8")


def run_in(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a copy, whose packages are found before the installed ones.

    Args:
        root: The copy.
        *arguments: Of Python.

    Returns:
        Exit status and output, standard error in it.
    """
    path = os.pathsep.join(str(root / part) for part in ON_THE_PATH)
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=root,
        env={**os.environ, "PYTHONPATH": path, "NO_COLOR": "1", "COLUMNS": "300"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
