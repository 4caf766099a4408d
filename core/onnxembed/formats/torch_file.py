"""Tensors of a ``.pt`` file as ``torch.save`` writes it: a zip archive with a pickle and the bytes of each tensor."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnxembed.errors import ModelError, UnsafeModelError
from onnxembed.formats.pickled_tensors import StoredTensor, read_pickle
from onnxembed.formats.safetensors import raw_numbers, size_of, widened
from onnxembed.formats.stored_zip import SIGNATURE, stored_entries

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

_PICKLE = "data.pkl"
_LARGEST = 1 << 28  # bytes of a file; heads take a few million


def read_torch_file(path: Path) -> dict[str, NDArray[Any]]:
    """Read all tensors of a file; nothing that it asks for is called.

    Args:
        path: The ``.pt`` file.

    Returns:
        The tensors by name, each of its type; ``bfloat16`` comes as ``float32``.

    Raises:
        UnsafeModelError: The file is a pickle without an archive, or asks for anything but tensors.
        ModelError: The file is missing, damaged, or larger than 256 MiB, or it holds something else than tensors by
            name.
    """
    content = _content(path)
    if not content.startswith(SIGNATURE):
        raise UnsafeModelError(
            f"{path} is no archive of tensors but something else, such as a pickle of an older PyTorch, which could "
            "run code; it is not read. Save it again with torch.save of today, or as safetensors"
        )
    entries = stored_entries(memoryview(content), str(path))
    root = _root(path, entries)
    order = entries.get(f"{root}byteorder")
    if order is not None and bytes(order).strip() != b"little":
        raise ModelError(
            f"{path} has numbers in the byte order {bytes(order)!r:.20}, expected b'little'; save it again"
        )
    tensors = read_pickle(bytes(entries[f"{root}{_PICKLE}"]), str(path))
    return {
        name: _array(path, name, tensor, entries.get(f"{root}data/{tensor.key}")) for name, tensor in tensors.items()
    }


def _content(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size > _LARGEST:
            raise ModelError(f"{path} takes {size} bytes, more than the {_LARGEST} allowed; use safetensors files")
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror or error}); a .pt file is expected there") from error


def _root(path: Path, entries: Mapping[str, object]) -> str:
    """The folder of the archive in which everything lies."""
    roots = [name.removesuffix(_PICKLE) for name in entries if name.endswith(f"/{_PICKLE}") and name.count("/") == 1]
    if len(roots) != 1:
        raise ModelError(f"{path} holds {len(roots)} entries {_PICKLE}, expected one; fetch the file again")
    return roots[0]


def _array(path: Path, name: str, tensor: StoredTensor, stored: memoryview | None) -> NDArray[Any]:
    if stored is None:
        raise ModelError(f"{path} lacks the bytes of {name!r:.200} (entry {tensor.key!r:.100}); fetch the file again")
    size = size_of(tensor.dtype)
    if len(stored) != tensor.count * size:
        raise ModelError(
            f"{path}: the bytes of {name!r:.200} are {len(stored)}, where {tensor.count} numbers of {tensor.dtype} "
            f"take {tensor.count * size}; fetch the file again"
        )
    raw = raw_numbers(tensor.dtype, stored, tensor.offset * size, prod(tensor.shape))
    return widened(tensor.dtype, raw).reshape(tensor.shape)
