"""Every form of image model gives the vectors of fastembed 0.9.1, however the images are batched.

The golden file is made by ``tests/golden/make_image.py`` with the same folders.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import ImageOps

from onnxembed.image.known import image_registry
from tests.fixtures.image_models import SIZES, VARIANTS, pictures
from tests.fixtures.images import golden_bound, oriented, picture

if TYPE_CHECKING:
    from tests.core.image.conftest import OpenImageVariant

GOLDEN: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "golden" / "image_fastembed.json").read_text(encoding="utf-8")
)
NAMES = [one.name for one in VARIANTS]
BOUND = 1e-5
WITHIN = golden_bound(BOUND, old_pillow=0.02)


def golden(name: str, what: str = "pictures") -> np.ndarray:
    return np.array(GOLDEN["variants"][name][what])


def largest(ours: Any, theirs: np.ndarray) -> float:
    ours = np.stack(list(ours))
    assert ours.dtype == np.float32
    assert ours.shape == theirs.shape
    return float(np.abs(ours - theirs).max())


def test_golden_file_belongs_to_these_pictures_and_variants() -> None:
    assert GOLDEN["sizes"] == [list(size) for size in SIZES]
    assert list(GOLDEN["variants"]) == NAMES
    assert GOLDEN["made_with"]["fastembed"] == "0.9.1"


def test_every_model_of_the_catalogue_has_its_variant() -> None:
    assert [one.model for one in VARIANTS] == [model.name for model in image_registry.catalogue()]
    assert [one.model_file for one in VARIANTS] == [model.model_file for model in image_registry.catalogue()]


def test_golden_vectors_tell_pictures_apart() -> None:
    for name in NAMES:
        vectors = golden(name)
        assert np.abs(vectors[0] - vectors[6]).max() < BOUND  # the same picture twice
        differences = [np.abs(vectors[0] - vectors[other]).max() for other in range(1, 6)]
        assert min(differences) > 100 * BOUND


@pytest.mark.parametrize("name", NAMES)
def test_vectors_equal_those_of_fastembed(name: str, open_image_variant: OpenImageVariant) -> None:
    assert largest(open_image_variant(name).embed(pictures()), golden(name)) <= WITHIN


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("batch_size", "parallel"), [(1, None), (2, 2), (3, 0), (16, 1)])
def test_no_choice_of_batches_changes_a_vector(
    name: str, batch_size: int, parallel: int | None, open_image_variant: OpenImageVariant
) -> None:
    vectors = open_image_variant(name).embed(iter(pictures()), batch_size=batch_size, parallel=parallel)
    assert largest(vectors, golden(name)) <= WITHIN


@pytest.mark.parametrize("name", NAMES)
def test_neither_order_nor_neighbours_change_a_vector(name: str, open_image_variant: OpenImageVariant) -> None:
    model, given = open_image_variant(name), pictures()
    order = list(range(len(given))) * 4
    random.Random(3).shuffle(order)
    assert largest(model.embed([given[place] for place in order]), golden(name)[order]) <= WITHIN
    alone = [next(model.embed(image)) for image in given]
    assert largest(alone, golden(name)) <= WITHIN


@pytest.mark.parametrize("name", NAMES)
def test_orientation_counts_unlike_in_fastembed(name: str, open_image_variant: OpenImageVariant) -> None:
    """A photograph taken upright lies on its side in its file; fastembed embeds it lying."""
    model = open_image_variant(name)
    stored = picture(70, 50, seed=6)
    (turned,) = model.embed(oriented(stored, 6))
    upright = ImageOps.exif_transpose(stored.rotate(-90, expand=True))
    assert largest(model.embed(upright), turned[None]) <= WITHIN
    assert largest(model.embed(stored), golden(name, "turned")[None]) <= WITHIN
    assert np.abs(turned - golden(name, "turned")).max() > 100 * BOUND


@pytest.mark.parametrize("name", NAMES)
def test_transparency_shows_white_unlike_in_fastembed(name: str, open_image_variant: OpenImageVariant) -> None:
    """Dropping the alpha channel, as fastembed does, uncovers colours that nobody ever saw."""
    model = open_image_variant(name)
    given = picture(60, 40, "RGBA", seed=3)
    pixels = np.asarray(given).astype(float)
    share = pixels[:, :, 3:] / 255
    blended = np.rint(pixels[:, :, :3] * share + 255 * (1 - share)).astype(np.uint8)
    (ours,) = model.embed(given)
    assert largest(model.embed(blended), ours[None]) <= 1e-3  # blending is rounded in two ways
    assert largest(model.embed(given.convert("RGB")), golden(name, "transparent")[None]) <= WITHIN
    assert np.abs(ours - golden(name, "transparent")).max() > 0.01
