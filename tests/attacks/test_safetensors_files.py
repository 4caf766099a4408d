from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from onnxembed.errors import ModelError
from onnxembed.formats.safetensors import SafetensorsFile


def entry(dtype: Any = "F32", shape: Any = (2,), offsets: Any = (0, 8)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def file_bytes(header: Any, data: bytes = bytes(8), length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


_PLAIN = json.dumps(entry())

ATTACKS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "it is empty"),
    "shorter than its length field": (b"\x01\x00", "2 bytes in all"),
    "header past the end": (file_bytes({"a": entry()}, length=5000), "a header of 5000 bytes in a file of"),
    "header of the largest number": (file_bytes({}, length=2**64 - 1), "more than the 100000000 allowed"),
    "header over the bound": (file_bytes({}, length=100_000_001), "more than the 100000000 allowed"),
    "no header": (file_bytes(b""), "does not start with"),
    "header that starts with a space": (file_bytes(b" {}", b""), "does not start with"),
    "header that is a list": (file_bytes([]), "does not start with"),
    "pickle": (b"\x80\x02}q\x00." + bytes(20), "a header of"),
    "header that is no JSON": (file_bytes(b"{'a': 1}"), "not strict JSON"),
    "header that is no UTF-8": (file_bytes(b'{"\xff": {}}'), "not strict JSON"),
    "header nested deeply": (file_bytes(b'{"a":' + b"[" * 200_000), "not strict JSON"),
    "two objects": (file_bytes(b"{}{}"), "not strict JSON"),
    "not a number": (file_bytes(b'{"a": NaN}'), "not strict JSON"),
    "a tensor twice": (file_bytes(f'{{"a": {_PLAIN}, "a": {_PLAIN}}}'.encode()), "comes twice"),
    "a key of a tensor twice": (file_bytes(b'{"a": {"dtype": "F32", "dtype": "I8"}}'), "comes twice"),
    "metadata that is a list": (file_bytes({"__metadata__": []}, b""), "__metadata__"),
    "metadata with a number": (file_bytes({"__metadata__": {"a": 1}}, b""), "__metadata__"),
    "a tensor that is a number": (file_bytes({"a": 1}), "tensor 'a' without exactly"),
    "a tensor without a type": (file_bytes({"a": {"shape": [2], "data_offsets": [0, 8]}}), "without exactly"),
    "a tensor with more": (file_bytes({"a": entry() | {"code": "x"}}), "without exactly"),
    "an unknown type": (file_bytes({"a": entry("F8_E4M3", [8])}), "type 'F8_E4M3'; known here are F64, F32"),
    "a type that is a list": (file_bytes({"a": entry(["F32"])}), r"type \['F32'\]"),
    "a shape that is a number": (file_bytes({"a": entry(shape=2)}), "shape 2"),
    "a negative size": (file_bytes({"a": entry(shape=[-1, -2])}), r"shape \[-1, -2\]"),
    "a size that is true": (file_bytes({"a": entry(shape=[True, 2])}), r"shape \[True, 2\]"),
    "a size with a fraction": (file_bytes({"a": entry(shape=[2.0])}), r"shape \[2.0\]"),
    "a size that overflows": (file_bytes({"a": entry(shape=[2**62, 4])}), "takes? 73786976294838206464"),
    "a size beyond 64 bits": (file_bytes({"a": entry(shape=[2**64, 0])}), "with shape"),
    "too many dimensions": (file_bytes({"a": entry(shape=[1] * 40 + [2])}), "with shape"),
    "one offset": (file_bytes({"a": entry(offsets=[0])}), "data_offsets"),
    "offsets backwards": (file_bytes({"a": entry(offsets=[8, 0])}), "data_offsets"),
    "a negative offset": (file_bytes({"a": entry(offsets=[-8, 0])}), "data_offsets"),
    "offsets past the end": (file_bytes({"a": entry(shape=[4], offsets=[0, 16])}), "16 bytes of tensors, and 8 follow"),
    "a length that does not fit": (file_bytes({"a": entry(shape=[3])}), r"8 bytes, where F32 and shape \[3\] take 12"),
    "overlapping tensors": (
        file_bytes({"a": entry(), "b": entry(shape=[1], offsets=[4, 8])}),
        "tensor 'b' starts at byte 4 where 8 is next",
    ),
    "a gap before": (file_bytes({"a": entry(shape=[1], offsets=[4, 8])}), "starts at byte 4 where 0 is next"),
    "bytes behind": (file_bytes({"a": entry()}, bytes(9)), "8 bytes of tensors, and 9 follow"),
    "cut short": (file_bytes({"a": entry()}, bytes(7)), "8 bytes of tensors, and 7 follow"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_refused(tmp_path: Path, name: str) -> None:
    content, told = ATTACKS[name]
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=told) as caught:
        SafetensorsFile(path)
    assert str(path) in str(caught.value)


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="No such file"):
        SafetensorsFile(tmp_path / "model.safetensors")
    with pytest.raises(ModelError, match="cannot be read"):
        SafetensorsFile(tmp_path)
