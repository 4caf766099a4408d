"""Zip archives whose entries are stored as they are, not compressed: what PyTorch writes.

Files come from strangers. Only the list at the end of an archive is read, which says where every entry lies; its size
is bounded, and no entry unfolds into more bytes than it takes in the file.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from onnxembed.errors import ModelError

SIGNATURE = b"PK\x03\x04"
"""What an archive begins with."""

_END = struct.Struct("<4s4HIIH")
_END_SIGNATURE = b"PK\x05\x06"
_LOCATOR = struct.Struct("<4sIQI")
_LARGE_END = struct.Struct("<4sQ2H2I4Q")
_ENTRY = struct.Struct("<4s6H3I5H2I")
_ENTRY_SIGNATURE = b"PK\x01\x02"
_LOCAL = struct.Struct("<4s5H3I2H")
_ENCRYPTED = 1
_MOST_ENTRIES = 10_000
_LONGEST_LIST = 2_000_000  # bytes
_LONGEST_COMMENT = 0xFFFF


def stored_entries(content: memoryview, where: str) -> Mapping[str, memoryview]:
    """Give the bytes of each entry of an archive by its name.

    Args:
        content: The whole file.
        where: Its path, for messages.

    Returns:
        Views of the file.

    Raises:
        ModelError: The archive is damaged, too large, or holds compressed or encrypted entries.
    """
    try:
        start, size, count = _list_of_entries(content)
    except (struct.error, ValueError) as error:
        raise _damaged(where, f"it has no list of its entries ({error})") from None
    if count > _MOST_ENTRIES or size > _LONGEST_LIST:
        raise _damaged(where, f"{count} entries listed in {size} bytes, more than the {_MOST_ENTRIES} allowed")
    entries: dict[str, memoryview] = {}
    position, end = start, start + size
    for _ in range(count):
        try:
            name, data, position = _entry(content, position, end)
        except (struct.error, ValueError) as error:
            raise _damaged(where, f"an entry of its list cannot be read ({error})") from None
        if name in entries:
            raise _damaged(where, f"the entry {name!r:.200} comes twice")
        entries[name] = data
    return entries


def _list_of_entries(content: memoryview) -> tuple[int, int, int]:
    """Where the list of entries begins, its bytes, and how many there are."""
    tail = bytes(content[-(_END.size + _LONGEST_COMMENT) :])
    at = tail.rfind(_END_SIGNATURE)
    if at < 0:
        raise ValueError("no end record")
    place = len(content) - len(tail) + at
    _, disk, first_disk, _, count, size, start, _ = _END.unpack_from(content, place)
    if place >= _LOCATOR.size:
        signature, _, large, _ = _LOCATOR.unpack_from(content, place - _LOCATOR.size)
        if signature == b"PK\x06\x07":  # numbers of 64 bits stand in a record of their own
            fields = _LARGE_END.unpack_from(content, large) if large < len(content) else (b"",)
            if fields[0] != b"PK\x06\x06":
                raise ValueError("no record of 64-bit numbers where its locator says")
            disk, first_disk, count, size, start = fields[4], fields[5], fields[7], fields[8], fields[9]
    if disk or first_disk:
        raise ValueError("a part of several")
    if start + size > len(content):
        raise ValueError("the list lies beyond the end of the file")
    return start, size, count


def _entry(content: memoryview, position: int, end: int) -> tuple[str, memoryview, int]:
    """Name and bytes of the entry that is described at a position, and the next position."""
    if position + _ENTRY.size > end:
        raise ValueError("fewer of them than it says")
    fields = _ENTRY.unpack_from(content, position)
    signature, flags, method, packed, size = fields[0], fields[3], fields[4], fields[8], fields[9]
    name_length, extra_length, comment_length, local = fields[10], fields[11], fields[12], fields[16]
    if signature != _ENTRY_SIGNATURE:
        raise ValueError("no description where one is next")
    following = position + _ENTRY.size + name_length + extra_length + comment_length
    name = str(content[position + _ENTRY.size : position + _ENTRY.size + name_length], "utf-8")
    if flags & _ENCRYPTED or method or packed != size:
        raise ValueError(f"{name!r:.200} is compressed or encrypted")
    if local + _LOCAL.size > len(content):
        raise ValueError(f"{name!r:.200} lies beyond the end of the file")
    header = _LOCAL.unpack_from(content, local)
    data = local + _LOCAL.size + header[9] + header[10]
    if header[0] != SIGNATURE or data + size > len(content):
        raise ValueError(f"{name!r:.200} lies beyond the end of the file")
    return name, content[data : data + size], following


def _damaged(where: str, what: str) -> ModelError:
    return ModelError(f"{where} is not a valid zip archive of tensors: {what}; fetch the file again")
