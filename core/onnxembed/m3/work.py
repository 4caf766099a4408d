"""One pass through a model like BGE-M3, and the three results that it gives of each text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from onnxembed.api.vectors import normalize
from onnxembed.late_interaction.colbert import TokenHead
from onnxembed.sparse.token_weights import TokenWeigher
from onnxembed.text.graph import TextGraph, not_finite
from onnxembed.text.pooling import first_token
from onnxembed.text.tokenizer import Tokens

if TYPE_CHECKING:
    from onnxembed.sparse.vector import SparseEmbedding

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class M3Vectors:
    """What a model gives of a text.

    Attributes:
        dense: float32 (dim,), of length 1; compare by the dot product.
        sparse: The weights of its tokens by their ids.
        colbert: float32 (tokens, dim of the head), each of length 1; compare by `maxsim`. The first token has none.
    """

    dense: Array
    sparse: SparseEmbedding
    colbert: Array


@dataclass(frozen=True, slots=True, eq=False)
class M3Work:
    """The work of one call: one output of the graph, weighed for sparse vectors and projected for those of tokens."""

    graph: TextGraph
    weigher: TokenWeigher
    colbert: TokenHead
    truncate: bool

    size = staticmethod(len)

    def prepare(self, items: Sequence[str], first_index: int) -> list[Tokens]:
        """Tokenise texts."""
        return self.graph.tokenizer.encode(items, first_index, truncate=self.truncate)

    def costs(self, prepared: Sequence[Tokens]) -> list[int]:
        """Count the positions of each text."""
        return self.graph.costs(prepared)

    def run(self, batch: Sequence[Tokens], worker: int) -> list[M3Vectors]:
        """Pad, run once, and make the three results of each text."""
        padded = self.graph.pad(batch)
        (states,) = self.graph.run([self.weigher.output], padded, worker)
        sparse = self.weigher.weigh(states, padded)
        there = np.asarray(padded.mask > 0)
        dense = normalize(first_token(states, padded.mask).astype(np.float32, copy=False))
        dense[~there.any(axis=1)] = 0.0
        finite = np.isfinite(dense).all(axis=1)
        if not finite.all():
            raise not_finite(padded.name(int(finite.argmin())))
        # The first token of each text stands for the whole text.
        there[np.arange(len(there)), padded.mask.argmax(axis=1)] = False
        vectors = self.colbert.apply(states[there])
        ends = there.sum(axis=1).cumsum()
        return [
            M3Vectors(dense[row], sparse[row], vectors[start:end].copy())
            for row, (start, end) in enumerate(zip([0, *ends[:-1].tolist()], ends.tolist(), strict=True))
        ]
