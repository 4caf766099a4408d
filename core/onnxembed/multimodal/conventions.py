"""What distinguishes one kind of multimodal model from another: prompts, token ids and the form of pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

    from onnxembed.text.tokenizer import TextTokenizer

Array = np.ndarray[Any, np.dtype[Any]]

PIXELS = "pixel_values"
GRIDS = "image_grid_thw"


@dataclass(frozen=True, slots=True)
class Page:
    """A picture cut to what a model reads. Its levels become numbers only in its batch, for these take 4 times as much.

    Attributes:
        parts: Pictures in RGB, each of its final size.
        ids: int64 (tokens,), the prompt with the image tokens.
        grid: How many rows and columns the parts or the patches have; (0, 0) for a picture that is one whole.
    """

    parts: tuple[Image, ...]
    ids: Array
    grid: tuple[int, int]

    @property
    def layout(self) -> tuple[int, int, tuple[int, int]]:
        """Equal for pages that run together without padding."""
        return len(self.ids), len(self.parts), self.grid


class Conventions(Protocol):
    """One kind of model, read from its folder. A new kind is a new object of this form."""

    @property
    def blank_positions(self) -> int:
        """Positions that the vision tower reads of one blank picture."""
        ...

    @property
    def drops_blanks(self) -> bool:
        """Whether graphs of this kind leave out blank pictures, so that one serves a batch of texts."""
        ...

    def query(self, text: str) -> str:
        """Put a text into the form of a query."""
        ...

    def mark(self, ids: Array) -> Array:
        """Put fixed ids into a tokenised query, (tokens,) of one query without padding."""
        ...

    def page(self, picture: Image) -> Page:
        """Cut an upright picture in RGB."""
        ...

    def pixels(self, pages: Sequence[Page]) -> Mapping[str, Array]:
        """Make the graph's inputs, float32 and int64, of pages of one layout."""
        ...

    def blank(self, count: int) -> Mapping[str, Array]:
        """Make the inputs of that many blank pictures."""
        ...


def prompt_ids(tokenizer: TextTokenizer, prompt: str) -> Array:
    """Tokenise the prompt of a picture, int64 (tokens,).

    It is never cut: a limit for queries must not part it from its image tokens.
    """
    import tokenizers

    # The shared tokenizer cuts, and is never changed.
    copy = tokenizers.Tokenizer.from_str(tokenizer.backend.to_str())
    copy.no_truncation()
    return np.array(copy.encode(prompt).ids, dtype=np.int64)
