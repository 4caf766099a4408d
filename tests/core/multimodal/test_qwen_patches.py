"""Patches as Qwen2-VL reads them: sizes, order, and transformers' processor that works with Pillow."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnxembed.errors import InputError, ModelError, UnsupportedModelError
from onnxembed.multimodal.qwen_patches import Patching, read_patching
from tests.fixtures.dense_tokenizers import write_json
from tests.fixtures.image_digest import digest
from tests.fixtures.images import OLD_PILLOW, picture


def patching(folder: Path, **config: Any) -> Patching:
    write_json(folder / "preprocessor_config.json", {"image_processor_type": "Qwen2VLImageProcessor"} | config)
    return read_patching(folder)


@pytest.mark.skipif(OLD_PILLOW, reason="made with Pillow 13; before 11.3 resizing rounds otherwise")
def test_patches_equal_those_of_transformers_for_twenty_sizes(golden: dict[str, Any], tmp_path: Path) -> None:
    cases = golden["patches"]
    assert len(cases) == len({tuple(case["size"]) for case in cases}) == 20
    cut = patching(tmp_path)
    for number, case in enumerate(cases):
        width, height = case["size"]
        resized, grid = cut.resize(picture(width, height, seed=number))
        values = cut.flatten(resized)
        assert [1, *grid] == case["grid"]
        assert values.shape == (grid[0] * grid[1], 1176)
        assert values.dtype == np.float32
        assert {key: case[key] for key in ("shape", "hash", "points", "means")} == digest(np.stack([values] * 3))
        assert cut.tokens(grid) == math.prod(grid) // 4


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((28, 28), (56, 56)),  # enlarged to the lowest number of pixels
        ((100, 100), (112, 112)),
        ((42, 70), (56, 56)),  # one and a half tokens and two and a half: both are rounded to even
        ((2000, 1000), (1400, 700)),
        ((1, 200), (28, 812)),
        ((56, 56), (56, 56)),
    ],
)
def test_sizes(size: tuple[int, int], expected: tuple[int, int], tmp_path: Path) -> None:
    cut = patching(tmp_path)
    width, height = cut.size(*size)
    assert width % 28 == height % 28 == 0
    assert (width, height) == expected
    assert cut.size(*reversed(size)) == (height, width)
    assert width * height <= cut.max_pixels


def test_order_of_patches_and_numbers(tmp_path: Path) -> None:
    cut = patching(tmp_path, do_rescale=False, do_normalize=False, min_pixels=1, patch_size=2)
    image = picture(12, 8)
    resized, grid = cut.resize(image)
    assert (resized.size, grid) == ((12, 8), (4, 6))
    pixels = np.asarray(image, dtype=np.float32)
    values = cut.flatten(resized).reshape(24, 3, 2, 2, 2)
    # The second token's third patch is its lower left one: rows 2 and 3, columns 4 and 5.
    for frame in range(2):
        assert (values[6, :, frame] == pixels[2:4, 4:6].transpose(2, 0, 1)).all()
    assert (values[0, :, 0] == pixels[:2, :2].transpose(2, 0, 1)).all()
    assert (values[-1, 1, 1] == pixels[6:, 10:, 1]).all()


def test_proportions_beyond_the_bound(tmp_path: Path) -> None:
    cut = patching(tmp_path)
    assert cut.size(200, 1) == (812, 28)
    with pytest.raises(InputError, match="201 x 1 pixels has one side more than 200 times the other"):
        cut.size(201, 1)


@pytest.mark.parametrize(
    ("config", "bounds"),
    [
        ({}, (3136, 1_003_520)),
        ({"min_pixels": 5000, "max_pixels": 600_000}, (5000, 600_000)),
        ({"size": {"shortest_edge": 4000, "longest_edge": 500_000}}, (4000, 500_000)),
        ({"size": {"min_pixels": 4001, "max_pixels": 500_001}}, (4001, 500_001)),
        ({"size": {"shortest_edge": 4000, "longest_edge": 500_000}, "max_pixels": 7777}, (4000, 7777)),
    ],
)
def test_bounds(config: dict[str, Any], bounds: tuple[int, int], tmp_path: Path) -> None:
    cut = patching(tmp_path, **config)
    assert (cut.min_pixels, cut.max_pixels) == bounds
    assert (cut.patch, cut.frames, cut.merge, cut.resample) == (14, 2, 2, 3)
    assert cut.levels.mean == (0.48145466, 0.4578275, 0.40821073)


@pytest.mark.parametrize(
    ("config", "error", "message"),
    [
        (
            {"image_processor_type": "ViTImageProcessor"},
            UnsupportedModelError,
            "expected to name Qwen2VLImageProcessor",
        ),
        ({"do_resize": False}, UnsupportedModelError, "no resizing"),
        ({"min_pixels": 9000, "max_pixels": 8000}, ModelError, "min_pixels 9000 is more than max_pixels 8000"),
        ({"patch_size": "14"}, ModelError, "patch_size is '14'"),
    ],
)
def test_malformed_entries(config: dict[str, Any], error: type[Exception], message: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=message):
        patching(tmp_path, **config)
