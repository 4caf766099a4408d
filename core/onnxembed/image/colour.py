"""From a decoded picture of any mode to an upright one in RGB."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from onnxembed.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image

Array = np.ndarray[Any, np.dtype[Any]]

_ORIENTATION_TAG = 0x0112
_UNPREMULTIPLIED = {"La": "LA", "RGBa": "RGBA"}


def upright(picture: Image) -> Image:
    """Turn a loaded picture as its EXIF orientation says (Exif 2.32, tag 0x0112; values 1 to 8)."""
    from PIL.Image import Transpose

    turns = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    try:
        turn = turns.get(picture.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:  # noqa: BLE001  # metadata that cannot be read say nothing, the pixels are good
        return picture
    return picture if turn is None else picture.transpose(turn)


def to_rgb(picture: Image, name: str) -> Image:
    """Bring a loaded picture of any mode to RGB; what is transparent shows white.

    An `InputError` says that its numbers are no brightness, or that its colours cannot be converted.
    """
    if picture.mode == "RGB" and "transparency" not in picture.info:
        return picture
    try:
        return _converted(picture, name)
    except (InputError, MemoryError):
        raise
    except Exception as error:  # modes, palettes and profiles fail in many words
        raise InputError(
            f"{name} has mode {picture.mode}, which cannot be converted ({error}); convert it to RGB"
        ) from error


def _converted(picture: Image, name: str) -> Image:
    if picture.mode in ("I", "F") or picture.mode.startswith("I;16"):
        return _from_wide_grey(picture, name)
    if picture.mode == "LAB":
        return _from_lab(picture)
    if picture.mode in _UNPREMULTIPLIED:
        picture = picture.convert(_UNPREMULTIPLIED[picture.mode])
    return _on_white(picture.convert("RGBA")) if picture.has_transparency_data else picture.convert("RGB")


def _on_white(picture: Image) -> Image:
    """Lay an RGBA picture on white."""
    from PIL import Image

    white = Image.new("RGB", picture.size, (255, 255, 255))
    white.paste(picture, mask=picture.getchannel("A"))
    return white


def _from_wide_grey(picture: Image, name: str) -> Image:
    """Scale greyscale of more than 8 bits down to 8.

    16-bit modes have one scale. Those of 32 bits and floats have none: the smallest of 1 (floats only), 255 and 65,535
    that holds all values is taken for white.
    """
    from PIL import Image

    values = np.asarray(picture)
    white = 65535 if picture.mode.startswith("I;16") else _white_level(values, name)
    if values.dtype.kind == "f":
        levels = np.rint(values * np.float32(255.0 / white)).astype(np.uint8)
    else:
        levels = np.rint(np.arange(white + 1) * (255.0 / white)).astype(np.uint8)[values]
    transparent = picture.info.get("transparency")
    if isinstance(transparent, int):
        levels[values == transparent] = 255
    return Image.fromarray(levels).convert("RGB")


def _white_level(values: Array, name: str) -> int:
    """The value that stands for white."""
    lowest, highest = float(values.min()), float(values.max())
    if not lowest >= 0 or not highest <= 65535:
        raise InputError(
            f"{name} has values from {lowest:g} to {highest:g}; expected 0 to 1, 255 or 65535: scale them to 8 bits"
        )
    if highest <= 1 and values.dtype.kind == "f":
        return 1
    return 255 if highest <= 255 else 65535


def _from_lab(picture: Image) -> Image:
    """Convert CIE L*a*b* (D50) to sRGB."""
    from PIL import ImageCms

    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    return ImageCms.buildTransform(lab, srgb, "LAB", "RGB").apply(picture)
