"""Texts and pictures through one model: two families, of which a call uses one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from onnxembed.api.inputs import check_text
from onnxembed.image.given import GivenImage, take_image
from onnxembed.image.limits import ImageLimits
from onnxembed.image.loading import load_image
from onnxembed.multimodal.conventions import Array, Conventions, Page
from onnxembed.multimodal.graph import MultimodalGraph
from onnxembed.text.graph import PaddedTokens
from onnxembed.text.tokenizer import Tokens


class QueryFamily:
    """Texts in the form of queries."""

    def __init__(self, graph: MultimodalGraph, conventions: Conventions, *, truncate: bool) -> None:
        """Combine a loaded model with its conventions.

        Args:
            graph: The model.
            conventions: Its kind.
            truncate: Whether long texts are cut or refused.
        """
        self._graph = graph
        self._conventions = conventions
        self._truncate = truncate
        self._shared = conventions.drops_blanks or graph.shares_blank
        # A blank picture that every text brings along goes through the vision tower and takes memory like any other.
        self._besides = conventions.blank_positions if graph.needs_pictures and not self._shared else 0

    def check(self, item: object, index: int) -> str:
        """Accept a string.

        Args:
            item: The item.
            index: Its position.

        Returns:
            The item.
        """
        return check_text(item, index)

    def size(self, item: str) -> int:
        """Characters of a text.

        Args:
            item: The text.

        Returns:
            Its length.
        """
        return len(item)

    def prepare(self, items: Sequence[str], first_index: int) -> list[Tokens]:
        """Tokenise texts as queries.

        Args:
            items: The texts.
            first_index: Position of the first one.

        Returns:
            The tokens of each.
        """
        queries = [self._conventions.query(text) for text in items]
        encoded = self._graph.text.tokenizer.encode(queries, first_index, truncate=self._truncate)
        return [Tokens(self._conventions.mark(tokens.ids)) for tokens in encoded]

    def cost(self, prepared: Tokens) -> int:
        """Positions that a text makes the model read.

        Args:
            prepared: The text.

        Returns:
            Its tokens, and those of the blank picture beside it.
        """
        return len(prepared.ids) + self._besides

    def run(self, batch: Sequence[Tokens], worker: int) -> list[Array]:
        """Pad, run, leave out the rows of padding.

        Args:
            batch: Tokenised texts.
            worker: Number of the batch.

        Returns:
            One float32 (tokens, dim) array a text, each with memory of its own.
        """
        padded = self._graph.text.pad(batch)
        blanks = self._conventions.blank(1 if self._shared else len(batch)) if self._graph.needs_pictures else {}
        states = self._graph.run(padded, blanks, worker)
        kept = padded.mask.astype(bool)
        return [_own(rows[keep]) for rows, keep in zip(states, kept, strict=True)]


class PageFamily:
    """Pictures, such as those of pages."""

    def __init__(self, graph: MultimodalGraph, conventions: Conventions, limits: ImageLimits) -> None:
        """Combine a loaded model with its conventions.

        Args:
            graph: The model.
            conventions: Its kind.
            limits: What a picture may cost.
        """
        self._graph = graph
        self._conventions = conventions
        self._limits = limits

    def check(self, item: object, index: int) -> GivenImage:
        """Accept a picture by its type, and read file objects.

        Args:
            item: The item.
            index: Its position.

        Returns:
            The picture as it was given.
        """
        return take_image(item, index, self._limits)

    def size(self, item: GivenImage) -> int:  # noqa: ARG002  # windows are bounded by their number of pictures
        """Count a picture as one.

        Args:
            item: The picture.

        Returns:
            1.
        """
        return 1

    def prepare(self, items: Sequence[GivenImage], first_index: int) -> list[Page]:  # noqa: ARG002  # they know theirs
        """Load and cut pictures.

        Args:
            items: The pictures.
            first_index: Position of the first one.

        Returns:
            A page each.
        """
        return [
            self._conventions.page(load_image(item.source, item.index, self._limits, described=item.described))
            for item in items
        ]

    def cost(self, prepared: Page) -> int:
        """Positions of a page.

        Args:
            prepared: The page.

        Returns:
            Their number.
        """
        return len(prepared.ids)

    def run(self, batch: Sequence[Page], worker: int) -> list[Array]:
        """Run pages of one layout together, so that none is padded and none can feel another.

        Args:
            batch: Pages.
            worker: Number of the batch.

        Returns:
            One float32 (tokens, dim) array a page, each with memory of its own.
        """
        layouts: dict[object, list[int]] = defaultdict(list)
        for number, page in enumerate(batch):
            layouts[page.layout].append(number)
        results: dict[int, Array] = {}
        for numbers in layouts.values():
            pages = [batch[number] for number in numbers]
            ids = np.stack([page.ids for page in pages])
            states = self._graph.run(PaddedTokens(ids, np.ones_like(ids)), self._conventions.pixels(pages), worker)
            results |= {number: _own(rows) for number, rows in zip(numbers, states, strict=True)}
        return [results[number] for number in range(len(batch))]


def _own(rows: Array) -> Array:
    """Vectors as float32 in memory of their own, so that one kept does not keep its batch."""
    vectors: Array = np.array(rows, dtype=np.float32, order="C")
    return vectors
