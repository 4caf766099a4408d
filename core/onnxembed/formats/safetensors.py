"""The safetensors format: a JSON header, then the tensors' bytes, mapped into memory and never copied.

Files come from strangers. Everything the header says is checked before a tensor is handed out: the ranges lie in the
file, follow each other without overlap or gap, and are as long as type and shape say.
"""

from __future__ import annotations

import json
import mmap
from dataclasses import dataclass
from math import prod
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from onnxembed.errors import ModelError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Buffer = mmap.mmap | memoryview

_LENGTH_FIELD = 8
_MAX_HEADER_BYTES = 100_000_000
_MAX_RANK = 32
_BFLOAT16 = "BF16"
_DTYPES = {
    "F64": ("<f8", 8),
    "F32": ("<f4", 4),
    "F16": ("<f2", 2),
    _BFLOAT16: ("<u2", 2),
    "I64": ("<i8", 8),
    "U64": ("<u8", 8),
    "I32": ("<i4", 4),
    "U32": ("<u4", 4),
    "I16": ("<i2", 2),
    "U16": ("<u2", 2),
    "I8": ("<i1", 1),
    "U8": ("<u1", 1),
    "BOOL": ("?", 1),
}
"""Each type's name in numpy and its size."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """A tensor as the header describes it: type, shape, and its byte range after the header."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


class SafetensorsFile:
    """A safetensors file, open for reading; a context manager.

    Arrays that were handed out stay valid after ``close()``: the file stays mapped until the last of them is gone.
    """

    def __init__(self, path: Path) -> None:
        """Map the file and check its header; a `ModelError` where it is missing, damaged, or of an unknown type."""
        self._path = path
        self._map: mmap.mmap | None = _map_file(path)
        try:
            header, self._data_start = _read_header(path, self._map)
            self._metadata = _checked_metadata(path, header.pop("__metadata__", {}))
            self._entries = {name: _checked_entry(path, name, value) for name, value in header.items()}
            _check_ranges(path, self._entries, len(self._map) - self._data_start)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> SafetensorsFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        mapped, self._map = self._map, None
        if mapped is not None:
            try:
                mapped.close()
            except BufferError:
                return  # arrays still look into the map; it goes with the last of them

    @property
    def names(self) -> tuple[str, ...]:
        """The tensors' names, in the header's order."""
        return tuple(self._entries)

    @property
    def metadata(self) -> dict[str, str]:
        """The header's free text entries."""
        return dict(self._metadata)

    def shape(self, name: str) -> tuple[int, ...]:
        """Return a tensor's shape without touching its bytes."""
        return self._entry(name).shape

    def tensor(self, name: str, rows: slice = slice(None)) -> NDArray[Any]:
        """A read-only view of a tensor in the file, of its type; a `ModelError` if there is none, or after ``close()``.

        ``bfloat16``, which numpy lacks, comes as a copy widened to ``float32``, which is exact; ``rows`` of a tensor
        with axes are all that is copied.
        """
        entry = self._entry(name)
        if self._map is None:
            raise ModelError(
                f"{self._path} was closed before tensor {name!r:.200} was read; read it inside of the with block"
            )
        flat = raw_numbers(entry.dtype, self._map, self._data_start + entry.begin, prod(entry.shape))
        value = widened(entry.dtype, flat.reshape(entry.shape)[rows] if entry.shape else flat)
        return value if entry.shape else value.reshape(())

    def _entry(self, name: str) -> _Entry:
        try:
            return self._entries[name]
        except KeyError:
            raise ModelError(
                f"{self._path} holds no tensor {name!r:.200}; it holds {len(self._entries)}, see its names"
            ) from None


def raw_numbers(dtype: str, content: Buffer, start: int, count: int) -> NDArray[Any]:
    """Give a read-only view of numbers in bytes that hold them.

    Args:
        dtype: Their type, as this format calls it.
        content: The bytes.
        start: The first byte of the first number.
        count: How many there are.

    Returns:
        (count,) of the type; of ``bfloat16`` the bits, for `widened`.
    """
    import numpy as np

    numpy_type, _ = _DTYPES[dtype]
    flat: NDArray[Any] = np.frombuffer(content, numpy_type, count, start) if count else np.empty(0, numpy_type)
    flat.flags.writeable = False
    return flat


def widened(dtype: str, raw: NDArray[Any]) -> NDArray[Any]:
    """Widen ``bfloat16``, which numpy lacks, to ``float32``: a copy. Numbers of other types stay as they are."""
    return _widened(raw) if dtype == _BFLOAT16 else raw


def size_of(dtype: str) -> int:
    """Give the bytes that a number of a type takes."""
    return _DTYPES[dtype][1]


def _widened(halves: NDArray[np.uint16]) -> NDArray[Any]:
    """Widen bfloat16, the upper half of a float32, by appending sixteen zero bits."""
    import numpy as np

    wide = (halves.astype(np.uint32) << np.uint32(16)).view(np.float32)
    wide.flags.writeable = False
    return wide


def _malformed(path: Path, what: str) -> ModelError:
    return ModelError(
        f"{path} is not a valid safetensors file: {what}; it is damaged, cut short or something else. "
        "Fetch the file again"
    )


def _map_file(path: Path) -> mmap.mmap:
    """Map a whole file for reading."""
    try:
        with path.open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except ValueError:
        raise _malformed(path, "it is empty") from None
    except OSError as error:
        raise ModelError(
            f"{path} cannot be read ({error.strerror or error}); a safetensors file is expected there"
        ) from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build a JSON object, refusing a key that comes twice: readers differ in which one they take."""
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key that comes twice")
    return result


def _no_constant(text: str) -> None:
    raise ValueError(f"the value {text}")


def _read_header(path: Path, mapped: mmap.mmap) -> tuple[dict[str, Any], int]:
    """Read the header; return it and the position of the first tensor byte."""
    if len(mapped) < _LENGTH_FIELD:
        raise _malformed(path, f"{len(mapped)} bytes in all, where the header's length alone takes {_LENGTH_FIELD}")
    length = int.from_bytes(mapped[:_LENGTH_FIELD], "little")
    if length > _MAX_HEADER_BYTES:
        raise _malformed(path, f"a header of {length} bytes, more than the {_MAX_HEADER_BYTES} allowed")
    start = _LENGTH_FIELD + length
    if start > len(mapped):
        raise _malformed(path, f"a header of {length} bytes in a file of {len(mapped)}")
    text = mapped[_LENGTH_FIELD:start]
    if not text.startswith(b"{"):
        raise _malformed(path, "a header that does not start with '{'")
    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise _malformed(path, f"a header that is not strict JSON ({error})") from None
    return header, start


def _checked_metadata(path: Path, metadata: object) -> dict[str, str]:
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise _malformed(path, "a __metadata__ entry that does not map text to text")
    return metadata


def _checked_entry(path: Path, name: str, value: object) -> _Entry:
    """Check a header entry by itself: its keys, its type, and that its length is what type and shape take."""
    if not isinstance(value, dict) or value.keys() != {"dtype", "shape", "data_offsets"}:
        raise _malformed(path, f"tensor {name!r:.200} without exactly dtype, shape and data_offsets")
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _DTYPES:
        raise ModelError(f"{path}: tensor {name!r:.200} has type {dtype!r:.100}; known here are {', '.join(_DTYPES)}")
    if not _are_sizes(shape) or len(shape) > _MAX_RANK:
        raise _malformed(path, f"tensor {name!r:.200} with shape {shape!r:.100}")
    if not _are_sizes(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise _malformed(path, f"tensor {name!r:.200} with data_offsets {offsets!r:.100}")
    begin, end = offsets
    expected = prod(shape) * _DTYPES[dtype][1]
    if end - begin != expected:
        raise _malformed(
            path, f"tensor {name!r:.200} with {end - begin} bytes, where {dtype} and shape {shape} take {expected}"
        )
    return _Entry(dtype, tuple(shape), begin, end)


def _are_sizes(value: Any) -> bool:
    """Whether this is a list of whole numbers from 0 to 2**63; JSON's true, an int to Python, is none."""
    return isinstance(value, list) and all(type(item) is int and 0 <= item < 1 << 63 for item in value)


def _check_ranges(path: Path, entries: dict[str, _Entry], available: int) -> None:
    """Check that the tensors cover the bytes after the header, each byte once."""
    position = 0
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].begin, item[1].end)):
        if entry.begin != position:
            raise _malformed(
                path, f"tensor {name!r:.200} starts at byte {entry.begin} where {position} is next (overlap or gap)"
            )
        position = entry.end
    if position != available:
        raise _malformed(path, f"the header speaks of {position} bytes of tensors, and {available} follow it")
