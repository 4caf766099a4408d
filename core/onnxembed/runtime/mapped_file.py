"""Files that stay mapped into memory while a model lives, and whether they still are what was mapped.

Reading a map beyond the end of a file that was cut short ends the process, and whatever is written into the file
changes the map. So such a file is looked at before each use, at the cost of a microsecond. What is looked at is the
file itself, through a descriptor of its own: another file that takes its name, or its removal, harms no map.
"""

from __future__ import annotations

import os
import threading
import weakref
from pathlib import Path

from onnxembed.errors import ModelError

_BLOCK_BYTES = 1 << 20


class MappedFile:
    """A file that something maps, from before it is mapped until this object is gone."""

    def __init__(self, path: Path, digest: str | None = None) -> None:
        """Open the file, a `ModelError` where that fails.

        ``digest`` is the SHA-256 of its content in hexadecimal, by which a change of times alone (another name, other
        permissions) is told from one of content; without it, every change counts.
        """
        self.path = path
        self._digest = digest
        try:
            self._descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        except OSError as error:
            raise ModelError(f"{path} cannot be read ({error.strerror or error}); get the model again") from error
        weakref.finalize(self, os.close, self._descriptor).atexit = False
        self._lock = threading.Lock()
        self._state = _state(os.fstat(self._descriptor))
        self._refused: tuple[int, int, int] | None = None

    @property
    def size(self) -> int:
        """Bytes of the file when it was mapped."""
        return self._state[0]

    def holds(self) -> bool:
        """Tell whether the file has the content that was mapped."""
        now = os.fstat(self._descriptor)
        return (now.st_size, now.st_mtime_ns, now.st_ctime_ns) == self._state or self._still_holds()

    def has_name(self) -> bool:
        """Tell whether the path leads to this very file, and not to another that has taken its place."""
        try:
            return os.path.samestat(self.path.stat(), os.fstat(self._descriptor))
        except OSError:
            return False

    def check(self) -> None:
        """Refuse to go on with a map whose file has changed, as a `ModelError`."""
        if not self.holds():
            raise changed_while_in_use(self.path)

    def _still_holds(self) -> bool:
        """Whether only times changed; remembers the answer."""
        with self._lock:
            status = os.fstat(self._descriptor)
            state = _state(status)
            if state in (self._state, self._refused):
                return state == self._state
            # A file without a name is changed by nobody: its times changed when the name was taken away.
            nameless = status.st_nlink == 0 and state[:2] == self._state[:2]
            if nameless or (state[0] == self._state[0] and self._has_digest(state)):
                self._state = state
                return True
            self._refused = state
            return False

    def _has_digest(self, state: tuple[int, int, int]) -> bool:
        if self._digest is None:
            return False
        import hashlib

        digest = hashlib.sha256()
        with open(self._descriptor, "rb", buffering=0, closefd=False) as file:
            file.seek(0)
            while block := file.read(_BLOCK_BYTES):
                digest.update(block)
        return digest.hexdigest() == self._digest and _state(os.fstat(self._descriptor)) == state


def changed_while_in_use(path: Path) -> ModelError:
    """The error of a model whose file is not what was loaded any more."""
    return ModelError(
        f"{path} changed while the model was in use; open the model again. Put new files in place by renaming them, "
        "not by writing into those that are in use"
    )


def _state(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns
