"""The formats that fastembed reads, and those that the user has registered with Pillow, all within the same bounds."""

from __future__ import annotations

import io
import random
import struct
import warnings
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFile

from onnxembed.errors import InputError
from onnxembed.image.formats import FORMATS, named_format
from onnxembed.image.limits import ImageLimits
from onnxembed.image.loading import load_image
from tests.fixtures.images import encoded, levels, picture, png

LIMITS = ImageLimits()
SAVED: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("ICO", "RGBA", {"sizes": [(32, 32)]}),
    ("ICO", "RGB", {"sizes": [(32, 32)], "bitmap_format": "bmp"}),
    ("TGA", "RGB", {}),
    ("TGA", "RGBA", {}),
    ("TGA", "L", {}),
    ("TGA", "P", {}),
    ("TGA", "RGB", {"compression": "tga_rle"}),
    ("PCX", "RGB", {}),
    ("PCX", "P", {}),
    ("PCX", "1", {}),
    ("DDS", "RGB", {}),
    ("DDS", "RGBA", {}),
    ("DDS", "RGB", {"pixel_format": "DXT1"}),
    ("SGI", "RGB", {}),
    ("SGI", "L", {}),
    ("ICNS", "RGBA", {}),
)


def opaque(mode: str) -> Image.Image:
    image = picture(32, 32, mode, seed=2)
    if mode == "RGBA":
        image.putalpha(255)
    return image


def saved(form: str, mode: str, options: dict[str, Any]) -> bytes:
    try:
        return encoded(opaque(mode), form, **options)
    except (OSError, KeyError):
        pytest.skip("this Pillow writes no such file")


def refusal(data: bytes, limits: ImageLimits = LIMITS) -> str:
    with pytest.raises(InputError) as caught:
        load_image(data, 3, limits)
    return str(caught.value)


@pytest.mark.parametrize(("form", "mode", "options"), SAVED)
def test_every_format_reads_as_pillow_does(form: str, mode: str, options: dict[str, Any]) -> None:
    data = saved(form, mode, options)
    recognised = named_format(data)
    assert recognised is not None
    assert recognised.name == form
    with Image.open(io.BytesIO(data)) as opened:
        expected = np.asarray(opened.convert("RGB"))
    np.testing.assert_array_equal(np.asarray(load_image(data, 0, LIMITS)), expected)


@pytest.mark.parametrize(("form", "mode", "options"), SAVED)
def test_the_limit_of_pixels_holds(form: str, mode: str, options: dict[str, Any]) -> None:
    data = saved(form, mode, options)
    assert "more than the limit of 1000" in refusal(data, ImageLimits(max_pixels=1000))


@pytest.mark.parametrize(("form", "mode", "options"), SAVED)
def test_cut_files(form: str, mode: str, options: dict[str, Any]) -> None:
    data = saved(form, mode, options)
    assert f"cannot be decoded as {form}: " in refusal(data[: len(data) // 2])


def ico(part: bytes) -> bytes:
    return struct.pack("<3H4B2H2I", 0, 1, 1, 16, 16, 0, 0, 1, 32, len(part), 22) + part


def icns(*parts: tuple[bytes, bytes]) -> bytes:
    body = b"".join(kind + struct.pack(">I", len(data) + 8) + data for kind, data in parts)
    return b"icns" + struct.pack(">I", len(body) + 8) + body


HUGE_PNG = png(60_000, 60_000, 8, 2, bytes(100))
HUGE_DIB = struct.pack("<IiiHHIIiiII", 40, 60_000, 120_000, 1, 32, 0, 0, 0, 0, 0, 0) + bytes(100)
HUGE_J2K = b"\xff\x4f\xff\x51" + struct.pack(">HHIIII", 47, 0, 60_000, 60_000, 0, 0) + bytes(100)
DDS = b"DDS " + struct.pack("<7I", 124, 0x1007, 9_000, 9_000, 0, 0, 0) + bytes(44)
DDS_RGB = DDS + struct.pack("<8I", 32, 0x40, 0, 24, 0xFF0000, 0xFF00, 0xFF, 0) + bytes(20)


@pytest.mark.parametrize(
    "data",
    [
        ico(HUGE_PNG),
        ico(HUGE_DIB),
        icns((b"ic07", HUGE_PNG)),
        icns((b"ic07", HUGE_J2K)),
        icns((b"icp4", encoded(picture(16, 16))), (b"ic10", HUGE_PNG)),
    ],
    ids=["PNG in ICO", "DIB in ICO", "PNG in ICNS", "JPEG 2000 in ICNS", "second of ICNS"],
)
def test_pictures_inside_icons_are_bounded_by_their_own_headers(data: bytes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Pillow's own judgement of bombs is not asked
        assert "has 60000 x " in refusal(data)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (DDS_RGB, "0 bytes for 9000 x 9000 pixels"),  # its reader would make up 81 million pixels one by one
        (b"icns" + struct.pack(">I", 1 << 30) + bytes.fromhex("0000000000000001") * 1000, "a part of 1 bytes"),
        (icns(*[(b"abcd", b"")] * 300), "more than 256 parts"),
        (struct.pack("<3H", 0, 1, 5000) + bytes(100), "5000 pictures, more than 256"),
    ],
    ids=["DDS", "overlapping ICNS", "long ICNS", "long ICO"],
)
def test_headers_that_would_keep_a_reader_busy(data: bytes, reason: str) -> None:
    assert reason in refusal(data)


def test_programs_and_other_readers_of_pillow_are_not_reached() -> None:
    Image.init()
    assert {"EPS", "WMF", "MPEG", "FITS", "PSD"} <= set(Image.OPEN)
    for data in (
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        b"\xd7\xcd\xc6\x9a" + bytes(80),
        b"8BPS" + bytes(80),
    ):
        assert "is no picture of a known format" in refusal(data)


@pytest.mark.parametrize(
    "data",
    [
        bytes(200),
        b"\0\0\2\0\1\0" + bytes(200),
        b"\0\0\0\x18ftypmp42" + bytes(200),
        b"\0\1\0\0" + b"\1" * 200,
        b"\xff" * 99,
    ],
    ids=["zeros", "cursor", "film", "font", "ones"],
)
def test_tga_is_not_seen_everywhere(data: bytes) -> None:
    assert "is no picture of a known format" in refusal(data)


class Raw(ImageFile.ImageFile):
    """A format of a plugin: 4 letters, width and height, RGB."""

    format = "RAWX"

    def _open(self) -> None:
        assert self.fp is not None
        kind, width, height = struct.unpack("<4sII", self.fp.read(12))
        if kind != b"RAWX":
            raise ValueError("no such file")
        self._size = width, height
        self._mode = "RGB"
        self.tile = [ImageFile._Tile("raw", (0, 0, width, height), 12, ("RGB", 0, 1))]


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    Image.init()
    monkeypatch.setattr(Image, "ID", [*Image.ID])
    monkeypatch.setattr(Image, "OPEN", {**Image.OPEN})
    Image.register_open("RAWX", Raw, lambda prefix: prefix.startswith(b"RAWX"))
    Image.register_open("BADX", Raw, lambda prefix: prefix[99])  # type: ignore[arg-type, return-value]
    Image.register_open("OLDX", Raw, lambda prefix: "not supported" if prefix[:4] == b"OLDX" else False)


@pytest.mark.usefixtures("registered")
def test_formats_that_the_user_has_registered() -> None:
    pixels = levels(30, 20)
    data = b"RAWX" + struct.pack("<II", 30, 20) + pixels.tobytes()
    np.testing.assert_array_equal(np.asarray(load_image(data, 0, LIMITS)), pixels)
    assert "has 30 x 20 pixels, more than the limit of 599" in refusal(data, ImageLimits(max_pixels=599))
    assert "has 60000 x 60000 pixels" in refusal(b"RAWX" + struct.pack("<II", 60_000, 60_000))
    assert "cannot be decoded as RAWX" in refusal(data[:200])
    assert "cannot be decoded as RAWX" in refusal(b"RAWX")
    assert "is no picture of a known format" in refusal(b"OLDX" + bytes(100))


@pytest.mark.usefixtures("registered")
def test_a_registered_reader_stands_in_for_one_that_this_pillow_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "PIL.PngImagePlugin", None)
    Image.register_open("PNGX", Raw, lambda prefix: prefix.startswith(b"\x89PNG"))
    assert "cannot be decoded as PNGX: no such file" in refusal(encoded(picture(3, 3)))


def test_a_format_without_a_reader_says_how_to_get_one() -> None:
    message = refusal(b"\0\0\0\x18ftypheic\0\0\0\0")
    assert "install pillow-heif and call pillow_heif.register_heif_opener() once" in message
    assert all(form.name in message for form in FORMATS)


@pytest.mark.filterwarnings("ignore")  # Pillow warns of what it finds odd
@pytest.mark.parametrize(("form", "mode", "options"), SAVED)
def test_damaged_files_are_refused_or_read_and_nothing_else(form: str, mode: str, options: dict[str, Any]) -> None:
    data = saved(form, mode, options)
    dice = random.Random(repr((form, mode, options)))
    limits = ImageLimits(max_pixels=100_000)
    refused = []
    for _ in range(100):
        damaged = bytearray(data)
        for _ in range(dice.randint(1, 8)):
            # Headers lie more often than pixels.
            damaged[dice.randrange(min(len(data), 160) if dice.random() < 0.7 else len(data))] = dice.randrange(256)
        try:
            image = load_image(bytes(damaged[: dice.randint(len(data) // 2, 2 * len(data))]), 3, limits)
        except InputError as error:
            refused.append(str(error))
        else:
            assert image.mode == "RGB"
            assert image.width * image.height <= 100_000
    assert all(message.startswith("image 3 (bytes) ") for message in refused)
