"""Sizes that headers declare, read before a reader makes room for them.

Most of Pillow's readers only look at the header when they are made, and their size is checked then. Here are those that
set up a canvas at once, that hold other files with sizes of their own, or that work for as long as the header says.
"""

from __future__ import annotations

from collections.abc import Iterator

Size = tuple[int, int]

_PNG = b"\x89PNG\r\n\x1a\n"
_CODESTREAM = b"\xff\x4f\xff\x51"
_JPEG_2000 = _CODESTREAM, b"\r\n\x87\n", b"\0\0\0\x0cjP  "
# An icon file has some ten pictures.
_MOST_PARTS = 256
_UNKNOWN = 1, 1  # passes every limit: the reader will refuse such a header


def webp_size(data: bytes) -> Size:
    """The canvas of a WebP file (RFC 9649)."""
    kind, head = data[12:16], data[20:30]
    if len(head) < 10:
        return _UNKNOWN
    if kind == b"VP8X":
        return int.from_bytes(head[4:7], "little") + 1, int.from_bytes(head[7:10], "little") + 1
    if kind == b"VP8L":
        packed = int.from_bytes(head[1:5], "little")
        return (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1
    return int.from_bytes(head[6:8], "little") & 0x3FFF or 1, int.from_bytes(head[8:10], "little") & 0x3FFF or 1


def ico_size(data: bytes) -> Size:
    """The largest picture in an ICO file, by the picture's own header; the directory has no room for the truth."""
    count = int.from_bytes(data[4:6], "little")
    starts = (int.from_bytes(data[18 + 16 * i : 22 + 16 * i], "little") for i in _parts(count))
    return _largest(data[start : start + 24] for start in starts)


def icns_size(data: bytes) -> Size:
    """The largest picture in an ICNS file, by the picture's own header; ValueError if its parts overlap."""

    def parts() -> Iterator[bytes]:
        start = 8
        for _ in _parts(_MOST_PARTS):
            head = data[start : start + 8]
            if len(head) < 8:
                return
            length = int.from_bytes(head[4:], "big")
            if length < 8:
                raise ValueError(f"a part of {length} bytes")
            yield data[start + 8 : start + length]
            start += length
        raise ValueError(f"more than {_MOST_PARTS} parts")

    return _largest(parts())


def dds_size(data: bytes) -> Size:
    """The size of a DDS file; ValueError where uncompressed pixels are missing, for its reader would read on and on."""
    height, width = (int.from_bytes(data[start : start + 4], "little") for start in (12, 16))
    flags, bits = (int.from_bytes(data[start : start + 4], "little") for start in (80, 88))
    uncompressed = 0x40
    if flags & uncompressed and len(data) - 128 < width * height * (bits // 8):
        raise ValueError(f"{max(0, len(data) - 128)} bytes for {width} x {height} pixels")
    return width, height


def _parts(count: int) -> range:
    if count > _MOST_PARTS:
        raise ValueError(f"{count} pictures, more than {_MOST_PARTS}")
    return range(count)


def _largest(parts: Iterator[bytes]) -> Size:
    return max(map(_inner_size, parts), key=lambda size: size[0] * size[1], default=_UNKNOWN)


def _inner_size(part: bytes) -> Size:
    """(width, height) of a PNG, a JPEG 2000 codestream (ISO 15444-1, A.5.1) or a DIB inside an icon file."""
    if part.startswith(_PNG):
        return int.from_bytes(part[16:20], "big"), int.from_bytes(part[20:24], "big")
    if part.startswith(_JPEG_2000):
        start = part.find(_CODESTREAM)
        x1, y1, x0, y0 = (int.from_bytes(part[start + at : start + at + 4], "big") for at in (8, 12, 16, 20))
        return max(x1 - x0, 0), max(y1 - y0, 0)
    head = int.from_bytes(part[:4], "little")
    if head == 12:
        return int.from_bytes(part[4:6], "little"), int.from_bytes(part[6:8], "little")
    if head in (40, 52, 56, 64, 108, 124):
        width, height = (int.from_bytes(part[at : at + 4], "little", signed=True) for at in (4, 8))
        return abs(width), abs(height)
    return _UNKNOWN
