"""BGE-M3's sparse vectors: each token weighs itself, and an entry of the vocabulary has its heaviest token's weight.

The weight of a token with the vector x is ``max(0, w x + b)`` (Chen et al., 2024, arXiv:2402.03216).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from onnxembed.errors import ModelError
from onnxembed.sparse.splade import Pruning, pruned
from onnxembed.sparse.vector import SparseEmbedding, split_by_text
from onnxembed.text.graph import PaddedTokens, not_finite
from onnxembed.text.m3_files import SPARSE_HEAD
from onnxembed.text.m3_heads import left_out_ids, load_head
from onnxembed.text.stages import DenseLayer
from onnxembed.text.tokenizer import TextTokenizer

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class WeightHead:
    """What weighs tokens.

    Attributes:
        layer: Makes one number of a token's vector.
        left_out: (ids,) int64, those that have no weight.
    """

    layer: DenseLayer
    left_out: Array


def load_weight_head(folder: Path, tokenizer: TextTokenizer) -> WeightHead:
    """Load the head beside a model."""
    layer = load_head(folder / SPARSE_HEAD, outputs=1)
    return WeightHead(layer, np.array(left_out_ids(folder, tokenizer), dtype=np.int64))


@dataclass(frozen=True, slots=True, eq=False)
class TokenWeigher:
    """Turns the token vectors of a batch into sparse vectors.

    Attributes:
        output: Name of the graph output (batch, sequence, hidden).
        head: What weighs tokens.
        pruning: Which entries are kept.
    """

    output: str
    head: WeightHead
    pruning: Pruning

    def weigh(self, output: Array, padded: PaddedTokens) -> list[SparseEmbedding]:
        """Make one vector per text, empty for a text without a token that weighs anything."""
        width = self.head.layer.weight.shape[1]
        if output.shape != (*padded.ids.shape, width):
            raise ModelError(
                f"the graph's output {self.output!r} has the shape {list(output.shape)} for a batch of "
                f"{list(padded.ids.shape)}; {SPARSE_HEAD} takes one vector of {width} numbers per token"
            )
        rows, places = np.nonzero((padded.mask > 0) & ~np.isin(padded.ids, self.head.left_out))
        weights = self.head.layer.apply(output[rows, places].astype(np.float32, copy=False))[:, 0]
        if not np.isfinite(weights).all():
            raise not_finite(padded.name(int(rows[np.isfinite(weights).argmin()])))
        ids = padded.ids[rows, places]
        heavy = weights > 0
        rows, ids, weights = rows[heavy], ids[heavy], weights[heavy]
        # Of equal ids in a text the heaviest comes last.
        order = np.lexsort((weights, ids, rows))
        rows, ids, weights = rows[order], ids[order], weights[order]
        last = np.ones(len(rows), dtype=bool)
        last[:-1] = (rows[1:] != rows[:-1]) | (ids[1:] != ids[:-1])
        rows, ids, weights = rows[last], ids[last], weights[last]
        kept = pruned(rows, ids, weights, self.pruning)
        return split_by_text(rows[kept], ids[kept], weights[kept], len(output))
