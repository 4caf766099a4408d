"""Which distributions are installed, found by their names on disk.

``importlib.metadata`` finds them, too, but takes 15 ms to import, which is much of a cold start.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

_ENDINGS = (".dist-info", ".egg-info")


def unpacked(name: str) -> tuple[Path, str] | None:
    """Find a distribution in the folders that Python imports from: the folder, and the version in its name."""
    wanted = _plain(name)
    start = wanted[0]
    for place in map(Path, sys.path):
        try:
            with os.scandir(place) as found:
                names = [entry.name for entry in found if entry.name.endswith(_ENDINGS)]
        except OSError:
            continue
        for entry in names:
            stem, _, version = entry.rpartition(".")[0].partition("-")
            if stem[:1].lower() == start and version and _plain(stem) == wanted:
                return place, version
    return None


def all_unpacked() -> bool:
    """Whether `unpacked` sees everything: Python imports from folders alone, from no archive."""
    return not any(Path(place).is_file() for place in sys.path)


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "_", name).lower()
