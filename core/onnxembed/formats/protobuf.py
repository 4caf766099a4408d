"""The protobuf wire format: as much of it as reading and writing ONNX files takes.

A message is a run of fields, each a key (number and wire type) and a value; a field that holds bytes states their
length, so a reader steps over a tensor of any size without touching it. Fields of an unknown number or an unexpected
wire type are stepped over as well, as every protobuf implementation does: the safety checks that are built on this
reader see the message that the runtime will see.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Protocol

from onnxembed.errors import ModelError

if TYPE_CHECKING:
    import mmap

VARINT = 0
FIXED64 = 1
BYTES = 2
FIXED32 = 5

_FIXED_SIZES = {FIXED64: 8, FIXED32: 4}
_LONGEST_VARINT = 10
_TWO_TO_64 = 1 << 64
_DEFAULT_MAX_FIELDS = 2_000_000
"""Far above any real graph (a large language model's has some hundred thousand), and read in a second or two."""


class WireReader:
    """Steps through the fields of messages in one buffer, at most ``max_fields`` in all, and never outside it."""

    def __init__(self, buffer: bytes | mmap.mmap, source: str, max_fields: int = _DEFAULT_MAX_FIELDS) -> None:
        self._buffer = buffer
        self._source = source
        self._fields_left = max_fields

    def fields(self, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
        """Step through the fields of the message between two positions.

        They are ``(field number, wire type, value, 0)`` for integers, else ``(field number, wire type, first, after
        last)``, positions in the buffer. Bytes that are no protobuf message, end too early, or hold too many fields are
        a `ModelError`.
        """
        buffer = self._buffer
        position = start
        while position < end:
            self._fields_left -= 1
            if self._fields_left < 0:
                raise self.malformed(position, "more fields than any known model has")
            key = buffer[position]
            position += 1
            if key >= 0x80:
                key, position = self._varint(position - 1, end)
            number, wire_type = key >> 3, key & 7
            if number == 0:
                raise self.malformed(position, "a field numbered 0")
            if wire_type == VARINT:
                value, position = self._varint(position, end)
                yield number, wire_type, value, 0
                continue
            if wire_type == BYTES:
                length, position = self._varint(position, end)
            else:
                length = _FIXED_SIZES.get(wire_type, -1)
                if length < 0:
                    raise self.malformed(position, f"wire type {wire_type}, which ONNX does not use")
            after = position + length
            if after > end:
                raise self.malformed(position, f"a field of {length} bytes where {end - position} are left")
            yield number, wire_type, position, after
            position = after

    def text(self, start: int, end: int) -> str:
        """Decode a string field; bytes that are not UTF-8 stay distinguishable, as escapes."""
        return self._buffer[start:end].decode("utf-8", "backslashreplace")

    def ends_of_varints(self, start: int, end: int) -> int:
        """Count the packed integers between two positions."""
        return sum(byte < 0x80 for byte in self._buffer[start:end])

    def malformed(self, position: int, what: str) -> ModelError:
        """The error for bytes that cannot be an ONNX file."""
        return ModelError(
            f"{self._source} is not a valid ONNX file: {what} at byte {position}; it is damaged, cut short or "
            "something else. Fetch the file again, or point to the .onnx file itself"
        )

    def _varint(self, position: int, end: int) -> tuple[int, int]:
        """Read an integer; return it and the position after it."""
        buffer = self._buffer
        value = 0
        for index in range(_LONGEST_VARINT):
            if position >= end:
                raise self.malformed(position, "the end inside of a number")
            byte = buffer[position]
            position += 1
            value |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:
                return value % _TWO_TO_64, position
        raise self.malformed(position, "a number of more than 10 bytes")


def signed64(value: int) -> int:
    """A varint's value as the two's complement ``int64`` that it stands for."""
    return value - _TWO_TO_64 if value >= _TWO_TO_64 >> 1 else value


def encode_varint(value: int) -> bytes:
    """Encode an integer, negative ones in two's complement."""
    value %= _TWO_TO_64
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


class LazyBytes(Protocol):
    """Bytes that are made when they are written: converted tensors need not all be in memory at once."""

    def __len__(self) -> int:
        """Their number."""

    def tobytes(self) -> bytes | memoryview:
        """Make them."""


class MessageWriter:
    """A message under construction, kept as pieces so that large tensors are not copied; methods return it."""

    def __init__(self) -> None:
        self._pieces: list[bytes | LazyBytes] = []
        self._size = 0

    def integer(self, number: int, value: int) -> MessageWriter:
        """Append an integer field."""
        return self._append(encode_varint(number << 3 | VARINT) + encode_varint(value))

    def fixed32(self, number: int, value: bytes) -> MessageWriter:
        """Append a field of exactly four bytes, such as a ``float``."""
        return self._append(encode_varint(number << 3 | FIXED32) + value)

    def text(self, number: int, value: str) -> MessageWriter:
        """Append a string field."""
        return self.data(number, value.encode("utf-8"))

    def data(self, number: int, *parts: bytes | LazyBytes) -> MessageWriter:
        """Append a field of bytes, made of parts."""
        self._append(encode_varint(number << 3 | BYTES) + encode_varint(sum(map(len, parts))))
        for part in parts:
            self._append(part)
        return self

    def message(self, number: int, value: MessageWriter) -> MessageWriter:
        """Append a complete message as a field."""
        self._append(encode_varint(number << 3 | BYTES) + encode_varint(value._size))
        self._pieces.extend(value._pieces)
        self._size += value._size
        return self

    def raw(self, message: bytes) -> MessageWriter:
        """Append fields that are encoded already."""
        return self._append(message)

    def tobytes(self) -> bytes:
        """Give a small message as bytes."""
        return b"".join(piece if isinstance(piece, bytes) else bytes(piece.tobytes()) for piece in self._pieces)

    def write_to(self, file: IO[bytes]) -> None:
        """Write the message."""
        for piece in self._pieces:
            file.write(piece if isinstance(piece, bytes) else piece.tobytes())

    def _append(self, piece: bytes | LazyBytes) -> MessageWriter:
        self._pieces.append(piece)
        self._size += len(piece)
        return self
