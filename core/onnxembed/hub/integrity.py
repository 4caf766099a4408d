"""Whether files are the published ones, and a memory of it so that large files are hashed once."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from onnxembed.errors import IntegrityError
from onnxembed.hub.disk import write_text
from onnxembed.hub.settings import StoreSettings, own_folder

if TYPE_CHECKING:
    from pathlib import Path

    from onnxembed.spec import ModelSource

logger = logging.getLogger("onnxembed.store")

_CHUNK_BYTES = 1 << 20
_SHA256_LENGTH = 64


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file.

    Args:
        path: The file.

    Returns:
        Hexadecimal digits in lower case.
    """
    import hashlib

    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def git_blob_of(path: Path) -> str:
    """The name that git gives to a file's content.

    Args:
        path: The file.

    Returns:
        Hexadecimal digits in lower case.
    """
    import hashlib

    digest = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def digest_like(path: Path, expected: str) -> str:
    """The digest of a file, of the kind that another digest is.

    Args:
        path: The file.
        expected: A SHA-256 (64 digits) or a git blob name (40 digits).

    Returns:
        Hexadecimal digits in lower case.
    """
    return sha256_of(path) if len(expected) == _SHA256_LENGTH else git_blob_of(path)


def check_published(folder: Path, source: ModelSource, settings: StoreSettings) -> None:
    """Compare a folder's files with the digests that its source publishes; absent files are no matter here.

    Args:
        folder: The folder.
        source: The source, with its digests.
        settings: Says where earlier verdicts are kept.

    Raises:
        IntegrityError: A file is not the published one.
    """
    for name, expected in source.sha256:
        if name and (folder / name).is_file() and not _is_published(folder / name, expected.lower(), settings):
            raise IntegrityError(
                f"{folder / name} does not have the published SHA-256 {expected.lower()}; "
                "remove it and get it again, or name a source that you trust"
            )


def _is_published(path: Path, expected: str, settings: StoreSettings) -> bool:
    import hashlib

    real = path.resolve()
    facts = real.stat()
    key = hashlib.sha256(f"{real}\0{facts.st_size}\0{facts.st_mtime_ns}\0{expected}".encode()).hexdigest()
    mark = own_folder(settings) / "verified" / key
    if mark.is_file():
        return True
    if sha256_of(real) != expected:
        return False
    try:
        write_text(mark, f"{real}\n{expected}\n")
    except OSError as error:
        # A cache that cannot be written costs a second hash next time, nothing else.
        logger.debug("the verdict on %s is not kept: %s", real, error)
    return True
