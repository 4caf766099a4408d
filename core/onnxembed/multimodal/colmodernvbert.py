"""ColModernVBERT: the prompts of Idefics3 (Teiletche et al., 2025, arXiv:2510.01149; forms as in its processor)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from onnxembed.hub.files import FolderFiles
from onnxembed.hub.folder import CONFIG_FILE
from onnxembed.image.processor_file import NESTED_FILE
from onnxembed.multimodal.conventions import PIXELS, Array, Page, prompt_ids
from onnxembed.multimodal.picture_config import PictureConfig
from onnxembed.multimodal.tiles import read_tiling
from onnxembed.text.tokenizer import TextTokenizer

if TYPE_CHECKING:
    from PIL.Image import Image

_AUGMENTATION = "<end_of_utterance>" * 10
_EDGE = "<fake_token_around_image>"
_BEFORE = "<|begin_of_text|>User:"
_AFTER = "Describe the image.<end_of_utterance>\nAssistant:"


class ColModernVbert:
    """Tiles, each named by its place in the prompt; queries with ten closing tokens. Graphs leave out blank tiles."""

    blank_positions = 0
    drops_blanks = True

    def __init__(self, folder: Path, tokenizer: TextTokenizer) -> None:
        self._tiling = read_tiling(folder)
        self._tokenizer = tokenizer
        self._tile_tokens = _config(folder, NESTED_FILE).number(64, "image_seq_len")
        self._blank = _config(folder, CONFIG_FILE).number(512, "vision_config", "image_size")
        self._prompts: dict[tuple[int, int], Array] = {}

    def query(self, text: str) -> str:
        """Put the tokens that augment it behind a text."""
        return text + _AUGMENTATION

    def mark(self, ids: Array) -> Array:
        """Leave the ids as they are."""
        return ids

    def page(self, picture: Image) -> Page:
        """Cut a picture into tiles."""
        tiles, grid = self._tiling.cut(picture)
        return Page(tiles, self._prompt(grid), grid)

    def pixels(self, pages: Sequence[Page]) -> Mapping[str, Array]:
        """Pixels of pages of as many tiles, (pages, tiles, 3, side, side) float32."""
        side = self._tiling.tile
        result: Array = np.empty((len(pages), len(pages[0].parts), 3, side, side), dtype=np.float32)
        for page, places in zip(pages, result, strict=True):
            for tile, place in zip(page.parts, places, strict=True):
                self._tiling.levels.into(tile, place)
        return {PIXELS: result}

    def blank(self, count: int) -> Mapping[str, Array]:
        """Zeros, (count, 1, 3, side, side) float32."""
        return {PIXELS: np.zeros((count, 1, 3, self._blank, self._blank), dtype=np.float32)}

    def _prompt(self, grid: tuple[int, int]) -> Array:
        """The prompt of a picture; there are few grids, and each takes a thousand tokens to spell."""
        ids = self._prompts.get(grid)
        if ids is None:
            ids = prompt_ids(self._tokenizer, _BEFORE + _places(grid, "<image>" * self._tile_tokens) + _AFTER)
            self._prompts[grid] = ids
        return ids


def _config(folder: Path, name: str) -> PictureConfig:
    files = FolderFiles(folder)
    return PictureConfig(files.json_object(name), files.label(name))


def _places(grid: tuple[int, int], tile: str) -> str:
    """Spell the tiles of a picture, row by row, and the whole."""
    rows, columns = grid
    whole = f"{_EDGE}<global-img>{tile}{_EDGE}"
    if rows == 0:
        return whole
    lines = (
        "".join(f"{_EDGE}<row_{row}_col_{column}>{tile}" for column in range(1, columns + 1)) + "\n"
        for row in range(1, rows + 1)
    )
    return "".join(lines) + "\n" + whole
