from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnxembed.errors import ModelError, UnsafeModelError
from onnxembed.formats.shards import open_tensors, shard_names
from onnxembed.formats.weight_files import INDEX_FILE, WEIGHTS_FILE
from tests.fixtures.dense_models import write_safetensors

FIRST, SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"


def write_shards(folder: Path, weight_map: Any = None) -> Path:
    """Two files of two tensors, and an index that says so, or something else."""
    write_safetensors(folder / FIRST, {"a": np.arange(3, dtype=np.float32), "b": np.ones((2, 2), np.float32)})
    write_safetensors(folder / SECOND, {"c": np.full(4, 7, np.float16)})
    places = {"a": FIRST, "b": FIRST, "c": SECOND} if weight_map is None else weight_map
    (folder / INDEX_FILE).write_text(json.dumps({"metadata": {"total_size": 36}, "weight_map": places}))
    return folder / INDEX_FILE


def test_tensors_come_from_the_file_that_the_index_names(tmp_path: Path) -> None:
    tensors = open_tensors(write_shards(tmp_path))
    assert tensors.names == ("a", "b", "c")
    assert tensors.shape("b") == (2, 2)
    np.testing.assert_array_equal(tensors.tensor("a"), [0, 1, 2])
    np.testing.assert_array_equal(tensors.tensor("c"), np.full(4, 7, np.float16))
    tensors.close()
    with pytest.raises(ModelError, match="was closed before tensor 'a' was read"):
        tensors.tensor("a")


def test_one_file(tmp_path: Path) -> None:
    write_safetensors(tmp_path / WEIGHTS_FILE, {"a": np.zeros(2, np.float32)})
    tensors = open_tensors(tmp_path / WEIGHTS_FILE)
    assert tensors.names == ("a",)
    tensors.close()


def test_files_of_an_index() -> None:
    content = json.dumps({"weight_map": {"a": SECOND, "b": FIRST, "c": SECOND}}).encode()
    assert shard_names(content, "the index") == (SECOND, FIRST)


@pytest.mark.parametrize(
    "place",
    ["../model.safetensors", "/etc/model.safetensors", "a/model.safetensors", "..\\x.safetensors", "C:x.safetensors",
     "x.safetensors\0", "model.bin", ".."],
)  # fmt: skip
def test_files_elsewhere_are_refused_before_any_is_opened(tmp_path: Path, place: str) -> None:
    index = write_shards(tmp_path, {"a": place})
    with pytest.raises(UnsafeModelError, match=r"expected the name of a \.safetensors file beside it"):
        open_tensors(index)
    with pytest.raises(UnsafeModelError):
        shard_names(index.read_bytes(), "the index")


@pytest.mark.parametrize("weight_map", [{}, [FIRST], {"a": 1}, {"a": None}, "a", 7], ids=str)
def test_an_index_that_maps_nothing(tmp_path: Path, weight_map: Any) -> None:
    with pytest.raises(ModelError, match="weight_map is no object of names"):
        open_tensors(write_shards(tmp_path, weight_map))


@pytest.mark.parametrize(
    ("weight_map", "told"),
    [
        ({"a": FIRST, "b": FIRST, "c": FIRST}, "are not where it says: c in"),
        ({"a": FIRST, "b": FIRST, "c": SECOND, "d": SECOND}, "are not where it says: d in"),
        ({"a": FIRST, "c": SECOND}, "without being listed there: b in"),
    ],
)
def test_an_index_of_other_files(tmp_path: Path, weight_map: dict[str, str], told: str) -> None:
    with pytest.raises(ModelError, match=told):
        open_tensors(write_shards(tmp_path, weight_map))


def test_a_tensor_in_two_files(tmp_path: Path) -> None:
    index = write_shards(tmp_path)
    write_safetensors(tmp_path / SECOND, {"a": np.zeros(3, np.float32), "c": np.full(4, 7, np.float16)})
    with pytest.raises(ModelError, match=f"without being listed there: a in {SECOND}"):
        open_tensors(index)


def test_a_file_that_is_missing(tmp_path: Path) -> None:
    index = write_shards(tmp_path)
    (tmp_path / SECOND).unlink()
    with pytest.raises(ModelError, match=rf"{SECOND} cannot be read"):
        open_tensors(index)
