"""Which files of the cache running processes hold: by locks, and on Linux by what they map or have open."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

_PROCESSES = Path("/proc")


class Held:
    """The files that running processes map or have open, as seen once."""

    def __init__(self, processes: Path = _PROCESSES) -> None:
        """Look at all processes that this user may look at; on systems without ``/proc`` at none."""
        # Lock files are taken, not used: `taken` tells of those.
        self._paths = frozenset(path for path in _open_paths(processes) if not path.endswith(".lock"))

    def within(self, folder: Path) -> bool:
        """Whether one of them is the folder, lies in it, or is what a link in it leads to."""
        real = folder.resolve()
        below = f"{real}{os.sep}"
        return any(path == str(real) or path.startswith(below) for path in self._paths)


def _open_paths(processes: Path) -> Iterator[str]:
    try:
        entries = [entry for entry in processes.iterdir() if entry.name.isdecimal()]
    except OSError:
        return
    for entry in entries:
        with contextlib.suppress(OSError):
            for line in (entry / "maps").read_text("utf-8", "surrogateescape").splitlines():
                path = line.split(maxsplit=5)[5:]
                if path and path[0].startswith("/"):
                    yield path[0]
        with contextlib.suppress(OSError):
            for descriptor in (entry / "fd").iterdir():
                with contextlib.suppress(OSError):
                    yield str(descriptor.readlink())


@contextlib.contextmanager
def taken(locks: Iterable[Path]) -> Iterator[bool]:
    """Take lock files that are there, and give whether all could be had at once; they are let go in the end."""
    from filelock import FileLock, Timeout

    with contextlib.ExitStack() as stack:
        try:
            for lock in locks:
                if lock.is_file():
                    held = FileLock(lock)
                    held.acquire(timeout=0)
                    stack.callback(held.release)
        except (Timeout, OSError):
            yield False
            return
        yield True


@cache
def sees_processes(processes: Path = _PROCESSES) -> bool:
    """Whether this system shows which files processes hold."""
    return (processes / "self" / "maps").is_file()
