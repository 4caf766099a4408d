"""From encoded bytes to pixels, with a look at the header before memory is spent."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

from onnxembed.errors import InputError
from onnxembed.image.formats import Format, Reader, named_format, no_picture, registered_reader

if TYPE_CHECKING:
    from PIL.Image import Image


def decode(data: bytes, max_pixels: int, name: str) -> Image:
    """Decode a picture, or the first frame of an animation, in the mode of its file.

    The highest width times height is checked in the header, before decoding. An `InputError` says that ``name`` is no
    picture, of a format that is not read, above the limit, damaged or cut short.
    """
    form = named_format(data)
    if form is not None and form.size is not None:
        try:
            declared = form.size(data)
        except ValueError as error:
            raise _damaged(name, form.name, error) from error
        check_size(declared, max_pixels, name)
    kind, reader = _reader(form, data, name)
    try:
        picture = reader(BytesIO(data))
    except MemoryError:
        raise
    except Exception as error:  # readers fail with whatever a damaged field leads to
        raise _damaged(name, kind, error) from error
    check_size(picture.size, max_pixels, name)
    load_pixels(picture, name, kind)
    return picture


def load_pixels(picture: Image, name: str, form: str = "") -> None:
    """Decode the pixels of an opened picture, unless they are there already; an `InputError` if they are damaged."""
    try:
        picture.load()
    except MemoryError:
        raise
    except Exception as error:  # decoders fail with whatever a damaged field leads to
        if not form and _is_closed(picture, error):
            raise InputError(
                f"{name} is closed; keep it open until its vector is there, or pass picture.copy() of it"
            ) from error
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


def _reader(form: Format | None, data: bytes, name: str) -> tuple[str, Reader]:
    """The format's name and its reader: Pillow's, or one that the user has registered with it."""
    if form is None or form.vague:
        registered = registered_reader(data)
        if registered is not None:
            return registered
    if form is None:
        raise no_picture(data, name)
    try:
        return form.name, form.load()
    except (ImportError, AttributeError) as error:
        registered = registered_reader(data)
        if registered is not None:
            return registered
        raise InputError(
            f"{name} is of format {form.name}, which this Pillow cannot read; upgrade Pillow or convert the picture"
        ) from error


def _is_closed(picture: Image, error: Exception) -> bool:
    """Whether a picture that cannot be loaded, or the file that it was opened from, was closed before it was."""
    if "closed image" in str(error):  # Pillow's word for a picture of memory or of many frames
        return True
    file = getattr(picture, "fp", picture)
    return bool(getattr(picture, "tile", None)) and (file is None or getattr(file, "closed", False) is True)


def _damaged(name: str, form: str, error: Exception) -> InputError:
    return InputError(
        f"{name} cannot be decoded as {form}: {str(error) or type(error).__name__}; it is damaged or cut short, fetch "
        "or save it anew"
    )
