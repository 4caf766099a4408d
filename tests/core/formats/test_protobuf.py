from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxembed.errors import ModelError
from onnxembed.formats.protobuf import BYTES, FIXED32, VARINT, MessageWriter, WireReader, encode_varint, signed64


def written(message: MessageWriter) -> bytes:
    file = io.BytesIO()
    message.write_to(file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("value", "encoded"),
    [(0, b"\0"), (127, b"\x7f"), (128, b"\x80\x01"), (300, b"\xac\x02"), (-1, b"\xff" * 9 + b"\x01")],
)
def test_varints(value: int, encoded: bytes) -> None:
    assert encode_varint(value) == encoded


@given(st.integers(-(2**63), 2**63 - 1))
def test_integers_come_back(value: int) -> None:
    content = written(MessageWriter().integer(3, value))
    ((number, wire_type, read, _),) = WireReader(content, "file").fields(0, len(content))
    assert (number, wire_type, signed64(read)) == (3, VARINT, value)


def test_messages_come_back() -> None:
    inner = MessageWriter().text(1, "naïve").fixed32(2, b"abcd")
    content = written(MessageWriter().message(2000, inner).data(4, memoryview(b"xyz")))
    reader = WireReader(content, "file")
    outer = list(reader.fields(0, len(content)))
    assert [field[:2] for field in outer] == [(2000, BYTES), (4, BYTES)]
    assert content[outer[1][2] : outer[1][3]] == b"xyz"
    text, fixed = reader.fields(outer[0][2], outer[0][3])
    assert reader.text(text[2], text[3]) == "naïve"
    assert (fixed[1], content[fixed[2] : fixed[3]]) == (FIXED32, b"abcd")


def test_text_that_is_not_unicode_stays_distinguishable() -> None:
    reader = WireReader(b"\xff\xfe", "file")
    assert reader.text(0, 1) != reader.text(1, 2)


def test_the_number_of_fields_is_bounded_over_all_messages() -> None:
    reader = WireReader(b"\x08\x01" * 6, "hostile.onnx", max_fields=10)
    assert len(list(reader.fields(0, 12))) == 6
    with pytest.raises(ModelError, match=r"hostile\.onnx .*more fields than any known model has at byte 8"):
        list(reader.fields(0, 12))


def test_nothing_is_read_past_the_message() -> None:
    # The number goes on in the next message, whose bytes are there but not this one's.
    with pytest.raises(ModelError, match="the end inside of a number"):
        list(WireReader(b"\x08\x80\x01", "file").fields(0, 2))
