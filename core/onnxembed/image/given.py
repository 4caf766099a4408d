"""The images of a call as they were given: told from other things by type alone, nothing is opened."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from onnxembed.errors import InputTypeError
from onnxembed.image import sources
from onnxembed.image.limits import ImageLimits


@dataclass(frozen=True, slots=True)
class GivenImage:
    """One image.

    Attributes:
        index: Position among those given, counted from 0.
        source: The image, in any form but a file object, which is read as soon as it is given.
        described: What messages call it, where it no longer is what was given.
        held_bytes: What it occupies in memory already.
    """

    index: int
    source: object
    described: str | None
    held_bytes: int


def as_images(images: object, name: str) -> Iterable[object]:
    """Accept one image, a collection of images, or an iterable of them.

    Lists and tuples are checked whole at once, so that an item of a wrong type is told at the call; other iterables are
    checked as they are read.

    Args:
        images: The argument.
        name: Its name, for messages.

    Returns:
        An iterable of the images.

    Raises:
        InputTypeError: If it is neither an image nor an iterable, or an item of a list is no image.
    """
    if _is_image(images):
        return [images]
    if isinstance(images, Mapping) or not isinstance(images, Iterable):
        raise InputTypeError(f"{name} is {_article(images)}; expected an image or an iterable of images: {_forms()}")
    if isinstance(images, Sequence):
        for index, image in enumerate(images):
            check_image(image, index)
    return images


def check_image(image: object, index: int) -> object:
    """Refuse what cannot be an image by its type.

    Args:
        image: The item.
        index: Its position, for the message.

    Returns:
        The item.

    Raises:
        InputTypeError: If it is of another type.
    """
    if not _is_image(image):
        raise InputTypeError(f"image {index} is {_article(image)}; expected {sources.ACCEPTED}")
    return image


def take_image(image: object, index: int, limits: ImageLimits) -> GivenImage:
    """Take an image into a stream. A file object is read now, since its owner may close it after the next one.

    Args:
        image: The item.
        index: Its position.
        limits: What it may cost.

    Returns:
        The image.
    """
    check_image(image, index)
    described = None
    if not isinstance(image, (str, os.PathLike)) and callable(getattr(image, "read", None)):
        described = sources.describe(image)
        image = sources.read(image, f"image {index} ({described})", limits.max_bytes, None)
    return GivenImage(index, image, described, _held_bytes(image))


def _is_image(value: object) -> bool:
    if isinstance(value, (str, bytes, bytearray, memoryview, os.PathLike)) or callable(getattr(value, "read", None)):
        return True
    # Whoever passes an array or a PIL image has imported what it is made of.
    return any(
        isinstance(value, getattr(sys.modules[module], kind))
        for module, kind in (("numpy", "ndarray"), ("PIL.Image", "Image"))
        if module in sys.modules
    )


def _held_bytes(image: object) -> int:
    if isinstance(image, (str, os.PathLike)):
        return 0
    if isinstance(image, (bytes, bytearray)):
        return len(image)
    held = getattr(image, "nbytes", None)  # of arrays and views of memory
    if isinstance(held, int):
        return held
    width, height = getattr(image, "size", (0, 0))
    return int(4 * width * height)


def _article(value: object) -> str:
    if value is None:
        return "None"
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def _forms() -> str:
    return f"each {sources.ACCEPTED}"
