"""Every kind of source gives the same upright picture in RGB, and leaves its source as it was."""

from __future__ import annotations

import base64
import io
import os
import struct
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image, ImageFile, features

from onnxembed.image.loading import ImageLimits, load_image
from tests.fixtures.images import chunk, encoded, levels, oriented, picture, png

LIMITS = ImageLimits()
PIXELS = levels(30, 20)
PNG = encoded(Image.fromarray(PIXELS))


def load(source: object) -> np.ndarray[Any, Any]:
    image = load_image(source, 0, LIMITS)
    assert image.mode == "RGB"
    return np.asarray(image)


class Reader:
    """The least that a file object may be: short reads, no position."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)

    def read(self, count: int) -> bytes:
        return self._file.read(min(count, 7))


SOURCES = {
    "bytes": PNG,
    "bytearray": bytearray(PNG),
    "memoryview": memoryview(PNG),
    "file object": io.BytesIO(PNG),
    "file object of short reads": Reader(PNG),
    "data URI": "data:image/png;base64," + base64.b64encode(PNG).decode(),
    "data URI without padding": "data:;base64," + base64.b64encode(PNG).decode().rstrip("="),
    "data URI over lines": "DATA:image/png;BASE64," + base64.encodebytes(PNG).decode(),
    "data URI quoted": "data:image/png;base64," + quote(base64.b64encode(PNG).decode(), safe=""),
    "data URI of percent signs": "data:image/png," + quote(PNG, safe=""),
    "PIL image": Image.fromarray(PIXELS),
    "PIL image not yet decoded": Image.open(io.BytesIO(PNG)),
    "array": PIXELS,
    "array with strides": np.asfortranarray(PIXELS),
    "array that is read-only": np.frombuffer(PIXELS.tobytes(), dtype=np.uint8).reshape(PIXELS.shape),
}


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_every_kind_of_source(source: object) -> None:
    np.testing.assert_array_equal(load(source), PIXELS)


def test_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Place(os.PathLike[str]):
        def __fspath__(self) -> str:
            return str(path)

    path = tmp_path / "a picture.dat"
    path.write_bytes(PNG)
    monkeypatch.chdir(tmp_path)
    for source in (path, str(path), "a picture.dat", Place(), path.open("rb")):
        np.testing.assert_array_equal(load(source), PIXELS)
        if hasattr(source, "close"):
            source.close()


def test_a_name_with_a_colon_is_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("photo:1.png").write_bytes(PNG)
    np.testing.assert_array_equal(load("photo:1.png"), PIXELS)


@pytest.mark.parametrize(
    ("form", "options"),
    [
        ("PNG", {}),
        ("GIF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("BMP", {}),
        ("PPM", {}),
        ("WEBP", {"lossless": True}),
        ("JPEG", {"quality": 95, "subsampling": 0}),
        ("JPEG2000", {}),
        ("AVIF", {"quality": 95}),
    ],
)
def test_every_format(form: str, options: dict[str, Any]) -> None:
    if form == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow reads no AVIF")
    flat = Image.new("RGB", (30, 20), (200, 100, 50))
    got = load(encoded(flat, form, **options)).astype(int)
    assert got.shape == (20, 30, 3)
    assert np.abs(got - [200, 100, 50]).max() <= (4 if form in ("JPEG", "AVIF") else 0)


def test_jpeg_2000_without_a_container() -> None:
    np.testing.assert_array_equal(load(encoded(picture(30, 20), "JPEG2000", no_jp2=True)), PIXELS)


@pytest.mark.parametrize("shape", [(20, 30), (20, 30, 1)])
def test_grey_arrays(shape: tuple[int, ...]) -> None:
    grey = PIXELS[:, :, 0]
    np.testing.assert_array_equal(load(grey.reshape(shape)), np.repeat(grey[:, :, None], 3, axis=2))


def test_a_file_object_is_read_from_where_it_is_and_stays_there() -> None:
    file = io.BytesIO(b"before" + PNG)
    file.seek(6)
    np.testing.assert_array_equal(load(file), PIXELS)
    assert not file.closed
    assert file.tell() == 6 + len(PNG)


def test_a_pil_image_is_not_changed_or_closed() -> None:
    image = picture(30, 20, "RGBA")
    image.info["transparency"] = (1, 2, 3)
    before, info = image.tobytes(), dict(image.info)
    first, second = load(image), load(image)
    np.testing.assert_array_equal(first, second)
    assert (image.tobytes(), image.info, image.mode) == (before, info, "RGBA")


def test_an_oriented_pil_image_is_not_changed() -> None:
    image = Image.open(io.BytesIO(oriented(picture(30, 20), 6)))
    assert load(image).shape == (30, 20, 3)
    assert image.size == (30, 20)
    assert image.getexif()[0x0112] == 6
    assert load(image).shape == (30, 20, 3)


def test_one_undecoded_pil_image_in_many_threads() -> None:
    data = encoded(picture(400, 300))
    expected = levels(400, 300)
    for _ in range(5):
        image = Image.open(io.BytesIO(data))
        start = threading.Barrier(4)

        def one(_: int, image: Image.Image = image, start: threading.Barrier = start) -> np.ndarray[Any, Any]:
            start.wait()
            return load(image)

        with ThreadPoolExecutor(4) as pool:
            for got in pool.map(one, range(4)):
                np.testing.assert_array_equal(got, expected)


# Where the corner of an F goes, by the table of the Exif standard: rows and columns of the file against those seen.
UPRIGHT = np.array([[1, 2, 3], [4, 5, 6]], dtype=np.uint8) * 40
STORED = {
    1: UPRIGHT,
    2: UPRIGHT[:, ::-1],
    3: UPRIGHT[::-1, ::-1],
    4: UPRIGHT[::-1],
    5: UPRIGHT.T,
    6: UPRIGHT.T[::-1],
    7: UPRIGHT[::-1, ::-1].T,
    8: UPRIGHT.T[:, ::-1],
}


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
@pytest.mark.parametrize("orientation", STORED)
def test_orientations(orientation: int, form: str) -> None:
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation])).convert("RGB")
    np.testing.assert_array_equal(load(oriented(stored, orientation, form))[:, :, 0], UPRIGHT)


@pytest.mark.parametrize("form", ["JPEG", "WEBP"])
def test_orientation_of_photographs(form: str) -> None:
    stored = Image.new("RGB", (40, 20), (255, 255, 255))
    stored.paste((0, 0, 0), (0, 0, 20, 20))
    got = load(oriented(stored, 6, form))
    assert got.shape == (40, 20, 3)
    assert got[:15].max() < 40
    assert got[25:].min() > 215


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_orientations_that_do_not_exist_mean_nothing(orientation: int) -> None:
    np.testing.assert_array_equal(load(oriented(Image.fromarray(PIXELS), orientation)), PIXELS)


@pytest.mark.parametrize("exif", [b"Exif\0\0garbage", b"", b"Exif\0\0II*\0\xff\xff\xff\xff"])
def test_metadata_that_cannot_be_read_mean_nothing(exif: bytes) -> None:
    np.testing.assert_array_equal(load(encoded(Image.fromarray(PIXELS), exif=exif)), PIXELS)


def test_transparency_shows_white() -> None:
    image = Image.new("RGBA", (2, 2), (0, 0, 0, 0))
    image.putpixel((0, 0), (10, 20, 30, 255))
    image.putpixel((1, 1), (0, 100, 200, 51))
    expected = [[[10, 20, 30], [255, 255, 255]], [[255, 255, 255], [204, 224, 244]]]
    np.testing.assert_array_equal(load(image), expected)
    np.testing.assert_array_equal(load(encoded(image)), expected)
    np.testing.assert_array_equal(load(np.asarray(image)), expected)


@pytest.mark.parametrize("mode", ["LA", "La", "PA", "RGBa"])
def test_transparency_of_other_modes(mode: str) -> None:
    grey = Image.new("LA", (2, 1), (40, 255))
    grey.putpixel((1, 0), (40, 0))
    if mode == "PA":
        image = grey.convert("L").convert("P")
        image.putalpha(grey.getchannel("A"))
    else:
        image = grey.convert("RGBA").convert("RGBa") if mode == "RGBa" else grey.convert(mode)
    assert image.mode == mode
    np.testing.assert_array_equal(load(image)[0, :, 0], [40, 255])


def test_one_transparent_colour() -> None:
    image = Image.new("RGB", (2, 1), (1, 2, 3))
    image.putpixel((1, 0), (9, 9, 9))
    expected = [[[255, 255, 255], [9, 9, 9]]]
    np.testing.assert_array_equal(load(encoded(image, transparency=(1, 2, 3))), expected)
    np.testing.assert_array_equal(
        load(encoded(image.quantize(4), transparency=image.quantize(4).getpixel((0, 0)))), expected
    )


def test_transparent_16_bit_grey() -> None:
    rows = b"\0" + b"".join(value.to_bytes(2, "big") for value in (0, 1000, 65535))
    data = png(3, 1, 16, 0, rows, chunk(b"tRNS", (1000).to_bytes(2, "big")))
    np.testing.assert_array_equal(load(data)[0, :, 0], [0, 255, 255])


def test_transparent_16_bit_colour_keeps_the_picture() -> None:
    rows = b"\0" + b"".join(value.to_bytes(2, "big") for value in (257, 514, 65535))
    data = png(1, 1, 16, 2, rows, chunk(b"tRNS", (1000).to_bytes(2, "big") * 3))
    np.testing.assert_array_equal(load(data), [[[1, 2, 255]]])


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
def test_grey_of_16_bits_is_scaled_not_clipped(dtype: Any) -> None:
    values = np.array([[0, 128, 129, 257, 32768, 65535]], dtype=dtype)
    np.testing.assert_array_equal(load(Image.fromarray(values))[0, :, 0], [0, 0, 1, 1, 128, 255])


def test_wide_modes_of_8_bit_values_are_taken_as_they_are() -> None:
    grey = picture(30, 20, "L")
    for mode in ("I", "F"):
        np.testing.assert_array_equal(load(grey.convert(mode)), load(grey))


def test_floats_up_to_1_are_scaled() -> None:
    np.testing.assert_array_equal(load(Image.fromarray(np.array([[0, 0.5, 1]], np.float32)))[0, :, 0], [0, 128, 255])


def test_cmyk_is_no_negative() -> None:
    red = Image.new("RGB", (16, 16), (255, 0, 0)).convert("CMYK")
    for data in (encoded(red, "JPEG", quality=95), encoded(red, "TIFF")):
        assert np.abs(load(data).astype(int) - [255, 0, 0]).max() <= 3


def test_lab() -> None:
    image = Image.frombytes("LAB", (3, 1), bytes([255, 0, 0, 0, 0, 0, 137, 0, 0]))
    got = load(image).astype(int)[0]
    assert np.abs(got - [[255] * 3, [0] * 3, [128] * 3]).max() <= 2


def test_the_first_frame_of_an_animation() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ((255, 0, 0), (0, 255, 0))]
    for form in ("GIF", "WEBP", "PNG", "TIFF"):
        options = {"lossless": True} if form == "WEBP" else {}
        data = encoded(frames[0], form, save_all=True, append_images=frames[1:], **options)
        assert load(data)[0, 0].tolist() == [255, 0, 0], form


def test_a_pil_animation_shows_the_frame_it_stands_at() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ((255, 0, 0), (0, 255, 0))]
    image = Image.open(io.BytesIO(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])))
    image.seek(1)
    assert load(image)[0, 0].tolist() == [0, 255, 0]
    assert image.tell() == 1


def test_pillows_globals_are_not_set_or_relied_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for form in ("PNG", "WEBP", "GIF", "TIFF", "BMP", "PPM", "JPEG"):
            if form not in ("WEBP", "TIFF"):  # Pillow's own readers of these ask the global too
                assert load(encoded(picture(5, 4), form)).shape == (4, 5, 3), form
    assert Image.MAX_IMAGE_PIXELS == 10
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


def test_metadata_whose_reading_fails_mean_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Image.Image) -> None:
        raise struct.error("unpack requires a buffer of 4 bytes")

    monkeypatch.setattr(Image.Image, "getexif", fail)
    np.testing.assert_array_equal(load(PNG), PIXELS)


def test_limits_are_facts() -> None:
    assert ImageLimits(max_pixels=7) == ImageLimits(max_pixels=7)
    assert hash(ImageLimits()) == hash(ImageLimits())
    assert ImageLimits().allow_urls is False
