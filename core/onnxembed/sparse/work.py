"""Sparse models as the pipeline runs them: tokens through a graph, or, for queries, through a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from onnxembed.api.inputs import check_text
from onnxembed.sparse.vector import SparseEmbedding
from onnxembed.text.graph import PaddedTokens, TextGraph
from onnxembed.text.tokenizer import TextTokenizer, Tokens

Array = np.ndarray[Any, np.dtype[Any]]


class Weigher(Protocol):
    """What distinguishes one kind of sparse model that runs as a graph."""

    @property
    def output(self) -> str:
        """Name of the graph output."""
        ...

    def weigh(self, output: Array, padded: PaddedTokens) -> list[SparseEmbedding]:
        """Make one vector a text of what the graph gave for a batch."""


class SparseGraphFamily:
    """A sparse model that runs as a graph, as it is used in one call."""

    def __init__(self, graph: TextGraph, weigher: Weigher, *, truncate: bool) -> None:
        """Combine a loaded model with the choices of a call.

        Args:
            graph: The model.
            weigher: Makes vectors of its output.
            truncate: Whether long texts are cut or refused.
        """
        self._graph = graph
        self._weigher = weigher
        self._truncate = truncate

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
        """Tokenise texts.

        Args:
            items: The texts.
            first_index: Position of the first one.

        Returns:
            Their tokens.
        """
        return self._graph.tokenizer.encode(items, first_index, truncate=self._truncate)

    def cost(self, prepared: Tokens) -> int:
        """Tokens of a text.

        Args:
            prepared: The tokens.

        Returns:
            Their number.
        """
        return self._graph.cost(prepared)

    def run(self, batch: Sequence[Tokens], worker: int) -> list[SparseEmbedding]:
        """Pad, run, weigh.

        Args:
            batch: Tokenised texts.
            worker: Number of the batch; batches go to the devices in turn.

        Returns:
            One vector a text.
        """
        padded = self._graph.pad(batch)
        (output,) = self._graph.run([self._weigher.output], padded, worker)
        return self._weigher.weigh(output, padded)


class LookupFamily:
    """Queries of models that need no inference for them."""

    def __init__(
        self, tokenizer: TextTokenizer, look_up: Callable[[Sequence[Tokens]], list[SparseEmbedding]], *, truncate: bool
    ) -> None:
        """Combine a tokenizer with a table.

        Args:
            tokenizer: The model's tokenizer.
            look_up: Makes one vector a text of its tokens.
            truncate: Whether long texts are cut or refused.
        """
        self._tokenizer = tokenizer
        self._look_up = look_up
        self._truncate = truncate

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
        """Tokenise texts.

        Args:
            items: The texts.
            first_index: Position of the first one.

        Returns:
            Their tokens.
        """
        return self._tokenizer.encode(items, first_index, truncate=self._truncate)

    def cost(self, prepared: Tokens) -> int:
        """Tokens of a text.

        Args:
            prepared: The tokens.

        Returns:
            Their number.
        """
        return len(prepared.ids)

    def run(self, batch: Sequence[Tokens], worker: int) -> list[SparseEmbedding]:  # noqa: ARG002  # a table is shared
        """Look a batch up.

        Args:
            batch: Tokenised texts.
            worker: Not used.

        Returns:
            One vector a text.
        """
        return self._look_up(batch)
