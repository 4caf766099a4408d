"""The large files of an exported folder, hashed by threads that begin before anything that loads them is imported.

Importing NumPy and ONNX Runtime keeps one processor busy for longer than hashing 90 MB does, so that the hash takes no
time of its own on two.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import wait
from contextlib import contextmanager
from pathlib import Path

from onnxembed.hub.exported import Manifest, check_files, manifest_of, small_and_large
from onnxembed.runtime.threads import Threads

_SECONDS_TO_END = 0.005
_Key = tuple[int, Path, tuple[str, ...]]


class GraphCheck:
    """Some files of an exported folder, which a thread hashes from now on; to be closed."""

    def __init__(self, folder: Path, manifest: Manifest, names: tuple[str, ...]) -> None:
        self._folder, self._manifest, self._names = folder, manifest, names
        self._states = self._now()
        self._thread = Threads(1, "onnxembed-check")
        self._checked = self._thread.submit(check_files, folder, manifest, names)

    def result(self) -> None:
        """Wait for the hashes, and raise as `check_files` does; what changed after them is hashed once more."""
        self._thread.result(self._checked)
        if self._now() != self._states:
            check_files(self._folder, self._manifest, self._names)

    def give_way(self) -> None:
        """Let a thread that has hashed everything end, which takes the interpreter lock, and its map with it."""
        wait((self._checked,), _SECONDS_TO_END)

    def close(self) -> None:
        """End the thread."""
        self._thread.close()

    def _now(self) -> list[tuple[int, ...] | None]:
        """What the file system says of the files; ``None`` where it says nothing, which the check tells better."""
        return [_state(self._folder / name) for name in self._names]


# Checks that were begun early and that nobody has taken over yet.
_begun: dict[_Key, GraphCheck] = {}


@contextmanager
def begun_early(folder: Path) -> Iterator[None]:
    """Hash the graphs of a folder meanwhile, if it is an exported one; `graph_check` takes the hashes over."""
    manifest = manifest_of(folder)
    if manifest is None:
        yield
        return
    mine = list[_Key]()
    for graph in manifest.graphs:
        large = tuple(small_and_large(manifest, (graph.path, *graph.data))[1])
        key = (os.getpid(), folder, large)
        if large and key not in _begun:
            _begun[key] = GraphCheck(folder, manifest, large)
            mine.append(key)
    try:
        yield
    finally:
        for key in mine:
            left = _begun.pop(key, None)
            if left is not None:
                left.close()


def graph_check(folder: Path, manifest: Manifest, names: tuple[str, ...]) -> GraphCheck:
    """The check of some files that was begun early, or one that begins now; to be closed."""
    return _begun.pop((os.getpid(), folder, names), None) or GraphCheck(folder, manifest, names)


def _state(path: Path) -> tuple[int, ...] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
