"""Late-interaction text models that run as a graph: token ids in, one vector a kept token out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from onnxembed.api.inputs import check_text
from onnxembed.late_interaction.tokens import MarkedTokens, SideTokenizer
from onnxembed.text.graph import PaddedTokens, TextGraph

Array = np.ndarray[Any, np.dtype[Any]]

# As in the ColBERT code: a vector shorter than this is not stretched to length 1.
_SMALLEST_NORM = 1e-12


@dataclass(frozen=True, slots=True)
class LinearLayer:
    """A linear layer.

    Attributes:
        weight: (outputs, inputs) float32.
        bias: (outputs,) float32, or ``None``.
    """

    weight: Array
    bias: Array | None

    def apply(self, vectors: Array) -> Array:
        """Project vectors.

        Args:
            vectors: (vectors, inputs) float32.

        Returns:
            (vectors, outputs) float32.
        """
        projected = vectors @ self.weight.T
        return projected if self.bias is None else projected + self.bias


@dataclass(frozen=True, slots=True)
class TokenHead:
    """What becomes of a graph's token states.

    Attributes:
        output: Name of the graph output.
        layers: Linear layers that follow it, in order.
        normalize: Whether vectors are scaled to length 1.
        task: Value of the ``task_id`` input, for graphs that have one.
    """

    output: str
    layers: tuple[LinearLayer, ...]
    normalize: bool
    task: int | None = None

    def apply(self, states: Array) -> Array:
        """Project and scale states.

        Args:
            states: (tokens, hidden) of any float type.

        Returns:
            (tokens, dim) float32.
        """
        vectors = states.astype(np.float32, copy=False)
        for layer in self.layers:
            vectors = layer.apply(vectors)
        if self.normalize:
            lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
            vectors = vectors / np.maximum(lengths, np.float32(_SMALLEST_NORM))
        return vectors


class ColbertFamily:
    """A late-interaction model as it is used in one call: for queries, or for documents."""

    def __init__(self, graph: TextGraph, side: SideTokenizer, head: TokenHead, *, truncate: bool) -> None:
        """Combine a loaded model with one of its sides.

        Args:
            graph: The model.
            side: Marks the texts.
            head: What becomes of the graph's output.
            truncate: Whether long texts are cut or refused.
        """
        self._graph = graph
        self._side = side
        self._head = head
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

    def prepare(self, items: Sequence[str], first_index: int) -> list[MarkedTokens]:
        """Tokenise and mark texts.

        Args:
            items: The texts.
            first_index: Position of the first one.

        Returns:
            Each text as the model reads it.
        """
        return self._side.encode(items, first_index, truncate=self._truncate)

    def cost(self, prepared: MarkedTokens) -> int:
        """Positions of a text.

        Args:
            prepared: The text.

        Returns:
            Their number.
        """
        return self._graph.cost(prepared.tokens)

    def run(self, batch: Sequence[MarkedTokens], worker: int) -> list[Array]:
        """Pad, run, keep the vectors that are to be given.

        Args:
            batch: Marked texts.
            worker: Number of the batch; batches go to the devices in turn.

        Returns:
            One float32 (tokens, dim) array a text, each with memory of its own.
        """
        padded = self._graph.pad([marked.tokens for marked in batch])
        starts = self._starts(batch, padded)
        kept = np.zeros(padded.ids.shape, dtype=bool)
        for row, (marked, start) in enumerate(zip(batch, starts, strict=True)):
            end = start + len(marked.kept)
            kept[row, start:end] = marked.kept
            padded.mask[row, start + marked.attended : end] = 0
        (states,) = self._graph.run([self._head.output], padded, worker, task=self._head.task)
        vectors = self._head.apply(states[kept])
        ends = np.cumsum(kept.sum(axis=1))
        return [part.copy() for part in np.split(vectors, ends[:-1])]

    def _starts(self, batch: Sequence[MarkedTokens], padded: PaddedTokens) -> list[int]:
        """The column at which each text begins."""
        width = padded.ids.shape[1]
        left = self._graph.tokenizer.rules.pad_left
        return [width - len(marked.kept) if left else 0 for marked in batch]
