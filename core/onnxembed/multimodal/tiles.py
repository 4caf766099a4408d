"""Pictures in tiles, as Idefics3 cuts them (Laurencon et al., 2024, arXiv:2408.12637; sizes as in transformers)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from onnxembed.errors import ModelError
from onnxembed.image.processor import ImageProcessor
from onnxembed.multimodal.picture_config import read_picture_config

if TYPE_CHECKING:
    from PIL.Image import Image

_LANCZOS = 1
_DEFAULT_TILE = 364
# transformers never makes a side longer than this before it cuts tiles.
_LONGEST_SIDE = 4096


@dataclass(frozen=True, slots=True)
class Tiling:
    """How a picture becomes square tiles of one size.

    Attributes:
        longest_edge: Pixels that the longer side is brought to first; ``None`` to leave it.
        tile: Side of a tile in pixels.
        split: Whether large pictures become several tiles and a small view of the whole; otherwise one tile.
        resample: Pillow's number of the filter.
        levels: Makes numbers of a tile.
    """

    longest_edge: int | None
    tile: int
    split: bool
    resample: int
    levels: ImageProcessor

    def cut(self, picture: Image) -> tuple[tuple[Image, ...], tuple[int, int]]:
        """Cut a picture in RGB: tiles row by row, then the whole, and (rows, columns).

        A picture that is not split is one tile and (0, 0).
        """
        if self.longest_edge is not None:
            picture = picture.resize(_scaled(*picture.size, self.longest_edge), self.resample)
        side = self.tile
        if not self.split:
            return (picture.resize((side, side), self.resample),), (0, 0)
        picture = picture.resize(_whole_tiles(*picture.size, side), self.resample)
        columns, rows = picture.width // side, picture.height // side
        if rows == columns == 1:
            return (picture,), (0, 0)
        corners = [(column * side, row * side) for row in range(rows) for column in range(columns)]
        tiles = [picture.crop((left, top, left + side, top + side)) for left, top in corners]
        return (*tiles, picture.resize((side, side), self.resample)), (rows, columns)


def read_tiling(folder: Path) -> Tiling:
    """Read how a model's pictures are cut; entries that are left out have the defaults of transformers.

    A malformed entry is a `ModelError`.
    """
    config = read_picture_config(folder)
    config.require_type("Idefics3ImageProcessor")
    longest_edge = None
    if config.flag("do_resize", default=True):
        if config.values.get("size") is not None and not config.number(0, "size", "longest_edge"):
            raise ModelError(f"{config.where}: size is {config.values['size']!r}; expected {{'longest_edge': pixels}}")
        longest_edge = config.number(4 * _DEFAULT_TILE, "size", "longest_edge")
    return Tiling(
        longest_edge=longest_edge,
        tile=config.number(_DEFAULT_TILE, "max_image_size", "longest_edge"),
        split=config.flag("do_image_splitting", default=True),
        resample=config.resample(_LANCZOS),
        levels=config.levels("SiglipImageProcessor"),
    )


def _scaled(width: int, height: int, longest: int) -> tuple[int, int]:
    """Bring the longer side to a length; the shorter one becomes even."""
    across = width >= height
    shorter = int(longest / (width / height)) if across else int(longest * (width / height))
    shorter = max(shorter + shorter % 2, 1)
    if longest > _LONGEST_SIDE:
        ratio = longest / shorter if across else shorter / longest
        longest = _LONGEST_SIDE
        shorter = max(int(longest / ratio) if across else int(longest * ratio), 1)
    return (longest, shorter) if across else (shorter, longest)


def _whole_tiles(width: int, height: int, tile: int) -> tuple[int, int]:
    """Round both sides up to whole tiles: the longer one first, the other by the proportion and then up."""
    ratio = width / height
    if width >= height:
        width = math.ceil(width / tile) * tile
        return width, math.ceil(int(width / ratio) / tile) * tile
    height = math.ceil(height / tile) * tile
    return math.ceil(int(height * ratio) / tile) * tile, height
