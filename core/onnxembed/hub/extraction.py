"""A ``.tar.gz`` archive into a folder, where the archive may be hostile.

Only regular files and folders are made, with names inside the folder, and their bytes are written by this module:
modes, owners, links and devices of the archive never reach the disk.
"""

from __future__ import annotations

import gzip
import tarfile
import zlib
from collections.abc import Collection
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from onnxembed.errors import IntegrityError, UnsafeModelError
from onnxembed.hub.folder import safe_relative

if TYPE_CHECKING:
    from onnxembed.hub.settings import TransferLimits

_CHUNK_BYTES = 1 << 20
_LONGEST_NAME = 200
_LARGEST_READ = 4 << 20
"""``tarfile`` reads extended headers in one piece; a header that claims more than this is an attack on memory."""


class _Bounded:
    """The unpacked stream, which ends with an error where the bound, in bytes, is passed."""

    def __init__(self, stream: gzip.GzipFile, bound: int) -> None:
        self._stream = stream
        self._bound = bound

    def tell(self) -> int:
        return self._stream.tell()

    def seek(self, offset: int, whence: int = 0) -> int:
        if whence != 0 or offset > self._bound:
            raise _too_large(self._bound)
        return self._stream.seek(offset)

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _LARGEST_READ:
            raise UnsafeModelError(f"the archive has a header of {size} bytes; at most {_LARGEST_READ} are read")
        data = self._stream.read(size)
        if self._stream.tell() > self._bound:
            raise _too_large(self._bound)
        return data


def _too_large(bound: int) -> UnsafeModelError:
    return UnsafeModelError(
        f"the archive unpacks to more than {bound} bytes; it is not a model, or needs a higher bound in TransferLimits"
    )


def extract(archive: Path, folder: Path, limits: TransferLimits, wanted: Collection[str] | None = None) -> None:
    """Unpack a ``.tar.gz`` archive into a folder, which the caller removes on failure.

    ``wanted`` names the files to write, at the archive's root or in its first folder; ``None`` is all. An archive that
    asks for something outside the folder, for links or devices, or for too much, is an `UnsafeModelError`; a damaged
    one an `IntegrityError`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # Headers and padding take room beside the content: 512 bytes, or a few times that, a member.
    bound = limits.extracted_bytes + 4096 * limits.archive_members
    try:
        with gzip.open(archive) as stream:
            bounded = _Bounded(stream, bound)
            with tarfile.open(fileobj=bounded, mode="r:") as tar:  # type: ignore[call-overload]
                _extract_members(tar, folder, limits, wanted)
            _read_to_end(bounded)
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise IntegrityError(f"the archive is damaged ({error}); get it again") from error


def _extract_members(
    tar: tarfile.TarFile, folder: Path, limits: TransferLimits, wanted: Collection[str] | None
) -> None:
    total = 0
    files: set[PurePosixPath] = set()
    folders: set[PurePosixPath] = set()
    for count, member in enumerate(tar, start=1):
        total += member.size
        if count > limits.archive_members:
            raise UnsafeModelError(f"the archive has more than {limits.archive_members} members; it is not a model")
        if total > limits.extracted_bytes:
            raise _too_large(limits.extracted_bytes)
        path = _member_path(member)
        if not member.isdir() and (not member.isfile() or member.issparse()):
            raise UnsafeModelError(f"the archive's member {member.name!r} is a link or a device; expected files only")
        folders.update(path.parents)
        if path in files or not files.isdisjoint(path.parents) or (path in folders and not member.isdir()):
            raise UnsafeModelError(f"the archive holds {member.name!r} twice")
        (folders if member.isdir() else files).add(path)
        if not member.isdir() and _is_wanted(path, wanted):
            _write_member(tar, member, folder / path)
    if total == 0:
        raise tarfile.ReadError("it holds no file")


def _is_wanted(path: PurePosixPath, wanted: Collection[str] | None) -> bool:
    """Whether a member is wanted by its path, or by that inside the folder that holds the whole model."""
    return wanted is None or str(path) in wanted or str(PurePosixPath(*path.parts[1:])) in wanted


def _member_path(member: tarfile.TarInfo) -> PurePosixPath:
    name = member.name.rstrip("/") if member.isdir() else member.name
    while name.startswith("./"):
        name = name[2:]
    if name in {"", "."} and member.isdir():
        return PurePosixPath()
    if len(name) > _LONGEST_NAME:
        raise UnsafeModelError(
            f"the archive's member {name[:40]!r}... has a name of {len(name)} characters; expected fewer"
        )
    return PurePosixPath(safe_relative(name))


def _write_member(tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    content = tar.extractfile(member)
    if content is None:
        raise tarfile.ReadError(f"{member.name!r} has no content")
    target.parent.mkdir(parents=True, exist_ok=True)
    with content, target.open("wb") as file:
        while chunk := content.read(_CHUNK_BYTES):
            file.write(chunk)


def _read_to_end(stream: _Bounded) -> None:
    # The checksum of gzip comes last, and only zeros may follow the last member: anything else is a torn archive.
    while chunk := stream.read(_CHUNK_BYTES):
        if chunk.count(0) != len(chunk):
            raise tarfile.ReadError("a member's header is broken")
