from __future__ import annotations

import gc
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxembed.errors import ModelError
from onnxembed.formats.safetensors import SafetensorsFile


def file_bytes(header: dict[str, Any], data: bytes) -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def write(folder: Path, tensors: dict[str, tuple[str, list[int], bytes]], **more: Any) -> Path:
    header: dict[str, Any] = dict(more)
    data = b""
    for name, (dtype, shape, content) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    path = folder / "model.safetensors"
    path.write_bytes(file_bytes(header, data))
    return path


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        ("F64", np.array([1.5, -2], np.float64)),
        ("F32", np.array([1.5, -2], np.float32)),
        ("F16", np.array([1.5, -2], np.float16)),
        ("I64", np.array([2**40, -3], np.int64)),
        ("U64", np.array([2**63, 3], np.uint64)),
        ("I32", np.array([2**30, -3], np.int32)),
        ("U32", np.array([2**31, 3], np.uint32)),
        ("I16", np.array([300, -3], np.int16)),
        ("U16", np.array([65535, 3], np.uint16)),
        ("I8", np.array([100, -3], np.int8)),
        ("U8", np.array([200, 3], np.uint8)),
        ("BOOL", np.array([True, False])),
    ],
)
def test_types(tmp_path: Path, dtype: str, expected: np.ndarray) -> None:
    path = write(tmp_path, {"a": ("U8", [1], b"\7"), "b": (dtype, [2, 1], expected.tobytes())})
    with SafetensorsFile(path) as file:
        given = file.tensor("b")
    assert given.dtype == expected.dtype
    np.testing.assert_array_equal(given, expected[:, None])
    assert not given.flags.writeable


def test_bfloat16_is_widened_exactly(tmp_path: Path) -> None:
    patterns = np.array([0x3FC0, 0xC000, 0x7F80, 0x0001, 0x8000], np.uint16)
    with SafetensorsFile(write(tmp_path, {"a": ("BF16", [5], patterns.tobytes())})) as file:
        given = file.tensor("a")
    assert given.dtype == np.float32
    np.testing.assert_array_equal(given, np.array([1.5, -2.0, np.inf, 2.0**-133, -0.0], np.float32))
    assert np.signbit(given[4])
    assert not given.flags.writeable


def test_names_shapes_and_metadata(tmp_path: Path) -> None:
    tensors = {
        "z": ("F32", [2, 3], bytes(24)),
        "empty": ("F32", [0, 5], b""),
        "a": ("I64", [], (7).to_bytes(8, "little")),
    }
    with SafetensorsFile(write(tmp_path, tensors, __metadata__={"format": "pt"})) as file:
        assert file.names == ("z", "empty", "a")
        assert file.metadata == {"format": "pt"}
        assert [file.shape(name) for name in file.names] == [(2, 3), (0, 5), ()]
        assert file.tensor("empty").shape == (0, 5)
        assert not file.tensor("empty").flags.writeable
        assert file.tensor("a").item() == 7


def test_a_file_without_tensors(tmp_path: Path) -> None:
    with SafetensorsFile(write(tmp_path, {})) as file:
        assert file.names == ()
        assert file.metadata == {}


def test_arrays_outlive_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, {"a": ("I32", [3], np.arange(3, dtype=np.int32).tobytes())})
    with SafetensorsFile(path) as file:
        view = file.tensor("a")[1:]
    path.unlink()
    gc.collect()
    assert view.tolist() == [1, 2]
    with pytest.raises(ModelError, match="was closed before tensor 'a' was read"):
        file.tensor("a")
    file.close()


def test_unknown_names(tmp_path: Path) -> None:
    path = write(tmp_path, {"a": ("U8", [1], b"\0")})
    with SafetensorsFile(path) as file:
        with pytest.raises(ModelError, match="no tensor 'b'"):
            file.tensor("b")
        with pytest.raises(ModelError, match=r"model\.safetensors holds no tensor"):
            file.shape("b")


SOUND = file_bytes(
    {
        "__metadata__": {"k": "v"},
        "a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
        "b": {"dtype": "I8", "shape": [1, 3], "data_offsets": [8, 11]},
    },
    bytes(11),
)


@settings(max_examples=300, deadline=2000)
@given(
    edits=st.lists(st.tuples(st.integers(0, len(SOUND) - 1), st.integers(0, 255)), max_size=4),
    end=st.one_of(st.just(len(SOUND)), st.integers(0, len(SOUND))),
    digit=st.tuples(st.integers(0, len(SOUND) - 1), st.sampled_from(b'0123456789-.e"{}[],:')),
)
def test_damaged_files(edits: list[tuple[int, int]], end: int, digit: tuple[int, int]) -> None:
    damaged = bytearray(SOUND[:end])
    for position, byte in (*edits, digit):
        if position < len(damaged):
            damaged[position] = byte
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        path.write_bytes(damaged)
        try:
            with SafetensorsFile(path) as file:
                sizes = [file.tensor(name).size for name in file.names]
        except ModelError as error:
            assert str(path) in str(error)  # noqa: PT017 - either end is right
        else:
            assert sum(sizes) <= 11


@pytest.mark.parametrize("dtype", ["F32", "BF16"])
def test_some_rows(tmp_path: Path, dtype: str) -> None:
    whole = np.arange(12, dtype=np.float32)
    stored = whole if dtype == "F32" else (whole.view(np.uint32) >> 16).astype(np.uint16)
    path = write(tmp_path, {"a": (dtype, [4, 3], stored.tobytes()), "b": (dtype, [], stored[5:6].tobytes())})
    with SafetensorsFile(path) as file:
        rows, one = file.tensor("a", slice(1, 3)), file.tensor("b")
    np.testing.assert_array_equal(rows, whole.reshape(4, 3)[1:3])
    assert not rows.flags.writeable
    assert one.shape == ()
    assert one == 5
