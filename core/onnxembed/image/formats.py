"""Which format a picture's first bytes tell, and which reader of Pillow gets them.

Pillow's general door is not used: it tries more than forty formats, one of which runs another program, and judges sizes
by a global of the process, with a warning that cannot be held back in one thread alone. Readers that the user has
registered with Pillow come after the formats below.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from io import BytesIO
from typing import TYPE_CHECKING, cast

from onnxembed.errors import InputError
from onnxembed.image.headers import dds_size, icns_size, ico_size, webp_size

if TYPE_CHECKING:
    from PIL.Image import Image

_HEAD_BYTES = 1024
_ACCEPT_BYTES = 16  # what Pillow shows a reader that is asked whether it knows a file

Reader = Callable[[BytesIO], "Image"]
Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Format:
    """A file format.

    Attributes:
        name: Its name.
        start: Its first bytes.
        module: Pillow's module that reads it.
        reader: The class in there.
        size: Reads the largest (width, height) that the reader would make room for, where it does so before its own
            size is known; raises ValueError for a header that lies.
    """

    name: str
    start: re.Pattern[bytes]
    module: str
    reader: str
    size: Callable[[bytes], Size] | None = None

    @property
    def vague(self) -> bool:
        """Whether files of other formats may begin alike."""
        return self.name == "TGA"

    def load(self) -> Reader:
        """Import the reader; ImportError or AttributeError where this Pillow lacks it."""
        return cast("Reader", getattr(import_module(f"PIL.{self.module}"), self.reader))


# TGA has no first bytes of its own. A palette or none, one of its six kinds, a sensible depth of palette and pixels, no
# side of 0, and no bits that it reserves are needed; so it is asked last.
_TGA = (
    rb".(?:\0[\x02\x03\x0a\x0b]..\0\0.|\x01[\x01\x02\x09\x0a].{4}[\x0f\x10\x18\x20])"
    rb".{4}(?!\0\0)..(?!\0\0)..[\x01\x08\x10\x18\x20][\x00-\x3f]"
)

FORMATS = (
    Format("JPEG", re.compile(rb"\xff\xd8\xff"), "JpegImagePlugin", "JpegImageFile"),
    Format("PNG", re.compile(rb"\x89PNG\r\n\x1a\n"), "PngImagePlugin", "PngImageFile"),
    Format("WebP", re.compile(rb"RIFF....WEBP", re.DOTALL), "WebPImagePlugin", "WebPImageFile", webp_size),
    Format("GIF", re.compile(rb"GIF8[79]a"), "GifImagePlugin", "GifImageFile"),
    Format("TIFF", re.compile(rb"II[*+]\0|MM\0[*+]"), "TiffImagePlugin", "TiffImageFile"),
    Format("BMP", re.compile(rb"BM"), "BmpImagePlugin", "BmpImageFile"),
    Format("PNM", re.compile(rb"P[1-6]\s"), "PpmImagePlugin", "PpmImageFile"),
    Format(
        "JPEG 2000", re.compile(rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51"), "Jpeg2KImagePlugin", "Jpeg2KImageFile"
    ),
    Format("AVIF", re.compile(rb"....ftyp(?:avi[fs]|mif1.{4,48}avif)", re.DOTALL), "AvifImagePlugin", "AvifImageFile"),
    Format("ICO", re.compile(rb"\0\0\x01\0(?!\0\0)..", re.DOTALL), "IcoImagePlugin", "IcoImageFile", ico_size),
    Format("ICNS", re.compile(rb"icns"), "IcnsImagePlugin", "IcnsImageFile", icns_size),
    Format("DDS", re.compile(rb"DDS \x7c\0\0\0"), "DdsImagePlugin", "DdsImageFile", dds_size),
    Format("SGI", re.compile(rb"\x01\xda[\0\x01][\x01\x02]\0[\x01-\x03]"), "SgiImagePlugin", "SgiImageFile"),
    Format("PCX", re.compile(rb"\n[\0\x02\x03\x05][\0\x01][\x01\x02\x04\x08]"), "PcxImagePlugin", "PcxImageFile"),
    Format("TGA", re.compile(_TGA, re.DOTALL), "TgaImagePlugin", "TgaImageFile"),
)

_LOOKALIKES = (
    (re.compile(rb"\s*(?:<\?xml|<!--|<!DOCTYPE svg)?.{0,900}?<svg[\s>]", re.DOTALL | re.IGNORECASE), "an SVG drawing",
     "draw it into pixels first, for instance with cairosvg"),
    (re.compile(rb"\s*<(?:!doctype html|html|head|body)", re.IGNORECASE), "a web page",
     "the address shows a page about the picture, or an error; give the picture's own"),
    (re.compile(rb"%PDF-"), "a PDF", "draw its pages into pictures first"),
    (re.compile(rb"....ftyp(?:hei|hev|mif1|msf1)", re.DOTALL), "a HEIF picture",
     "install pillow-heif and call pillow_heif.register_heif_opener() once"),
    (re.compile(rb"data:[\w/+.-]*[;,]"), "a data URI in bytes", "pass it as a string"),
)  # fmt: skip

_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{40}")


def named_format(data: bytes) -> Format | None:
    """The format that the first bytes tell, if it is one of ours."""
    head = data[:_HEAD_BYTES]
    return next((form for form in FORMATS if form.start.match(head)), None)


def registered_reader(data: bytes) -> tuple[str, Reader] | None:
    """The name and the reader of a format that the user has registered with Pillow, such as HEIC with pillow-heif.

    Pillow's own readers beside `FORMATS` are not among them, loaded or not, nor are readers that cannot tell their
    files by the first bytes.
    """
    from PIL import Image

    for name in Image.ID:
        factory, accept = Image.OPEN[name]
        if (getattr(factory, "__module__", None) or "PIL.").startswith("PIL.") or accept is None:
            continue
        try:
            known = accept(data[:_ACCEPT_BYTES])
        except Exception:  # noqa: BLE001, S112  # what trips over these bytes does not know them
            continue
        if known and not isinstance(known, str):  # a string says why they cannot be read
            return name, partial(_made, factory)
    return None


def _made(factory: Callable[[BytesIO, str], Image], file: BytesIO) -> Image:
    return factory(file, "")


def no_picture(data: bytes, name: str) -> InputError:
    """Say what the bytes are instead of a picture."""
    head = data[:_HEAD_BYTES]
    known = ", ".join(form.name for form in FORMATS)
    for start, what, advice in _LOOKALIKES:
        if start.match(head):
            return InputError(f"{name} is {what}; expected {known}: {advice}")
    inside = format_in_base64(head.decode("ascii", "replace"))
    if inside:
        return InputError(f"{name} is a {inside} picture in base64; expected {known}: pass base64.b64decode(data)")
    return InputError(
        f"{name} is no picture of a known format, it begins with {head[:12]!r}; expected {known}. Other formats can be "
        "registered with Pillow, or opened with it and passed as PIL images"
    )


def format_in_base64(text: str) -> str | None:
    """The format of the picture, or PDF, that a string holds in base64 without a ``data:`` in front, if it does."""
    head = _BASE64.match(text.lstrip()[:40])
    if head is None:
        return None
    data = base64.b64decode(head[0].translate({45: "+", 95: "/"}))
    if data.startswith(b"%PDF-"):
        return "PDF"
    form = named_format(data)
    # Of formats with few first bytes of their own, text could pass for any.
    return form.name if form is not None and form.name not in ("TGA", "PCX", "BMP", "PNM", "SGI") else None
