"""SPLADE: a weight for every entry of the vocabulary, from the logits of a masked-language model.

The weight is ``ln(1 + max(0, m))`` with ``m`` the largest logit over the tokens (Formal et al., 2021,
arXiv:2109.10086); the inference-free form takes the logarithm twice (Geng et al., 2024, arXiv:2411.04403). Logarithms
keep the order, so the maximum is taken first, and only what is above zero is ever touched again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from onnxembed.errors import ModelError
from onnxembed.sparse.vector import SparseEmbedding, split_by_text
from onnxembed.text.graph import PaddedTokens, not_finite

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class Pruning:
    """Which entries of a vector are kept.

    Attributes:
        top_k: At most so many, the heaviest; of equal weights those with lower ids. ``None`` for all.
        min_weight: Those of at least this weight.
    """

    top_k: int | None = None
    min_weight: float = 0.0


@dataclass(frozen=True, slots=True)
class SpladeWeigher:
    """Turns the logits of a batch into sparse vectors.

    Attributes:
        output: Name of the graph output: logits (batch, sequence, vocabulary), or their maximum over the tokens
            (batch, vocabulary); of models that add weights up, these logits or the sums.
        pruning: Which entries are kept.
        logarithms: How many times ``log1p`` is taken; 0 where the graph gives weights already.
        left_out: (ids,) entries of the vocabulary that never count, such as special tokens.
        summed: Whether the weights of a text's tokens are added up, where else the largest logit counts.
    """

    output: str
    pruning: Pruning
    logarithms: int = 1
    left_out: Array | None = None
    summed: bool = False

    def weigh(self, output: Array, padded: PaddedTokens) -> list[SparseEmbedding]:
        """Make one vector per text, empty for a text without tokens; refuses an output of another shape."""
        adds = self.summed and output.ndim == 3
        maxima = (self._sums if adds else largest_logits)(output, padded.mask, self.output)
        lost = np.isnan(maxima).any(axis=1)
        if lost.any():
            raise not_finite(padded.name(int(lost.argmax())))
        positive = maxima > 0
        if self.left_out is not None:
            positive[:, self.left_out[self.left_out < positive.shape[1]]] = False
        rows, ids = np.nonzero(positive)
        weights = maxima[rows, ids].astype(np.float32, copy=False)
        for _ in range(0 if self.summed else self.logarithms):
            weights = np.log1p(weights)
        if not np.isfinite(weights).all():
            raise ModelError(f"the graph's output {self.output!r} holds infinite numbers; are the weights damaged?")
        kept = pruned(rows, ids, weights, self.pruning)
        return split_by_text(rows[kept], ids[kept], weights[kept], len(maxima))

    def _sums(self, output: Array, mask: Array, name: str) -> Array:
        """Add up the weights of each entry over a text's tokens, (batch, vocabulary) float32, one text at a time."""
        _check_logits(output, mask, name)
        sums = np.zeros((len(output), output.shape[2]), dtype=np.float32)
        for row, kept in enumerate(mask > 0):
            weights = np.maximum(output[row, kept].astype(np.float32, copy=False), 0)
            for _ in range(self.logarithms):
                np.log1p(weights, out=weights)
            np.sum(weights, axis=0, out=sums[row])
        return sums


def largest_logits(output: Array, mask: Array, name: str) -> Array:
    """Take the largest logit of each entry of the vocabulary over a text's tokens, one text at a time.

    ``output`` is (batch, sequence, vocabulary), or (batch, vocabulary) where the graph took the maximum; the result is
    (batch, vocabulary), 0 for a text without tokens.
    """
    _check_logits(output, mask, name)
    counts = mask.sum(axis=1)
    if output.ndim == 2:
        return output if counts.all() else np.where(counts[:, None] > 0, output, np.zeros_like(output))
    if counts.min() == mask.shape[1]:
        whole: Array = output.max(axis=1)
        return whole
    maxima = np.zeros((len(output), output.shape[2]), dtype=output.dtype)
    # Tokens are next to each other, on the left or on the right, so a text's logits are a view.
    for row, (start, count) in enumerate(zip(mask.argmax(axis=1).tolist(), counts.tolist(), strict=True)):
        if count:
            np.max(output[row, start : start + count], axis=0, out=maxima[row])
    return maxima


def _check_logits(output: Array, mask: Array, name: str) -> None:
    if output.ndim not in (2, 3) or len(output) != len(mask) or (output.ndim == 3 and output.shape[1] != mask.shape[1]):
        raise ModelError(
            f"the graph's output {name!r} has the shape {list(output.shape)} for a batch of {list(mask.shape)}; "
            "expected (batch, sequence, vocabulary) or (batch, vocabulary). Is this a masked-language model?"
        )


def pruned(rows: Array, ids: Array, weights: Array, pruning: Pruning) -> Array:
    """Choose the positions of the entries to keep, ascending."""
    positions = np.flatnonzero(weights >= pruning.min_weight) if pruning.min_weight > 0 else np.arange(len(rows))
    if pruning.top_k is None:
        return positions
    rows, ids, weights = rows[positions], ids[positions], weights[positions]
    order = np.lexsort((ids, -weights, rows))
    ordered = rows[order]
    rank = np.arange(len(order)) - np.searchsorted(ordered, ordered)
    chosen = order[rank < pruning.top_k]
    chosen.sort()
    kept: Array = positions[chosen]
    return kept
