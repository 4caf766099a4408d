"""Pictures cut into tiles: the published sizes, and transformers' Idefics3 processor that works with Pillow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from onnxembed.errors import ModelError, UnsupportedModelError
from onnxembed.multimodal.tiles import Tiling, read_tiling
from tests.fixtures.dense_tokenizers import write_json
from tests.fixtures.image_digest import digest
from tests.fixtures.images import OLD_PILLOW, picture

# Mean of each tile, the whole last, of a picture of slopes; longest edge 64, tiles of 16.
MEANS = (
    -0.705882, -0.413072, -0.120261, 0.172549, -0.371242, -0.078431, 0.214379, 0.389542, -0.036601, 0.256209, 0.431373,
    0.227451, -0.002022,
)  # fmt: skip


def tiling(folder: Path, **config: Any) -> Tiling:
    write_json(folder / "preprocessor_config.json", {"image_processor_type": "Idefics3ImageProcessor"} | config)
    return read_tiling(folder)


def slopes() -> Image.Image:
    y, x = np.mgrid[0:48, 0:64]
    return Image.fromarray(np.stack([4 * x % 256, 5 * y % 256, 3 * (x + y) % 256], axis=-1).astype(np.uint8))


def numbers(cut: Tiling, image: Image.Image) -> tuple[np.ndarray, tuple[int, int]]:
    parts, grid = cut.cut(image)
    return np.stack([cut.levels(part) for part in parts]), grid


def test_picture_of_slopes(tmp_path: Path) -> None:
    sizes = {"size": {"longest_edge": 64}, "max_image_size": {"longest_edge": 16}}
    values, grid = numbers(tiling(tmp_path, **sizes), slopes())
    assert grid == (3, 4)
    assert values.shape == (13, 3, 16, 16)
    assert values.mean(axis=(1, 2, 3)) == pytest.approx(MEANS, abs=1e-6)
    assert values[-1][:, 5, 7] == pytest.approx((-0.07451, -0.372549, 0.07451), abs=1e-6)
    values, grid = numbers(tiling(tmp_path, **sizes, do_image_splitting=False), slopes())
    assert grid == (0, 0)
    assert values.shape == (1, 3, 16, 16)
    assert values.mean() == pytest.approx(-0.002022, abs=1e-6)
    assert values[0][:, 0, 0] == pytest.approx((-0.952941, -0.960784, -0.937255), abs=1e-6)


@pytest.mark.parametrize(
    ("size", "grid"),
    [
        ((150, 100), (0, 0)),
        ((512, 33), (0, 0)),
        ((33, 512), (0, 0)),
        ((2048, 1448), (3, 4)),
        ((1448, 2048), (4, 3)),
    ],
)
def test_sides_become_whole_tiles(size: tuple[int, int], grid: tuple[int, int], tmp_path: Path) -> None:
    cut = tiling(tmp_path, do_resize=False, max_image_size={"longest_edge": 512})
    parts, found = cut.cut(picture(*size))
    assert found == grid
    assert {part.size for part in parts} == {(512, 512)}
    assert len(parts) == (grid[0] * grid[1] + 1 if grid[0] else 1)


def test_largest_picture_has_seventeen_tiles(tmp_path: Path) -> None:
    cut = tiling(tmp_path, size={"longest_edge": 2048}, max_image_size={"longest_edge": 512})
    assert (len(cut.cut(picture(700, 690))[0]), cut.cut(picture(700, 690))[1]) == (17, (4, 4))
    assert cut.cut(picture(500, 3))[1] == (1, 4)


def test_longest_edge_has_the_bound_of_transformers(tmp_path: Path) -> None:
    cut = tiling(tmp_path, size={"longest_edge": 8192}, max_image_size={"longest_edge": 2048})
    assert cut.cut(picture(64, 30))[1] == (1, 2)
    assert cut.cut(picture(30, 64))[1] == (2, 1)


@pytest.mark.skipif(OLD_PILLOW, reason="made with Pillow 13; before 11.3 resizing rounds otherwise")
def test_tiles_equal_those_of_transformers(golden: dict[str, Any], tmp_path: Path) -> None:
    cases = golden["tiles"]
    assert len(cases) == 40
    assert {case["split"] for case in cases} == {True, False}
    seeds = {tuple(case["size"]): number for number, case in enumerate(cases[:20])}
    for split in (True, False):
        cut = tiling(
            tmp_path,
            size={"longest_edge": 130},
            max_image_size={"longest_edge": 32},
            do_image_splitting=split,
        )
        for case in (case for case in cases if case["split"] == split):
            width, height = case["size"]
            values, grid = numbers(cut, picture(width, height, seed=seeds[width, height]))
            assert list(grid) == case["grid"]
            column = values.transpose(1, 0, 2, 3).reshape(3, -1, values.shape[-1])
            assert {key: case[key] for key in ("shape", "hash", "points", "means")} == digest(column)


def test_defaults_are_those_of_transformers(tmp_path: Path) -> None:
    cut = tiling(tmp_path)
    assert (cut.longest_edge, cut.tile, cut.split, cut.resample) == (1456, 364, True, 1)
    assert (cut.levels.mean, cut.levels.std) == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    assert cut.levels.rescale_factor == 1 / 255


def test_processor_within_another_file(tmp_path: Path) -> None:
    nested = {"image_processor_type": "Idefics3ImageProcessorFast", "max_image_size": {"longest_edge": 99}}
    (tmp_path / "processor_config.json").write_text(json.dumps({"image_processor": nested}), encoding="utf-8")
    assert read_tiling(tmp_path).tile == 99


@pytest.mark.parametrize(
    ("config", "error", "message"),
    [
        ({"image_processor_type": "CLIPImageProcessor"}, UnsupportedModelError, "expected to name Idefics3"),
        ({"size": {"height": 5, "width": 5}}, ModelError, "expected {'longest_edge': pixels}"),
        ({"max_image_size": {"longest_edge": 0}}, ModelError, "max_image_size.longest_edge is 0"),
        ({"max_image_size": {"longest_edge": True}}, ModelError, "longest_edge is True"),
        ({"do_image_splitting": "no"}, ModelError, "do_image_splitting is 'no'"),
        ({"resample": 99}, ModelError, "resample is 99"),
        ({"image_mean": [1, 2]}, ModelError, "image_mean"),
    ],
)
def test_malformed_entries(config: dict[str, Any], error: type[Exception], message: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=message):
        tiling(tmp_path, **config)


def test_missing_config(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"preprocessor_config\.json is missing"):
        read_tiling(tmp_path)
