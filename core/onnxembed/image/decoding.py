"""From encoded bytes to pixels, with a look at the header before memory is spent.

The first bytes tell the format, and Pillow's reader of just that format gets them. Pillow's general door is not used:
it tries more than forty formats, one of which runs another program, and judges sizes by a global of the process, with a
warning that cannot be held back in one thread alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import import_module
from io import BytesIO
from typing import TYPE_CHECKING, cast

from onnxembed.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image

_HEAD_BYTES = 1024


@dataclass(frozen=True, slots=True)
class _Format:
    """A file format: its name, its first bytes, and Pillow's reader."""

    name: str
    start: re.Pattern[bytes]
    module: str
    reader: str


_FORMATS = (
    _Format("JPEG", re.compile(rb"\xff\xd8\xff"), "JpegImagePlugin", "JpegImageFile"),
    _Format("PNG", re.compile(rb"\x89PNG\r\n\x1a\n"), "PngImagePlugin", "PngImageFile"),
    _Format("WebP", re.compile(rb"RIFF....WEBP", re.DOTALL), "WebPImagePlugin", "WebPImageFile"),
    _Format("GIF", re.compile(rb"GIF8[79]a"), "GifImagePlugin", "GifImageFile"),
    _Format("TIFF", re.compile(rb"II[*+]\0|MM\0[*+]"), "TiffImagePlugin", "TiffImageFile"),
    _Format("BMP", re.compile(rb"BM"), "BmpImagePlugin", "BmpImageFile"),
    _Format("PNM", re.compile(rb"P[1-6]\s"), "PpmImagePlugin", "PpmImageFile"),
    _Format(
        "JPEG 2000", re.compile(rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51"), "Jpeg2KImagePlugin", "Jpeg2KImageFile"
    ),
    _Format("AVIF", re.compile(rb"....ftyp(?:avi[fs]|mif1.{4,48}avif)", re.DOTALL), "AvifImagePlugin", "AvifImageFile"),
)

_LOOKALIKES = (
    (re.compile(rb"\s*(?:<\?xml|<!--|<!DOCTYPE svg)?.{0,900}?<svg[\s>]", re.DOTALL | re.IGNORECASE), "an SVG drawing",
     "draw it into pixels first, for instance with cairosvg"),
    (re.compile(rb"\s*<(?:!doctype html|html|head|body)", re.IGNORECASE), "a web page",
     "the address shows a page about the picture, or an error; give the picture's own"),
    (re.compile(rb"%PDF-"), "a PDF", "draw its pages into pictures first"),
    (re.compile(rb"....ftyp(?:hei|hev|mif1|msf1)", re.DOTALL), "a HEIF picture",
     "open it with pillow-heif and pass the PIL image"),
)  # fmt: skip


def decode(data: bytes, max_pixels: int, name: str) -> Image:
    """Decode a picture, or the first frame of an animation, in the mode of its file.

    The highest width times height is checked in the header, before decoding. An `InputError` says that ``name`` is no
    picture, of a format that is not read, above the limit, damaged or cut short.
    """
    form = _recognise(data, name)
    if form.name == "WebP":
        # Its reader sets up two canvases of the size in the header.
        check_size(_webp_size(data), max_pixels, name)
    try:
        reader = getattr(import_module(f"PIL.{form.module}"), form.reader)
    except (ImportError, AttributeError) as error:
        raise InputError(
            f"{name} is of format {form.name}, which this Pillow cannot read; upgrade Pillow or convert the picture"
        ) from error
    try:
        picture = cast("Image", reader(BytesIO(data)))
    except MemoryError:
        raise
    except Exception as error:  # readers fail with whatever a damaged field leads to
        raise _damaged(name, form.name, error) from error
    check_size(picture.size, max_pixels, name)
    load_pixels(picture, name, form.name)
    return picture


def load_pixels(picture: Image, name: str, form: str = "") -> None:
    """Decode the pixels of an opened picture, unless they are there already; an `InputError` if they are damaged."""
    try:
        picture.load()
    except MemoryError:
        raise
    except Exception as error:  # decoders fail with whatever a damaged field leads to
        raise _damaged(name, form or str(picture.format or "unknown"), error) from error


def check_size(size: tuple[int, int], max_pixels: int, name: str) -> None:
    """Refuse a picture of (width, height) with more pixels than allowed, or none."""
    width, height = size
    if width * height > max_pixels:
        raise InputError(
            f"{name} has {width} x {height} pixels, more than the limit of {max_pixels}; make it smaller, or raise "
            "max_pixels if it can be trusted"
        )
    if width < 1 or height < 1:
        raise InputError(f"{name} has {width} x {height} pixels, which is no picture; leave it out")


def _recognise(data: bytes, name: str) -> _Format:
    """The format, by the first bytes."""
    head = data[:_HEAD_BYTES]
    for form in _FORMATS:
        if form.start.match(head):
            return form
    known = ", ".join(form.name for form in _FORMATS)
    for start, what, advice in _LOOKALIKES:
        if start.match(head):
            raise InputError(f"{name} is {what}; expected {known}: {advice}")
    raise InputError(
        f"{name} is no picture of a known format, it begins with {head[:12]!r}; expected {known}. Other formats can be "
        "opened with Pillow and passed as PIL images"
    )


def _damaged(name: str, form: str, error: Exception) -> InputError:
    return InputError(
        f"{name} cannot be decoded as {form}: {str(error) or type(error).__name__}; it is damaged or cut short, fetch "
        "or save it anew"
    )


def _webp_size(data: bytes) -> tuple[int, int]:
    """Width and height in the header of a WebP file (RFC 9649); 1 x 1 where its reader will refuse the header."""
    kind, head = data[12:16], data[20:30]
    if len(head) < 10:
        return 1, 1
    if kind == b"VP8X":
        return int.from_bytes(head[4:7], "little") + 1, int.from_bytes(head[7:10], "little") + 1
    if kind == b"VP8L":
        packed = int.from_bytes(head[1:5], "little")
        return (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1
    return int.from_bytes(head[6:8], "little") & 0x3FFF or 1, int.from_bytes(head[8:10], "little") & 0x3FFF or 1
