"""From a picture to the numbers that a model takes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from onnxembed.image.transforms import Crop, Resize, resize_and_crop

if TYPE_CHECKING:
    from PIL.Image import Image

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class ImageProcessor:
    """What is done to a picture before a model sees it, in the order of the attributes; None leaves a step out.

    Attributes:
        resize: Change of size.
        crops: Cuts out of the middle.
        rescale_factor: What levels of 0 to 255 are multiplied by.
        mean: Is subtracted, a number for each of red, green and blue.
        std: Divides what is left; None exactly where ``mean`` is None.
    """

    resize: Resize | None
    crops: tuple[Crop, ...]
    rescale_factor: float | None
    mean: tuple[float, float, float] | None
    std: tuple[float, float, float] | None

    @property
    def fixed_size(self) -> tuple[int, int] | None:
        """(height, width) of every result; None where it depends on the picture."""
        if self.crops:
            return self.crops[-1].size
        if self.resize is not None and not isinstance(self.resize.size, int):
            return self.resize.size
        return None

    def __call__(self, picture: Image) -> Array:
        """Process one picture in RGB to (3, height, width) float32; an `InputError` if it is much too long and thin."""
        pixels = self._pixels(picture)
        result: Array = np.empty((3, *pixels.shape[:2]), dtype=np.float32)
        self._normalize(pixels, result)
        return result

    def into(self, picture: Image, out: Array) -> None:
        """Process one picture in RGB into its place in a batch, (3, height, width) float32 of the `fixed_size`."""
        self._normalize(self._pixels(picture), out)

    def _pixels(self, picture: Image) -> Array:
        """(height, width, 3) uint8 of the final size."""
        return np.asarray(resize_and_crop(picture, self.resize, self.crops))

    def _normalize(self, pixels: Array, out: Array) -> None:
        """Rescale and normalize: there are 256 levels per channel, so each result is looked up."""
        tables = _tables(self.rescale_factor, self.mean, self.std)
        for channel in range(3):
            # Any mode but the default writes straight into ``out``; no index can be out of range here.
            np.take(tables[channel], pixels[:, :, channel], out=out[channel], mode="clip")


@lru_cache(maxsize=32)
def _tables(
    rescale_factor: float | None,
    mean: tuple[float, float, float] | None,
    std: tuple[float, float, float] | None,
) -> Array:
    """The result of each level in each channel, (3, 256) float32.

    Rounded like transformers: the product in float64 and then to float32, difference and quotient in float32.
    """
    levels: Array = np.arange(256, dtype=np.float64)
    if rescale_factor is not None:
        levels = levels * rescale_factor
    tables: Array = np.repeat(levels.astype(np.float32)[None], 3, axis=0)
    if mean is not None and std is not None:
        tables = (tables - np.array(mean, dtype=np.float32)[:, None]) / np.array(std, dtype=np.float32)[:, None]
    return tables
