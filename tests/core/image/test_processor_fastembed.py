"""Processors give the numbers that fastembed 0.9.1 gives, on a picture made of three slopes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from onnxembed.image.processor_config import read_processor

CLIP_MEAN, CLIP_STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
IMAGENET_MEAN, IMAGENET_STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]

ROWS: list[tuple[dict[str, Any], tuple[int, int], float, float, list[float], list[float]]] = [
    (
        {
            "image_processor_type": "CLIPImageProcessor",
            "do_resize": True,
            "size": {"shortest_edge": 32},
            "do_center_crop": True,
            "crop_size": 32,
            "do_normalize": True,
            "image_mean": CLIP_MEAN,
            "image_std": CLIP_STD,
        },
        (32, 32), 0.224903, 0.954599, [-1.339711, -1.737089, -1.124718], [-0.434609, 0.063843, 0.53903],
    ),
    (
        {
            "image_processor_type": "SiglipImageProcessor",
            "do_resize": True,
            "size": {"height": 24, "width": 40},
            "resample": 2,
            "do_normalize": True,
            "image_mean": [0.5, 0.5, 0.5],
            "image_std": [0.5, 0.5, 0.5],
        },
        (24, 40), -0.000169, 0.550309, [-0.984314, -0.968627, -0.976471], [-0.341176, -0.035294, 0.07451],
    ),
    (
        {
            "image_processor_type": "ConvNextFeatureExtractor",
            "size": {"shortest_edge": 28},
            "crop_pct": 0.875,
            "do_normalize": True,
            "image_mean": IMAGENET_MEAN,
            "image_std": IMAGENET_STD,
        },
        (28, 28), 0.318936, 1.037452, [-1.364415, -1.755602, -1.054989], [-0.422553, 0.082633, 0.757647],
    ),
    (
        {
            "image_processor_type": "JinaCLIPImageProcessor",
            "size": 40,
            "interpolation": "bicubic",
            "mean": CLIP_MEAN,
            "std": CLIP_STD,
        },
        (40, 40), 0.212859, 0.952878, [-1.368908, -1.737089, -1.167378], [-0.449207, 0.048835, 0.52481],
    ),
    ({}, (48, 64), 0.498584, 0.278488, [0, 0, 0], [0.329412, 0.470588, 0.529412]),
    (
        {"do_center_crop": True, "crop_size": 65, "do_rescale": False},
        (65, 65), 92.442764, 82.910797, [0, 0, 0], [80, 115, 129],
    ),
]  # fmt: skip


def slopes() -> Image.Image:
    y, x = np.mgrid[0:48, 0:64]
    return Image.fromarray(np.stack([4 * x % 256, 5 * y % 256, 3 * (x + y) % 256], axis=-1).astype(np.uint8))


@pytest.mark.parametrize(
    ("config", "size", "mean", "std", "corner", "inner"),
    ROWS,
    ids=["CLIP", "SigLIP", "ConvNeXT", "Jina CLIP", "no options", "centre crop"],
)
def test_golden_numbers(
    config: dict[str, Any],
    size: tuple[int, int],
    mean: float,
    std: float,
    corner: list[float],
    inner: list[float],
) -> None:
    got = read_processor(config)(slopes())
    assert got.dtype == np.float32
    assert got.shape == (3, *size)
    assert got.astype(np.float64).mean() == pytest.approx(mean, abs=2e-6, rel=1e-7)
    assert got.astype(np.float64).std() == pytest.approx(std, abs=2e-6, rel=1e-7)
    np.testing.assert_allclose(got[:, 0, 0], corner, rtol=0, atol=1e-6)
    np.testing.assert_allclose(got[:, size[0] // 2, size[1] // 3], inner, rtol=0, atol=1e-6)
