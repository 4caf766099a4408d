"""The images of a call as they were given: recognised by type alone, without opening any."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from onnxembed.api.inputs import Checked, check_items, describe_type
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


def check_images(images: object, name: str, limits: ImageLimits) -> Checked[GivenImage]:
    """Accept one image, a collection of images, or an iterable of them, given as the argument ``name``.

    Lists and tuples are checked whole, so that a wrong item is an `InputTypeError` at the call; others as they are
    read.
    """
    if _is_image(images):
        return Checked(taken((images,), limits), empty=False)
    if isinstance(images, Mapping) or not isinstance(images, Iterable):
        raise InputTypeError(
            f"{name} is {describe_type(images)}; expected an image or an iterable of images: each {sources.ACCEPTED}"
        )
    checked = check_items(images, _check_all, check_image)
    return Checked(taken(checked.items, limits), empty=checked.empty)


def check_image(image: object, index: int) -> object:
    """Refuse what cannot be an image by its type."""
    if not _is_image(image):
        raise InputTypeError(f"image {index} is {describe_type(image)}; expected {sources.ACCEPTED}")
    return image


def _check_all(images: Sequence[object]) -> None:
    for index, image in enumerate(images):
        check_image(image, index)


def taken(images: Iterable[object], limits: ImageLimits) -> Iterator[GivenImage]:
    """Take images one by one; a file object is read at once, since its owner may close it after the next one."""
    for index, image in enumerate(images):
        source, described = image, None
        if not isinstance(image, (str, os.PathLike)) and callable(getattr(image, "read", None)):
            described = sources.describe(image)
            source = sources.read(image, f"image {index} ({described})", limits)
        yield GivenImage(index, source, described, _held_bytes(source))


def _is_image(value: object) -> bool:
    if isinstance(value, (str, bytes, bytearray, memoryview, os.PathLike)) or callable(getattr(value, "read", None)):
        return True
    # A caller that passes an array or a PIL image has imported what it is made of.
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
