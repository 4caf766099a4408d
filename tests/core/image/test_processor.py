"""A processor's own promises: batches filled in place, sizes, proportions, pickles, threads."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from onnxembed.errors import InputError
from onnxembed.image import transforms
from onnxembed.image.processor import ImageProcessor
from onnxembed.image.processor_config import read_processor
from onnxembed.image.transforms import Crop, Resize, resize_and_crop
from tests.fixtures.images import levels, picture

CLIP = read_processor({"image_processor_type": "CLIPImageProcessor", "size": 40, "crop_size": 32})


def test_a_batch_is_filled_in_place() -> None:
    batch = np.full((3, 3, 32, 32), np.nan, dtype=np.float32)
    pictures = [picture(60, 50, seed=seed) for seed in range(3)]
    for one, slot in zip(pictures, batch, strict=True):
        CLIP.into(one, slot)
    for one, slot in zip(pictures, batch, strict=True):
        np.testing.assert_array_equal(slot, CLIP(one))


def test_a_place_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError):
        CLIP.into(picture(60, 50), np.empty((3, 33, 32), dtype=np.float32))


def test_every_level_is_rescaled_and_normalised() -> None:
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)[None]
    processor = ImageProcessor(None, (), 1 / 255, (0.1, 0.2, 0.3), (0.5, 0.25, 2.0))
    expected = (np.arange(256) / 255 - np.array([[0.1], [0.2], [0.3]])) / np.array([[0.5], [0.25], [2.0]])
    np.testing.assert_allclose(processor(Image.fromarray(ramp))[:, 0], expected, rtol=0, atol=1e-6)


def test_the_picture_is_not_changed() -> None:
    before = levels(60, 50)
    image = Image.fromarray(before.copy())
    CLIP(image)
    np.testing.assert_array_equal(np.asarray(image), before)


@pytest.mark.parametrize(
    ("processor", "size"),
    [
        (CLIP, (32, 32)),
        (ImageProcessor(Resize((20, 30), 2), (), None, None, None), (20, 30)),
        (ImageProcessor(Resize(20, 2), (), None, None, None), None),
        (ImageProcessor(None, (), None, None, None), None),
        (ImageProcessor(None, (Crop((9, 9)), Crop((5, 7))), None, None, None), (5, 7)),
    ],
)
def test_fixed_size(processor: ImageProcessor, size: tuple[int, int] | None) -> None:
    assert processor.fixed_size == size
    got = processor(picture(41, 37)).shape[1:]
    assert size is None or got == size


@pytest.mark.parametrize(
    ("size", "target"), [((65, 48), (43, 32)), ((48, 65), (32, 43)), ((50, 50), (32, 32)), ((1, 1), (32, 32))]
)
def test_the_shorter_side_leads(size: tuple[int, int], target: tuple[int, int]) -> None:
    assert Resize(32, 3).target(*size) == target


def test_sizes_are_height_and_width() -> None:
    assert Resize((24, 40), 3).target(100, 100) == (40, 24)


@pytest.mark.parametrize(("side", "down", "even"), [(227, 1, 2), (225, 0, 0), (229, 2, 2), (224, 0, 0), (223, -1, 0)])
def test_half_a_pixel_of_offset(side: int, down: int, even: int) -> None:
    assert Crop((224, 224)).box(side, 224)[0] == down
    assert Crop((224, 224), half_even=True).box(side, 224)[0] == even


def test_what_lies_outside_is_black() -> None:
    image = Image.new("RGB", (3, 2), (9, 9, 9))
    got = np.asarray(resize_and_crop(image, None, (Crop((4, 6)),)))[:, :, 0]
    expected = np.zeros((4, 6), dtype=np.uint8)
    expected[1:3, 2:5] = 9
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("size", [(3, 400), (400, 3), (30, 20)])
@pytest.mark.parametrize("crop", [Crop((64, 64)), Crop((50, 71)), Crop((31, 33), half_even=True)])
@pytest.mark.parametrize("resample", [2, 3])
def test_only_the_middle_is_computed_for_long_pictures(
    monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], crop: Crop, resample: int
) -> None:
    image = picture(*size, seed=5)
    resize = Resize(60, resample)
    whole = np.asarray(resize_and_crop(image, resize, (crop,))).astype(int)
    monkeypatch.setattr(transforms, "WHOLE_PIXELS", 0)
    middle = np.asarray(resize_and_crop(image, resize, (crop,))).astype(int)
    assert np.abs(whole - middle).max() <= 1


@pytest.mark.parametrize("size", [(1024, 768), (1333, 751), (4000, 1000)])
@pytest.mark.parametrize("resample", [1, 2, 3])
def test_large_pictures_equal_the_whole_within_a_level(size: tuple[int, int], resample: int) -> None:
    noise = np.random.default_rng(7).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    resize, crop = Resize(224, resample), Crop((224, 224))
    for image in (picture(*size, seed=2), Image.fromarray(noise)):
        scaled = image.resize(resize.target(*size), resample)
        whole = np.asarray(scaled.crop(crop.box(*scaled.size))).astype(int)
        difference = np.abs(whole - np.asarray(resize_and_crop(image, resize, (crop,))))
        assert difference.max() <= 1
        assert (difference > 0).mean() < 0.01


@pytest.mark.parametrize("size", [(600, 400), (768, 1024), (800, 800)])
def test_other_pictures_equal_the_whole_to_the_bit(size: tuple[int, int]) -> None:
    image = picture(*size, seed=2)
    scaled = image.resize(Resize(224, 3).target(*size), 3)
    whole = np.asarray(scaled.crop(Crop((224, 224)).box(*scaled.size)))
    np.testing.assert_array_equal(resize_and_crop(image, Resize(224, 3), (Crop((224, 224)),)), whole)


def test_a_thread_of_pixels_costs_no_memory() -> None:
    # Scaled whole, it would have 224 x 8,960,000 pixels.
    got = read_processor({"image_processor_type": "CLIPImageProcessor"})(Image.new("RGB", (1, 40_000), (255, 0, 0)))
    assert got.shape == (3, 224, 224)
    assert np.ptp(got[0]) == 0
    assert got[0, 0, 0] == pytest.approx((1 - 0.48145466) / 0.26862954, abs=1e-6)


def test_a_result_out_of_all_proportion_is_refused() -> None:
    processor = ImageProcessor(Resize(224, 3), (), None, None, None)
    with pytest.raises(InputError, match=r"1 x 40000 pixels would be scaled to 224 x 8960000 .* even sides"):
        processor(Image.new("RGB", (1, 40_000)))


def test_small_when_pickled() -> None:
    CLIP(picture(60, 50))
    data = pickle.dumps(CLIP)
    assert pickle.loads(data) == CLIP
    assert len(data) < 800


def test_threads_agree() -> None:
    pictures = [picture(70, 50, seed=seed) for seed in range(16)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(CLIP, pictures))
    for one, got in zip(pictures, together, strict=True):
        np.testing.assert_array_equal(got, CLIP(one))
