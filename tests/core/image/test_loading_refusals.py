"""Bad input is refused by name, before memory is spent on it."""

from __future__ import annotations

import base64
import io
import random
import re
import socket
import struct
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from onnxembed.errors import InputError, InputTypeError
from onnxembed.image.loading import ImageLimits, load_image
from tests.fixtures.images import encoded, levels, picture, png

LIMITS = ImageLimits()
PNG = encoded(picture(30, 20))
BOMB = png(60_000, 60_000, 8, 2, bytes(100))


def refusal(source: object, limits: ImageLimits = LIMITS) -> str:
    with pytest.raises(InputError) as caught:
        load_image(source, 3, limits)
    message = str(caught.value)
    assert message.startswith("image 3 (")
    return message


def write(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def test_a_missing_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "missing.png"
    assert refusal(path) == f"image 3 ({str(path)!r}) does not exist; check the path"
    assert refusal("missing.png") == f"image 3 ('missing.png') does not exist in {str(tmp_path)!r}; check the path"
    assert "~ is not expanded" in refusal("~/missing.png")
    assert "ftp: is no scheme that can be read" in refusal("ftp://example.com/cat.jpg")
    assert refusal("file:///cat.jpg") == "image 3 ('file:///cat.jpg') does not exist; check the path"
    assert "only file: URIs of this machine are read" in refusal("file://server/cat.jpg")


def test_a_directory(tmp_path: Path) -> None:
    message = refusal(tmp_path)
    assert str(tmp_path) in message
    assert "is a directory; expected a picture" in message


def test_an_empty_file(tmp_path: Path) -> None:
    message = refusal(write(tmp_path, "empty.jpg", b""))
    assert "empty.jpg" in message
    assert "is empty, 0 bytes" in message
    assert "(bytes) is empty" in refusal(b"")
    assert "(a BytesIO) is empty" in refusal(io.BytesIO(PNG[:0]))
    assert "(a data URI) is empty" in refusal("data:image/png;base64,")
    assert "is an empty string; expected a path" in refusal("")


def test_no_regular_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's name must be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s")
        assert "is a device, pipe or socket" in refusal(tmp_path / "s")
    assert "is a device, pipe or socket" in refusal("/dev/zero")


def test_names_that_cannot_be_files() -> None:
    assert "cannot be read" in refusal("a\0b.png")
    message = refusal("x" * 5000)
    assert "cannot be read: File name too long" in message
    assert len(message) < 500


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "is an SVG drawing; expected JPEG, PNG"),
        (b'<?xml version="1.0"?>\n<!-- made by hand -->\n<svg width="9"></svg>', "is an SVG drawing"),
        (b"<!DOCTYPE html><html>not found</html>", "is a web page"),
        (b"%PDF-1.7", "is a PDF"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "is a HEIF picture; .*pillow-heif"),
        (b"hello", r"is no picture of a known format, it begins with b'hello'; expected JPEG, PNG"),
        (b"\0" * 100, "is no picture of a known format"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is no picture of a known format"),
    ],
)
def test_what_is_no_picture(tmp_path: Path, data: bytes, what: str) -> None:
    message = refusal(write(tmp_path, "thing.bin", data))
    assert "thing.bin" in message
    assert re.search(what, message)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "TIFF", "BMP", "PPM", "WEBP", "JPEG2000", "AVIF"])
def test_truncated_files(tmp_path: Path, form: str) -> None:
    data = encoded(picture(200, 150), form)
    path = write(tmp_path, f"half.{form}", data[: len(data) // 2])
    message = refusal(path)
    assert str(path) in message
    assert "it is damaged or cut short" in message


def test_a_format_that_this_pillow_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL.PngImagePlugin", None)
    assert "is of format PNG, which this Pillow cannot read; upgrade Pillow" in refusal(PNG)


def test_running_out_of_memory_is_not_taken_for_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    for method in ("load", "__init__"):
        with monkeypatch.context() as patch:
            patch.setattr(PngImagePlugin.PngImageFile, method, fail)
            with pytest.raises(MemoryError):
                load_image(PNG, 3, LIMITS)


def test_colours_without_a_conversion(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ValueError("conversion not supported")

    monkeypatch.setattr(Image.Image, "convert", fail)
    assert "has mode L, which cannot be converted" in refusal(picture_in_grey())


def picture_in_grey() -> Image.Image:
    return Image.fromarray(levels(30, 20)[:, :, 0])


def test_a_bomb_is_refused_by_its_header(tmp_path: Path) -> None:
    path = write(tmp_path, "bomb.png", BOMB)
    tracemalloc.start()
    message = refusal(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3_000_000
    assert message == (
        f"image 3 ({str(path)!r}) has 60000 x 60000 pixels, more than the limit of 89478485; make it smaller, or raise "
        "max_pixels if it can be trusted"
    )


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "TIFF", "BMP", "PPM", "WEBP", "JPEG2000"])
def test_the_limit_of_pixels_is_exact(form: str) -> None:
    data = encoded(picture(20, 10), form)
    assert load_image(data, 3, ImageLimits(max_pixels=200)).size == (20, 10)
    assert "has 20 x 10 pixels, more than the limit of 199" in refusal(data, ImageLimits(max_pixels=199))


def test_the_limit_of_pixels_holds_for_images_in_memory() -> None:
    limits = ImageLimits(max_pixels=199)
    assert "(a PIL image) has 20 x 10 pixels" in refusal(picture(20, 10), limits)
    assert "(an array) has 20 x 10 pixels" in refusal(levels(20, 10), limits)


def webp(kind: bytes, head: bytes) -> bytes:
    body = kind + struct.pack("<I", 10) + head
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (webp(b"VP8X", b"\x02\0\0\0" + (59_999).to_bytes(3, "little") * 2), "60000 x 60000"),
        (webp(b"VP8L", b"\x2f" + (0x3FFF | 0x3FFF << 14).to_bytes(4, "little") + bytes(5)), "16384 x 16384"),
        (webp(b"VP8 ", bytes(3) + b"\x9d\x01\x2a" + b"\xff\x3f\xff\x3f"), "16383 x 16383"),
    ],
)
def test_webp_is_refused_before_its_canvas_is_made(data: bytes, size: str) -> None:
    assert f"has {size} pixels" in refusal(data)


def test_a_cut_webp_header() -> None:
    assert "cannot be decoded as WebP" in refusal(webp(b"VP8X", b"")[:24])


def test_the_limit_of_bytes(tmp_path: Path) -> None:
    limits = ImageLimits(max_bytes=len(PNG))
    path = write(tmp_path, "a.png", PNG)
    uri = "data:image/png;base64," + base64.b64encode(PNG).decode()
    sources: list[Any] = [path, str(path), PNG, uri]
    for source in (*sources, io.BytesIO(PNG)):
        assert load_image(source, 3, limits).size == (30, 20)
    limits = ImageLimits(max_bytes=len(PNG) - 1)
    for source in (*sources, io.BytesIO(PNG)):
        assert f"has more than {len(PNG) - 1} bytes, the limit" in refusal(source, limits)
    assert "has more than 10 bytes" in refusal("data:," + "a" * 41, ImageLimits(max_bytes=10))


def test_an_endless_file_object_is_read_no_further_than_the_limit() -> None:
    class Endless:
        count = 0

        def read(self, count: int) -> bytes:
            self.count += min(count, 1000)
            return bytes(min(count, 1000))

    endless = Endless()
    assert "has more than 50000 bytes" in refusal(endless, ImageLimits(max_bytes=50_000))
    assert endless.count == 50_001


def test_file_objects_are_not_asked_for_more_than_they_hold() -> None:
    with io.BufferedReader(io.BytesIO(PNG)) as file:
        tracemalloc.start()
        load_image(file, 3, LIMITS)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 3_000_000


@pytest.mark.parametrize(
    ("uri", "what"),
    [
        ("data:image/png;base64", "has no comma; expected data:image/png;base64,iVBORw0..."),
        ("data:image/png;base64,!!!!", "is not valid base64"),
        ("data:image/png;base64,A", "is not valid base64"),
        ("data:text/plain,hello", "is no picture of a known format"),
    ],
)
def test_data_uris(uri: str, what: str) -> None:
    message = refusal(uri)
    assert message.startswith("image 3 (a data URI) ")
    assert what in message


@pytest.mark.parametrize(
    ("shape", "hint"),
    [
        ((3, 20, 30), "move the channels last"),
        ((2, 20, 30, 3), "one by one"),
        ((20, 30, 2), "with 1, 3 or 4 channels"),
        ((20,), r"expected (height, width)"),
        ((), r"expected (height, width)"),
        ((0, 0), "holds no pixel"),
        ((0, 30, 3), "holds no pixel"),
        ((20, 0, 3), "holds no pixel"),
    ],
)
def test_arrays_of_wrong_shape(shape: tuple[int, ...], hint: str) -> None:
    message = refusal(np.zeros(shape, dtype=np.uint8))
    assert f"(an array) has shape {shape}" in message
    assert hint in message


@pytest.mark.parametrize(
    ("dtype", "hint"),
    [("float32", "multiply by 255"), ("float16", "multiply by 255"), ("int64", "0 to 255"), ("O", "")],
)
def test_arrays_of_wrong_dtype(dtype: str, hint: str) -> None:
    with pytest.raises(InputTypeError, match=r"image 3 \(an array\) has dtype .*; expected uint8") as caught:
        load_image(np.zeros((4, 4, 3), dtype=dtype), 3, LIMITS)
    assert hint in str(caught.value)


@pytest.mark.parametrize("source", [None, 7, [PNG], {"image": PNG}, ("a.png",)])
def test_other_types(source: object) -> None:
    with pytest.raises(InputTypeError, match=rf"image 3 \(a {type(source).__name__}\) cannot be used; expected a path"):
        load_image(source, 3, LIMITS)


def test_a_file_in_text_mode(tmp_path: Path) -> None:
    path = write(tmp_path, "a.txt", b"hello")
    with path.open() as file, pytest.raises(InputTypeError, match=r"a\.txt.* gives str instead of bytes; .*'rb'"):
        load_image(file, 3, LIMITS)


def test_a_closed_file(tmp_path: Path) -> None:
    file = write(tmp_path, "a.png", PNG).open("rb")
    file.close()
    assert "open it anew" in refusal(file)


def test_urls_are_not_fetched_unless_asked() -> None:
    message = refusal("https://user:secret@example.com/cat.jpg?token=secret")
    assert message.startswith("image 3 (URL 'https://example.com/cat.jpg') is a URL")
    assert "allow_urls=True" in message
    assert "secret" not in message
    assert "secret" not in refusal("http://[bad/cat.jpg?token=secret")


@pytest.mark.parametrize("values", [[[-1, 5]], [[0, 70_000]]])
def test_wide_grey_out_of_range(values: list[list[int]]) -> None:
    message = refusal(Image.fromarray(np.array(values, dtype=np.int32)))
    assert "expected 0 to 1, 255 or 65535" in message


def test_floats_that_are_no_numbers() -> None:
    assert "has values from nan" in refusal(Image.fromarray(np.array([[0, np.nan]], dtype=np.float32)))


def test_a_broken_pil_image() -> None:
    data = encoded(picture(200, 150))
    image = Image.open(io.BytesIO(data[: len(data) // 2]))
    assert "(a PIL image) cannot be decoded as PNG" in refusal(image)


@pytest.mark.filterwarnings("ignore")  # Pillow warns of what it finds odd
@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "TIFF", "BMP", "PPM", "WEBP", "JPEG2000"])
def test_damaged_files_are_refused_or_read_and_nothing_else(form: str) -> None:
    dice = random.Random(form)
    data = encoded(picture(24, 18, "P" if form == "GIF" else "RGB"), form)
    limits = ImageLimits(max_pixels=100_000)
    refused = []
    for _ in range(150):
        damaged = bytearray(data)
        for _ in range(dice.randint(1, 8)):
            damaged[dice.randrange(len(data))] = dice.randrange(256)
        try:
            image = load_image(bytes(damaged[: dice.randint(len(data) // 2, 2 * len(data))]), 3, limits)
        except InputError as error:
            refused.append(str(error))
        else:
            assert image.mode == "RGB"
            assert image.width * image.height <= 100_000
    assert refused
    assert all(message.startswith("image 3 (bytes) ") for message in refused)
