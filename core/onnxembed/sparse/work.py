"""Sparse models as the pipeline runs them: tokens through a graph, or, for queries, through a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, Protocol

import numpy as np

from onnxembed.sparse.vector import SparseEmbedding
from onnxembed.text.graph import PaddedTokens, TextGraph, not_finite
from onnxembed.text.tokenizer import TextTokenizer, Tokens

Array = np.ndarray[Any, np.dtype[Any]]


class Weigher(Protocol):
    """Turns the output of a graph into vectors; each kind of sparse model that runs as a graph has its own."""

    @property
    def output(self) -> str:
        """Name of the graph output."""
        ...

    def weigh(self, output: Array, padded: PaddedTokens) -> list[SparseEmbedding]:
        """Make one vector per text of the output for a batch."""


@dataclass(frozen=True, slots=True)
class SparseGraphWork:
    """The work of one call on a sparse model that runs as a graph."""

    graph: TextGraph
    weigher: Weigher
    truncate: bool
    prompt: str = ""

    size = staticmethod(len)

    def prepare(self, items: Sequence[str], first_index: int) -> list[Tokens]:
        """Tokenise texts, each after the prompt."""
        texts = [self.prompt + item for item in items] if self.prompt else items
        return self.graph.tokenizer.encode(texts, first_index, truncate=self.truncate)

    def costs(self, prepared: Sequence[Tokens]) -> list[int]:
        """Count the positions of each text."""
        return self.graph.costs(prepared)

    def run(self, batch: Sequence[Tokens], worker: int) -> list[SparseEmbedding]:
        """Pad, run, weigh."""
        padded = self.graph.pad(batch)
        (output,) = self.graph.run([self.weigher.output], padded, worker)
        vectors = self.weigher.weigh(output, padded)
        for row, vector in enumerate(vectors):
            # A sum is finite only where all values are: they are not negative, or at most 1.
            if not isfinite(vector.values.sum()):
                raise not_finite(padded.name(row))
        return vectors


@dataclass(frozen=True, slots=True)
class LookupWork:
    """The work of one call on queries that need no inference."""

    tokenizer: TextTokenizer
    look_up: Callable[[Sequence[Tokens]], list[SparseEmbedding]]
    truncate: bool
    prompt: str = ""

    size = staticmethod(len)

    def prepare(self, items: Sequence[str], first_index: int) -> list[Tokens]:
        """Tokenise texts, each after the prompt."""
        texts = [self.prompt + item for item in items] if self.prompt else items
        return self.tokenizer.encode(texts, first_index, truncate=self.truncate)

    def costs(self, prepared: Sequence[Tokens]) -> list[int]:
        """Count the tokens of each text."""
        return [len(tokens.ids) for tokens in prepared]

    def run(self, batch: Sequence[Tokens], worker: int) -> list[SparseEmbedding]:  # noqa: ARG002  # all share one table
        """Look up one vector per text."""
        return self.look_up(batch)
