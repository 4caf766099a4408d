"""ColQwen2: the prompts of its processor in transformers; patches as Qwen2-VL reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from onnxembed.errors import ModelError
from onnxembed.hub.files import FolderFiles
from onnxembed.image.processor_file import NESTED_FILE
from onnxembed.multimodal.conventions import GRIDS, PIXELS, Array, Page, prompt_ids
from onnxembed.multimodal.qwen_patches import read_patching
from onnxembed.text.tokenizer import TextTokenizer
from onnxembed.text.tokenizer_rules import token_text

if TYPE_CHECKING:
    from PIL.Image import Image

_AUGMENTATION_TOKENS = 10
_IMAGE_TOKEN = "<|image_pad|>"  # noqa: S105  # a token of a vocabulary, no password
_PICTURE_PROMPT = (
    "<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>Describe the image.<|im_end|><|endoftext|>"
)
_QUERY_PREFIX = "Query: "


class ColQwen2:
    """As many image tokens as a picture needs; queries filled with padding tokens that are read.

    A flat graph takes the patches of a batch in one row, as Qwen2-VL does; others take them picture by picture.
    """

    blank_positions = 1
    drops_blanks = False

    def __init__(self, folder: Path, tokenizer: TextTokenizer, *, flat: bool) -> None:
        self._patching = read_patching(folder)
        self._flat = flat
        files = FolderFiles(folder)
        stated = files.json_object(NESTED_FILE)
        self._prefix = _stated_text(folder, stated, "query_prefix", _QUERY_PREFIX)
        pad = token_text(files.json_object("tokenizer_config.json").get("pad_token"))
        self._suffix = (pad or tokenizer.backend.id_to_token(tokenizer.rules.pad_id) or "") * _AUGMENTATION_TOKENS
        self._image_id = tokenizer.backend.token_to_id(_IMAGE_TOKEN)
        prompt = _stated_text(folder, stated, "visual_prompt_prefix", _PICTURE_PROMPT)
        if self._image_id is None or not self._suffix or prompt.count(_IMAGE_TOKEN) != 1:
            raise ModelError(
                f"{folder}: expected a tokenizer with a padding token and {_IMAGE_TOKEN!r}, and a prompt for pictures "
                f"with that token once; the prompt is {prompt!r:.200}. Is this a ColQwen2?"
            )
        ids = prompt_ids(tokenizer, prompt)
        (place,) = np.flatnonzero(ids == self._image_id)
        self._before, self._after = ids[:place], ids[place + 1 :]

    def query(self, text: str) -> str:
        """Put a text between its prefix and the tokens that augment it."""
        return f"{self._prefix}{text}{self._suffix}\n"

    def mark(self, ids: Array) -> Array:
        """Leave the ids as they are."""
        return ids

    def page(self, picture: Image) -> Page:
        """Bring a picture to whole tokens."""
        resized, grid = self._patching.resize(picture)
        image = np.full(self._patching.tokens(grid), self._image_id, dtype=np.int64)
        return Page((resized,), np.concatenate([self._before, image, self._after]), grid)

    def pixels(self, pages: Sequence[Page]) -> Mapping[str, Array]:
        """Patches of pages of one grid, (pages, patches, numbers) or (all patches, numbers) float32.

        With them their grids, (pages, 3) int64 of frames, rows and columns.
        """
        return self._inputs(np.stack([self._patching.flatten(page.parts[0]) for page in pages]), pages[0].grid)

    def blank(self, count: int) -> Mapping[str, Array]:
        """Inputs as `pixels` makes them, with zeros, of pictures as small as one token."""
        merge = self._patching.merge
        return self._inputs(np.zeros((count, merge**2, self._patching.patch_numbers), dtype=np.float32), (merge, merge))

    def _inputs(self, patches: Array, grid: tuple[int, int]) -> Mapping[str, Array]:
        """Both inputs of pictures of one grid."""
        grids = np.array([(1, *grid)] * len(patches), dtype=np.int64)
        return {PIXELS: patches.reshape(-1, patches.shape[-1]) if self._flat else patches, GRIDS: grids}


def _stated_text(folder: Path, stated: Mapping[str, object], key: str, default: str) -> str:
    """A text of the processor's file, empty counting as left out."""
    value = stated.get(key)
    if value is not None and not isinstance(value, str):
        raise ModelError(f"{folder / NESTED_FILE}: {key} is {value!r:.100}; expected a string")
    return value or default
