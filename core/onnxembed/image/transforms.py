"""Resizing and cropping, with the sizes and roundings that models were trained with."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from onnxembed.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image

# Resizing takes most of the time after decoding, and a crop throws part of it away. Of pictures with more pixels than
# this only the part that the crop keeps is computed, which equals the whole within a level as long as every result is a
# mean of many pixels. Smaller ones are done whole, equal to the bit to transformers, and so are upright ones, for which
# Pillow would exchange its two passes, which round in between.
_EXACT_PIXELS = 256 * 1024
_MANY_PIXELS = 2
_EDGE_CHOICES = 8
_WORTHWHILE_SHARE = 0.9
# Filters whose kernels have no jumps: positions rounded to 24 bits then move no value by more than a level.
_SMOOTH_FILTERS = (1, 2, 3)
# A long thin picture, scaled until its short side fits, may become thousands of times larger than what is kept of it.
WHOLE_PIXELS = 16 * 1024 * 1024
_RESULT_PIXELS = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Resize:
    """A change of size.

    Attributes:
        size: (height, width) in pixels; or one number, to which the shorter side is brought while the longer one keeps
            the proportion, rounded down.
        resample: Pillow's number of the filter: 0 nearest, 1 Lanczos, 2 bilinear, 3 bicubic, 4 box, 5 Hamming.
    """

    size: tuple[int, int] | int
    resample: int

    def target(self, width: int, height: int) -> tuple[int, int]:
        """The (width, height) that a picture gets, as Pillow counts."""
        if not isinstance(self.size, int):
            return self.size[1], self.size[0]
        longer = int(self.size * max(width, height) / min(width, height))
        return (self.size, longer) if width <= height else (longer, self.size)


@dataclass(frozen=True, slots=True)
class Crop:
    """A cut out of the middle; where the picture is smaller, black is added around it.

    Attributes:
        size: (height, width) in pixels.
        half_even: Whether half a pixel of offset is rounded to the even one, as torchvision does; else down, as
            transformers does.
    """

    size: tuple[int, int]
    half_even: bool = False

    def box(self, width: int, height: int) -> tuple[int, int, int, int]:
        """The (left, top, right, bottom) that is kept; may lie outside the picture."""
        left, top = self._offset(width - self.size[1]), self._offset(height - self.size[0])
        return left, top, left + self.size[1], top + self.size[0]

    def _offset(self, spare: int) -> int:
        return round(spare / 2) if self.half_even else spare // 2


def resize_and_crop(picture: Image, resize: Resize | None, crops: tuple[Crop, ...]) -> Image:
    """Bring a picture in RGB to the size that a model takes; an `InputError` if it is much too long and thin."""
    if resize is not None:
        width, height = resize.target(*picture.size)
        if crops and _only_middle(picture.size, (width, height), resize.resample, crops[0]):
            picture, crops = _resize_middle(picture, (width, height), resize.resample, crops[0]), crops[1:]
        elif width * height > _RESULT_PIXELS:
            raise InputError(
                f"an image of {picture.width} x {picture.height} pixels would be scaled to {width} x {height} for this "
                "model; cut it into parts of more even sides"
            )
        else:
            picture = picture.resize((width, height), resize.resample)
    for crop in crops:
        box = crop.box(*picture.size)
        if box != (0, 0, *picture.size):
            picture = picture.crop(box)
    return picture


def _only_middle(given: tuple[int, int], size: tuple[int, int], resample: int, crop: Crop) -> bool:
    """Whether it is worthwhile to compute only what the crop keeps."""
    width, height = size
    if width * height > WHOLE_PIXELS:
        return True
    kept = min(crop.size[0], height) * min(crop.size[1], width)
    large = given[0] * given[1] > _EXACT_PIXELS and width > height and given[1] >= _MANY_PIXELS * height
    return large and resample in _SMOOTH_FILTERS and kept < _WORTHWHILE_SHARE * width * height


def _resize_middle(picture: Image, size: tuple[int, int], resample: int, crop: Crop) -> Image:
    """Resize and crop at once; with a smooth filter equal to one after the other within one level."""
    box = crop.box(*size)
    left, right = _edges(box[0], box[2], size[0], picture.width)
    top, bottom = _edges(box[1], box[3], size[1], picture.height)
    across, down = picture.width / size[0], picture.height / size[1]
    inside = left * across, top * down, min(right * across, picture.width), min(bottom * down, picture.height)
    part = picture.resize((right - left, bottom - top), resample, box=inside)
    return part.crop((box[0] - left, box[1] - top, box[2] - left, box[3] - top))


def _edges(first: int, last: int, target: int, given: int) -> tuple[int, int]:
    """Widen a span a little, to where its ends lose least when Pillow rounds their places to 24 bits."""
    step = given / target

    def lost(edge: int) -> float:
        (rounded,) = struct.unpack("f", struct.pack("f", edge * step))
        return abs(float(rounded) - edge * step)

    first, last = max(first, 0), min(last, target)
    lower = min(range(max(first - _EDGE_CHOICES, 0), first + 1), key=lost)
    return lower, min(range(last, min(last + _EDGE_CHOICES, target) + 1), key=lost)
