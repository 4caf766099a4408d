"""Late-interaction text models that run as a graph: token ids in, one vector per kept token out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from onnxembed.errors import ModelError
from onnxembed.late_interaction.spec import TokenPooling
from onnxembed.late_interaction.token_pooling import joined_by_text, unit
from onnxembed.late_interaction.tokens import MarkingTokenizer
from onnxembed.text.graph import TextGraph, not_finite
from onnxembed.text.stages import DenseLayer
from onnxembed.text.tokenizer import Tokens

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class TokenHead:
    """What follows a graph's token states.

    Attributes:
        output: Name of the graph output.
        layers: Linear layers that follow it, in order.
        normalize: Whether vectors are scaled to length 1.
        task: Value of the ``task_id`` input, for graphs that have one.
        pooling: How the vectors of a text are joined into fewer, or ``None``.
    """

    output: str
    layers: tuple[DenseLayer, ...]
    normalize: bool
    task: int | None = None
    pooling: TokenPooling | None = None

    def apply(self, states: Array) -> Array:
        """Project and scale states, (tokens, hidden) of any float type, to (tokens, dim) float32."""
        vectors = states.astype(np.float32, copy=False)
        for layer in self.layers:
            if vectors.shape[1] != layer.weight.shape[1]:
                raise ModelError(
                    f"the graph gives vectors of {vectors.shape[1]} numbers, and the linear layer beside it takes "
                    f"{layer.weight.shape[1]}; the files do not belong together: fetch the model again"
                )
            vectors = layer.apply(vectors)
        return unit(vectors) if self.normalize else vectors


@dataclass(frozen=True, slots=True)
class ColbertWork:
    """The work of calls on a late-interaction model: of queries, or of documents."""

    graph: TextGraph
    tokenizer: MarkingTokenizer
    head: TokenHead
    truncate: bool
    prompt: str = ""

    size = staticmethod(len)

    def prepare(self, items: Sequence[str], first_index: int) -> list[Tokens]:
        """Tokenise texts, each after the prompt; they are marked batch by batch."""
        texts = [self.prompt + item for item in items] if self.prompt else items
        return self.tokenizer.tokenizer.encode(texts, first_index, truncate=self.truncate)

    def costs(self, prepared: Sequence[Tokens]) -> list[int]:
        """Count the positions of each text, marker and filling included."""
        if self.graph.pad_to_max_length:
            return self.graph.costs(prepared)
        return self.tokenizer.marking.lengths(prepared)

    def run(self, batch: Sequence[Tokens], worker: int) -> list[Array]:
        """Give one float32 (kept tokens, dim) array per text, each with memory of its own."""
        vectors, ends = self.vectors(batch, worker)
        return [vectors[start:end].copy() for start, end in pairwise([0, *ends.tolist()])]

    def vectors(self, batch: Sequence[Tokens], worker: int) -> tuple[Array, Array]:
        """Pad and run, and give the vectors of all texts end to end, float32, with the rows at which the texts end."""
        rules = self.graph.rules
        width = rules.max_length if self.graph.pad_to_max_length else 1
        padded, kept = self.tokenizer.marking.pad(batch, rules, width)
        (states,) = self.graph.run([self.head.output], padded, worker, task=self.head.task)
        if states.ndim != 3 or states.shape[:2] != kept.shape:
            raise ModelError(
                f"the graph's output {self.head.output!r} has the shape {list(states.shape)} for a batch of "
                f"{list(kept.shape)}; expected (batch, tokens, dim), one vector per token"
            )
        rows, ends = states[kept], kept.sum(axis=1).cumsum()
        finite = np.isfinite(rows).all(axis=1)
        if not finite.all():
            raise not_finite(padded.name(int(np.searchsorted(ends, finite.argmin(), side="right"))))
        vectors = self.head.apply(rows)
        return (vectors, ends) if self.head.pooling is None else joined_by_text(vectors, ends, self.head.pooling)
