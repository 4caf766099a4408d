"""Processors give what transformers' Pillow processors give, for pictures of every kind."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import pytest

from onnxembed.image.loading import ImageLimits, load_image
from onnxembed.image.processor import ImageProcessor
from onnxembed.image.processor_config import read_processor
from tests.fixtures.image_digest import digest
from tests.fixtures.images import OLD_PILLOW, Case, cases

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "image_processors.json").read_text("utf-8"))
SAME_PILLOW = GOLDEN["made_with"]["pillow"] == PIL.__version__
CASES = {case.name: case for case in cases() if "4000x3000" not in case.name}


# Only the part that the crop keeps is computed of these.
WITHIN_A_LEVEL = ("size 640x480", "size 800x600", "size 1024x768", "size 4000x3000")


def one_level(processor: ImageProcessor) -> float:
    """What a difference of one level of 255 becomes in the result, rounding of the golden file included."""
    scale = 1.0 if processor.rescale_factor is None else processor.rescale_factor
    return scale / (min(processor.std) if processor.std else 1.0) * 1.001 + 0.001


def check(case: Case, name: str) -> None:
    picture = load_image(case.source, 0, ImageLimits())
    picture_is_exact = hashlib.sha256(np.asarray(picture).tobytes()).hexdigest()[:16] == GOLDEN["pictures"][case.name]
    processor = read_processor(GOLDEN["configs"][name])
    expected: dict[str, Any] = GOLDEN["results"][name][case.name]
    got = digest(processor(picture))
    assert got["shape"] == expected["shape"]
    np.testing.assert_allclose(got["points"], expected["points"], rtol=0, atol=one_level(processor))
    np.testing.assert_allclose(got["means"], expected["means"], rtol=0, atol=one_level(processor))
    if SAME_PILLOW and not case.blended:
        assert picture_is_exact
        assert got["hash"] == expected["hash"] or case.name in WITHIN_A_LEVEL


def test_golden_file_has_every_case() -> None:
    assert set(GOLDEN["pictures"]) == {case.name for case in cases()}
    assert len(GOLDEN["pictures"]) >= 60
    assert all(set(rows) == set(GOLDEN["pictures"]) for rows in GOLDEN["results"].values())


@pytest.mark.skipif(OLD_PILLOW, reason="made with Pillow 13; before 11.3 resizing rounds otherwise")
@pytest.mark.parametrize("name", GOLDEN["configs"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_equal_to_transformers(case: Case, name: str) -> None:
    check(case, name)


def test_equal_to_transformers_for_a_large_picture() -> None:
    large = [case for case in cases() if "4000x3000" in case.name]
    assert len(large) == 1
    for name in GOLDEN["configs"]:
        check(large[0], name)
