"""Pictures in patches, in their own proportions, as Qwen2-VL reads them (Wang et al., 2024, arXiv:2409.12191)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from onnxembed.errors import InputError, ModelError, UnsupportedModelError
from onnxembed.image.processor import ImageProcessor
from onnxembed.multimodal.picture_config import PictureConfig, read_picture_config

if TYPE_CHECKING:
    from PIL.Image import Image

Array = np.ndarray[Any, np.dtype[Any]]

_BICUBIC = 3
_MIN_PIXELS = 56 * 56
_MAX_PIXELS = 28 * 28 * 1280
_HIGHEST_RATIO = 200


@dataclass(frozen=True, slots=True)
class Patching:
    """How a picture becomes a row of flat patches.

    Attributes:
        min_pixels: A smaller picture is enlarged to about as many.
        max_pixels: A larger picture is made smaller than this.
        patch: Side of a patch in pixels.
        frames: Equal frames that stand for a still picture.
        merge: Patches along one side of the square that the model joins into one token.
        resample: Pillow's number of the filter.
        levels: Makes numbers of a picture.
    """

    min_pixels: int
    max_pixels: int
    patch: int
    frames: int
    merge: int
    resample: int
    levels: ImageProcessor

    @property
    def patch_numbers(self) -> int:
        """Length of a flat patch."""
        return 3 * self.frames * self.patch**2

    def size(self, width: int, height: int) -> tuple[int, int]:
        """The (width, height) of a picture: whole tokens along both sides, within the bounds, near its proportions.

        One side more than 200 times the other is an `InputError`.
        """
        if max(width, height) > _HIGHEST_RATIO * min(width, height):
            raise InputError(
                f"an image of {width} x {height} pixels has one side more than {_HIGHEST_RATIO} times the other, which "
                "this model does not take; cut it into parts of more even sides"
            )
        unit = self.patch * self.merge
        new_width, new_height = round(width / unit) * unit, round(height / unit) * unit
        if new_width * new_height > self.max_pixels:
            shrink = math.sqrt((height * width) / self.max_pixels)
            new_width = max(unit, math.floor(width / shrink / unit) * unit)
            new_height = max(unit, math.floor(height / shrink / unit) * unit)
        elif new_width * new_height < self.min_pixels:
            grow = math.sqrt(self.min_pixels / (height * width))
            new_width = math.ceil(width * grow / unit) * unit
            new_height = math.ceil(height * grow / unit) * unit
        return new_width, new_height

    def resize(self, picture: Image) -> tuple[Image, tuple[int, int]]:
        """Bring a picture in RGB to its size; with it, (rows, columns) of its patches."""
        width, height = self.size(*picture.size)
        return picture.resize((width, height), self.resample), (height // self.patch, width // self.patch)

    def tokens(self, grid: tuple[int, int]) -> int:
        """Image tokens of a picture of (rows, columns) patches."""
        return grid[0] * grid[1] // self.merge**2

    def flatten(self, picture: Image) -> Array:
        """A picture as `resize` gives it, as float32 (patches, numbers).

        The patches of a token follow each other; each has channel, frame, row, column.
        """
        numbers = self.levels(picture)
        rows, columns = numbers.shape[1] // self.patch, numbers.shape[2] // self.patch
        merge, patch = self.merge, self.patch
        cut = numbers.reshape(3, rows // merge, merge, patch, columns // merge, merge, patch)
        ordered = cut.transpose(1, 4, 2, 5, 0, 3, 6).reshape(rows * columns, 3, 1, patch * patch)
        flat: Array = np.repeat(ordered, self.frames, axis=2).reshape(rows * columns, self.patch_numbers)
        return flat


def read_patching(folder: Path) -> Patching:
    """Read how a model's pictures become patches; entries that are left out have the defaults of transformers.

    A malformed entry is a `ModelError`, pictures that are not to be resized an `UnsupportedModelError`.
    """
    config = read_picture_config(folder)
    config.require_type("Qwen2VLImageProcessor")
    if not config.flag("do_resize", default=True):
        raise UnsupportedModelError(f"{config.where} asks for no resizing (do_resize), which is not supported")
    lowest, highest = (
        _bound(config, "min_pixels", "shortest_edge", _MIN_PIXELS),
        _bound(config, "max_pixels", "longest_edge", _MAX_PIXELS),
    )
    if lowest > highest:
        raise ModelError(f"{config.where}: min_pixels {lowest} is more than max_pixels {highest}; correct the file")
    return Patching(
        min_pixels=lowest,
        max_pixels=highest,
        patch=config.number(14, "patch_size"),
        frames=config.number(2, "temporal_patch_size"),
        merge=config.number(2, "merge_size"),
        resample=config.resample(_BICUBIC),
        levels=config.levels("CLIPImageProcessor"),
    )


def _bound(config: PictureConfig, name: str, edge: str, default: int) -> int:
    """A bound under its own name, or under that of an edge in ``size``, where newer files keep it."""
    return config.number(config.number(config.number(default, "size", name), "size", edge), name)
