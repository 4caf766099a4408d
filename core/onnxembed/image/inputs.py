"""The images of a call as they were given: recognised by type alone, without opening any."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass
from typing import Any, cast

from onnxembed.api.inputs import Checked, describe_type, stays
from onnxembed.errors import InputTypeError, OnnxEmbedError
from onnxembed.image import sources
from onnxembed.image.failures import OnError
from onnxembed.image.limits import ImageLimits


@dataclass(frozen=True, slots=True)
class GivenImage:
    """One image.

    Attributes:
        index: Position among those given, counted from 0.
        source: The image in a form that nobody else changes, or the error that it is. File objects are read.
        described: What messages call it, where it no longer is what was given.
        held_bytes: What it occupies in memory already.
    """

    index: int
    source: object
    described: str | None
    held_bytes: int


def check_images(images: object, name: str, limits: ImageLimits, on_error: OnError = "raise") -> Checked[GivenImage]:
    """Accept one image, a collection of images, or an iterable of them, given as the argument ``name``.

    Lists and tuples are checked whole, so that a wrong item is an `InputTypeError` at the call, and must not be changed
    before the results are there. What anything else hands over may change the moment after, as frames of an animation
    and buffers that are filled again do: it is checked and copied as it is read.
    """
    if _is_image(images):
        return Checked(taken((images,), limits), empty=False, count=1)
    if not isinstance(images, Iterable) or _is_table(images) or _dimensions(images) == 0:
        column = f". Pass one column of it, such as {name}['image']" if _is_table(images) else ""
        raise InputTypeError(
            f"{name} is {_described(images)}; expected an image or an iterable of images: each {sources.ACCEPTED}"
            f"{column}"
        )
    strict = on_error == "raise"
    held = _held(images)
    if held is None:
        found = (_checked(image, index, strict=strict) for index, image in enumerate(images))
        count = len(images) if isinstance(images, Sized) else None
        return Checked(taken(found, limits, copied=True), empty=count == 0, count=count)
    items = [_checked(image, index, strict=strict) for index, image in enumerate(held)]
    return Checked(taken(items, limits), empty=not held, count=len(held))


def taken(images: Iterable[object], limits: ImageLimits, *, copied: bool = False) -> Iterator[GivenImage]:
    """Take images one by one; an error among them stands for an image that is none.

    A file object is read at once, since its owner may close it after the next one. ``copied`` says that its owner may
    change or close any other image, too.
    """
    for index, image in enumerate(images):
        yield _take(image, index, limits, copied=copied)


def _take(image: object, index: int, limits: ImageLimits, *, copied: bool) -> GivenImage:
    if isinstance(image, (str, bytes, os.PathLike, OnnxEmbedError)):
        return GivenImage(index, image, None, len(image) if isinstance(image, bytes) else 0)
    described, source = None, image
    try:
        if sources.is_file_object(image) or isinstance(image, (bytearray, memoryview)):
            described = sources.describe(image)
            source = sources.read(image, f"image {index} ({described})", limits)
        elif copied:
            from onnxembed.image.loading import ready

            source = ready(image, index, limits)
    except OnnxEmbedError as error:  # told when its turn comes
        source = error
    return GivenImage(index, source, described, _held_bytes(source))


def _checked(image: object, index: int, *, strict: bool) -> object:
    """Refuse what cannot be an image by its type: now, or when its turn comes."""
    if _is_image(image):
        return image
    error = InputTypeError(f"image {index} is {_described(image)}; expected {sources.ACCEPTED}")
    if strict:
        raise error
    return error


def _held(images: Iterable[object]) -> tuple[object, ...] | None:
    """The items of a list or tuple, or of an array of paths; ``None`` for what makes its items as it is read."""
    if _dimensions(images) == 1:
        return tuple(cast("Any", images).tolist())
    return tuple(images) if stays(images) else None


def _is_image(value: object) -> bool:
    if isinstance(value, (str, bytes, bytearray, memoryview, os.PathLike)) or callable(getattr(value, "read", None)):
        return True
    # A caller that passes an array or a PIL image has imported what it is made of.
    pil = sys.modules.get("PIL.Image")
    if pil is not None and isinstance(value, pil.Image):
        return True
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.ndarray) and _dimensions(value) is None


def _dimensions(value: object) -> int | None:
    """0 for an array that wraps one value, 1 for one of paths or other objects; ``None`` for all else."""
    numpy = sys.modules.get("numpy")
    if numpy is None or not isinstance(value, numpy.ndarray):
        return None
    if value.ndim == 0:
        return 0
    return 1 if value.ndim == 1 and value.dtype.kind in "OUT" else None


def _is_table(value: object) -> bool:
    """Whether iterating gives names of columns, or rows, instead of images: a mapping, or a table of any library."""
    return isinstance(value, Mapping) or hasattr(type(value), "columns") or hasattr(type(value), "column_names")


def _described(value: object) -> str:
    if _dimensions(value) == 0:
        return f"an array of no dimensions that holds {cast('Any', value).dtype} (pass array.item() for its value)"
    return describe_type(value)


def _held_bytes(image: object) -> int:
    if isinstance(image, bytes):
        return len(image)
    held = getattr(image, "nbytes", None)  # of arrays, and pictures that are ready
    if isinstance(held, int):
        return held
    width, height = getattr(image, "size", (0, 0))
    return int(4 * width * height)
