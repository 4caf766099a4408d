"""The content of files, as SHA-256: what tells two files apart, whatever their paths, sizes and times.

Hashing a large file takes a tenth of a second, so its digest is remembered, by what the file system says of the file:
device, inode, size, and the times of the last change of content and of the file itself. The latter (ctime) cannot be
set by programs that copy or unpack files. It has the grain of the system's clock, though, so what changed within the
last two seconds is not remembered.
"""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

from onnxembed.hub.disk import write_text
from onnxembed.hub.settings import StoreSettings, own_folder

logger = logging.getLogger("onnxembed.store")

_SETTLED_NANOSECONDS = 2_000_000_000
# Files up to this size are hashed faster than their digest would be read.
_SMALL_BYTES = 1 << 20
# As much as is hashed while NumPy and ONNX Runtime are imported, and a multiple of what every system maps at once.
_WINDOW_BYTES = 1 << 27

_remembered: dict[str, str] = {}
_MOST_REMEMBERED = 4096


def digest_memory(settings: StoreSettings) -> Path:
    """Where digests of large files are kept."""
    return own_folder(settings) / "digests"


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    import hashlib

    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_large(path: Path) -> str:
    """The SHA-256 of a file that will be mapped into memory anyway, in hexadecimal.

    Reading it piece by piece would ask for the interpreter lock hundreds of times. A thread that imports gives it away
    for moments that are too short to be taken, so that the first piece would wait until all imports are done. Of a
    file that is mapped, a large window is hashed in one piece.
    """
    import hashlib
    import mmap

    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        try:
            for start in range(0, size, _WINDOW_BYTES):
                length = min(_WINDOW_BYTES, size - start)
                with mmap.mmap(file.fileno(), length, access=mmap.ACCESS_READ, offset=start) as window:
                    digest.update(window)
        except (OSError, ValueError):  # a file system that maps no files, a file that was cut short
            return sha256_of(path)
    return digest.hexdigest()


def content_digest(path: Path, memory: Path | None = None) -> str:
    """Give the SHA-256 of a file's content in hexadecimal; links are followed.

    Args:
        path: The file.
        memory: A folder where digests are kept for later processes; ``None`` to keep none.

    Returns:
        64 hexadecimal digits.
    """
    state = _state(path)
    if int(state.split()[2]) <= _SMALL_BYTES:
        return sha256_of(path)
    known = _remembered.get(state)
    if known is None:
        known = _recall(state, memory)
        if known is not None:
            _note(state, known)
    if known is not None:
        return known
    while True:
        digest, after = sha256_of(path), _state(path)
        if after == state:
            break
        state = after  # it changed while it was read
    if time.time_ns() - int(state.split()[4]) > _SETTLED_NANOSECONDS:
        _remember(state, digest, memory)
    return digest


def _state(path: Path) -> str:
    status = path.stat()
    return f"{status.st_dev} {status.st_ino} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"


def _recall(state: str, memory: Path | None) -> str | None:
    """The digest that another process has kept for a file in exactly this state."""
    if memory is None:
        return None
    try:
        kept, digest = _place(state, memory).read_text(encoding="ascii").split("\n")[:2]
    except (OSError, ValueError):
        return None
    return digest if kept == state and len(digest) == 64 else None


def _note(state: str, digest: str) -> None:
    if len(_remembered) >= _MOST_REMEMBERED:
        _remembered.clear()
    _remembered[state] = digest


def _remember(state: str, digest: str, memory: Path | None) -> None:
    _note(state, digest)
    if memory is None:
        return
    try:
        write_text(_place(state, memory), f"{state}\n{digest}\n")
    except OSError as error:
        # A cache that cannot be written costs a second hash in the next process, nothing else.
        logger.debug("a digest is not kept in %s: %s", memory, error)


def _place(state: str, memory: Path) -> Path:
    device, inode = state.split()[:2]
    return memory / f"{device}-{inode}"
