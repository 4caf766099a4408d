"""ColPali: PaliGemma's prompts and ids (Faysse et al., 2024, arXiv:2407.01449; ids of the tokenizer of v1.3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from onnxembed.errors import ModelError
from onnxembed.image.processor_config import read_processor
from onnxembed.image.transforms import resize_and_crop
from onnxembed.multimodal.conventions import PIXELS, Array, Page

if TYPE_CHECKING:
    from PIL.Image import Image

_AUGMENTATION_TOKENS = 10
# The first two ids of every query: the beginning, and the word "Query".
_QUERY_MARKER = np.array([2, 5098])
_IMAGE_ID = 257_152
_IMAGE_TOKENS = 1024
# "Describe the image." after the beginning, with the line's end.
_INSTRUCTION = (2, 50_721, 573, 2416, 235_265, 108)


class ColPali:
    """A picture of fixed size before a fixed row of ids; queries filled with padding tokens that are read."""

    blank_positions = _IMAGE_TOKENS
    drops_blanks = False

    def __init__(self, folder: Path, accept_unknown: tuple[str, ...] = ()) -> None:
        processor = read_processor(folder, accept_unknown)
        size = processor.fixed_size
        if size is None:
            raise ModelError(
                f"{folder}: pictures would keep their own proportions, but a model of this kind takes one size; "
                "expected a size with height and width in preprocessor_config.json"
            )
        self._size = size
        self._processor = processor
        self._levels = replace(processor, resize=None, crops=())
        self._ids = np.array([_IMAGE_ID] * _IMAGE_TOKENS + list(_INSTRUCTION), dtype=np.int64)

    def query(self, text: str) -> str:
        """Put a text between its marker and the tokens that augment it."""
        return f"<s>Query: {text}{'<pad>' * _AUGMENTATION_TOKENS}\n"

    def mark(self, ids: Array) -> Array:
        """Replace the first two ids of a query without padding by those that the model was trained with."""
        marked = ids.copy()
        count = min(len(ids), len(_QUERY_MARKER))
        marked[:count] = _QUERY_MARKER[:count]
        return marked

    def page(self, picture: Image) -> Page:
        """Resize a picture."""
        return Page((resize_and_crop(picture, self._processor.resize, self._processor.crops),), self._ids, (0, 0))

    def pixels(self, pages: Sequence[Page]) -> Mapping[str, Array]:
        """Pixels, (pages, 3, height, width) float32."""
        result: Array = np.empty((len(pages), 3, *self._size), dtype=np.float32)
        for number, page in enumerate(pages):
            self._levels.into(page.parts[0], result[number])
        return {PIXELS: result}

    def blank(self, count: int) -> Mapping[str, Array]:
        """Zeros, (count, 3, height, width) float32."""
        return {PIXELS: np.zeros((count, 3, *self._size), dtype=np.float32)}
