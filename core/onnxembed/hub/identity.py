"""Whether files are the published ones, and whether they are what their names say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnxembed.errors import IntegrityError, ModelError, UnsafeModelError, UnsupportedModelError
from onnxembed.hub.content import content_digest, digest_memory, sha256_of
from onnxembed.hub.settings import StoreSettings

if TYPE_CHECKING:
    from pathlib import Path

    from onnxembed.spec import ModelSource

_CHUNK_BYTES = 1 << 20
_SHA256_LENGTH = 64


def git_blob_of(path: Path) -> str:
    """Git's name of a file's content, in hexadecimal."""
    import hashlib

    digest = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def digest_like(path: Path, expected: str) -> str:
    """The digest of a file, of the same kind as another: SHA-256 (64 digits) or a git blob name (40)."""
    return sha256_of(path) if len(expected) == _SHA256_LENGTH else git_blob_of(path)


def unreadable(path: Path) -> str | None:
    """Why a file cannot be read as what its name says, or ``None``: login pages and the like, from mirrors."""
    try:
        if path.suffix == ".json":
            from onnxembed.formats.json_file import parse_json

            parse_json(path.read_bytes(), path.name)
        elif path.suffix == ".onnx":
            from onnxembed.formats.onnx_graph import inspect_graph

            inspect_graph(path, require_external_data=False)
        elif path.suffix == ".safetensors":
            from onnxembed.formats.safetensors import SafetensorsFile

            SafetensorsFile(path).close()
    except (UnsafeModelError, UnsupportedModelError):
        return None  # whole, and refused for what it asks for
    except ModelError as error:
        return str(error)
    return None


def check_published(folder: Path, source: ModelSource, settings: StoreSettings) -> None:
    """Compare the files that a folder has with the digests that its source publishes.

    A file that is not the published one is an `IntegrityError`.
    """
    for name, expected in source.sha256:
        path = folder / name
        if name and path.is_file() and content_digest(path, digest_memory(settings)) != expected.lower():
            raise IntegrityError(
                f"{folder / name} does not have the published SHA-256 {expected.lower()}; "
                "remove it and get it again, or name a source that you trust"
            )
