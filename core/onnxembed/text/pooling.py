"""From token vectors to one vector per text.

Shapes: ``hidden`` is (batch, tokens, dim), ``mask`` is (batch, tokens) with 1 for real tokens. float32 hidden states
are pooled in float32; narrower ones wide enough that rounding to the model's own precision, which is what the graph
promises, gives what float64 would. Results are float32 whatever the graph gives.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from onnxembed.api.vectors import finish, normalize
from onnxembed.errors import ModelError
from onnxembed.spec import PoolingType

Array = np.ndarray[Any, np.dtype[Any]]

# Tokens that one float32 sum takes: over thousands of alike ones it would lose a digit.
_BLOCK = 64
# A float16 number in the bits of a float32: the sign and the 15 others, whose exponent counts from 112 further below.
_SIGN_AND_HALF = np.int32(-0x70002000)
_HALF_EXPONENT = np.float32(2.0**112)
_INFINITE_HALF = 65536.0
# Below this a count is zero: the usual guard of the reference implementations.
_MIN_COUNT = 1e-9


def first_token(hidden: Array, mask: Array) -> Array:
    """Take the first real token of each text, on whichever side the padding is."""
    rows: Array = hidden[np.arange(len(hidden)), mask.argmax(axis=1)]
    return rows


def last_token(hidden: Array, mask: Array) -> Array:
    """Take the last real token of each text, on whichever side the padding is."""
    last = mask.shape[1] - 1 - mask[:, ::-1].argmax(axis=1)
    rows: Array = hidden[np.arange(len(hidden)), last]
    return rows


def mean(hidden: Array, mask: Array) -> Array:
    """Average the real tokens of each text: ``sum(mask * hidden) / max(sum(mask), 1e-9)``.

    float32 for float32 vectors, float64 for all others.
    """
    return _weighted(hidden, mask, lambda total: total)


def mean_by_root(hidden: Array, mask: Array) -> Array:
    """Divide the sum of the real tokens by the square root of their number; types as in `mean`."""
    return _weighted(hidden, mask, np.sqrt)


def largest(hidden: Array, mask: Array) -> Array:
    """Take the largest of each number over the real tokens; minus infinity where there are none."""
    lowest = np.asarray(-np.inf, dtype=hidden.dtype)
    rows: Array = np.where(mask[:, :, None] != 0, hidden, lowest).max(axis=1)
    return rows


def _weighted(hidden: Array, weights: Array, divisor: Callable[[Array], Array]) -> Array:
    if hidden.dtype == np.float16:
        counted: Array = weights.sum(axis=1, keepdims=True, dtype=np.float64)
        return np.asarray(_sum_of_halves(hidden, weights) / divisor(np.maximum(counted, _MIN_COUNT)))
    precision = np.float32 if hidden.dtype == np.float32 else np.float64
    wide: Any = weights.astype(precision)
    states: Any = np.asarray(hidden, dtype=precision)
    total: Array = np.zeros((), dtype=precision)
    for start in range(0, max(states.shape[1], 1), _BLOCK):
        block = slice(start, start + _BLOCK)
        total = total + np.einsum("bt,btd->bd", wide[:, block], states[:, block])
    averaged: Array = total / divisor(np.maximum(wide.sum(axis=1, keepdims=True), _MIN_COUNT))
    return averaged


def _sum_of_halves(hidden: Array, weights: Array) -> Array:
    """The weighted sum of float16 vectors in float64, (batch, dim).

    A block is summed in float32, which has 13 bits more than its numbers: rounded to float16, the sum is the same.
    """
    wide, total = weights.astype(np.float32), np.zeros((hidden.shape[0], hidden.shape[2]))
    for row in range(len(hidden)):
        for start in range(0, hidden.shape[1], _BLOCK):
            block = slice(start, start + _BLOCK)
            total[row] += wide[row, block] @ _single(hidden[row, block])
    return total


def _single(halves: Array) -> Array:
    """float16 numbers as float32; moving their bits takes a fifth of the time of numpy's own conversion."""
    bits = halves.view(np.int16).astype(np.int32)
    bits <<= 13
    bits &= _SIGN_AND_HALF
    numbers: Array = bits.view(np.float32)
    numbers *= _HALF_EXPONENT
    if numbers.size and (numbers.max() >= _INFINITE_HALF or numbers.min() <= -_INFINITE_HALF):
        return halves.astype(np.float32)  # infinity and NaN have no number of their own in this form
    return numbers


_POOLINGS: Mapping[PoolingType, Callable[[Array, Array], Array]] = {
    PoolingType.CLS: first_token,
    PoolingType.MEAN: mean,
    PoolingType.LAST_TOKEN: last_token,
    PoolingType.MAX: largest,
    PoolingType.MEAN_SQRT_LEN: mean_by_root,
}
_NAMES = "MEAN, CLS or LAST_TOKEN"


def pool(
    output: Array,
    mask: Array,
    poolings: PoolingType | Sequence[PoolingType],
    *,
    normalized: bool,
    counted: Array | None = None,
) -> Array:
    """Make one vector per text, float32, of (batch, tokens, dim), or of (batch, dim) where the graph has pooled.

    Several poolings are joined in their order. ``counted`` is the mask without the tokens that are read and left out of
    the pooling, such as a prompt's; they keep their positions.
    """
    chosen = (poolings,) if isinstance(poolings, PoolingType) else tuple(poolings)
    if output.ndim == 3 and output.shape[:2] != mask.shape:
        raise ModelError(
            f"the graph gives token vectors of shape {list(output.shape)} for a batch of {list(mask.shape)}; expected "
            "(batch, tokens, dim), one vector per token"
        )
    if output.ndim == 2 and chosen in ((PoolingType.CLS,), (PoolingType.DISABLED,)):
        pooled = output
    elif output.ndim == 3 and PoolingType.DISABLED not in chosen:
        kept = mask if counted is None else counted
        rows = [_pooled(output, mask, kept, pooling) for pooling in chosen]
        pooled = rows[0] if len(rows) == 1 else np.concatenate(rows, axis=1)
    elif output.ndim == 3:
        raise ModelError(
            f"the graph gives token vectors of shape {list(output.shape)}, but the model is described with "
            f"pooling=DISABLED; use PoolingType.{_NAMES}, or name an output that holds one vector per text"
        )
    else:
        raise ModelError(
            f"pooling={'+'.join(pooling.value for pooling in chosen)} needs token vectors (batch, tokens, dim), but "
            f"the graph gives shape {list(output.shape)}; use PoolingType.DISABLED, or name an output that holds token "
            "vectors"
        )
    return finish(pooled, output.dtype, normalized=normalized)


def _pooled(output: Array, mask: Array, counted: Array, pooling: PoolingType) -> Array:
    if pooling is PoolingType.WEIGHTED_MEAN:
        # Positions count from the first real token; those of tokens left out stay theirs.
        return _weighted(output, mask.cumsum(axis=1) * counted, lambda total: total)
    return _POOLINGS[pooling](output, counted)


def without_first(mask: Array, count: int) -> Array:
    """Take the first ``count`` real tokens of each text out of a mask, on whichever side the padding is."""
    rest: Array = mask * (mask.cumsum(axis=1) > count)
    return rest


def shorten(vectors: Array, dim: int, *, layer_norm: bool, normalized: bool) -> Array:
    """Cut Matryoshka vectors to their first ``dim`` numbers (Kusupati et al., 2022, arXiv:2205.13147).

    ``layer_norm`` standardises the full vectors first (nomic-embed-text-v1.5, model card); ``normalized`` scales the
    shortened ones to length 1.
    """
    if layer_norm:
        centred = vectors - vectors.mean(axis=1, keepdims=True)
        vectors = centred / np.sqrt((centred * centred).mean(axis=1, keepdims=True) + np.float32(1e-5))
    vectors = np.ascontiguousarray(vectors[:, :dim])
    return normalize(vectors) if normalized else vectors


def finish_vectors(
    vectors: Array,
    steps: Sequence[Callable[[Array], Array]],
    dim: int | None,
    *,
    layer_norm: bool = False,
    normalized: bool,
) -> Array:
    """Apply what follows the pooling to float32 vectors (batch, dim), cut them to ``dim`` numbers, and scale them."""
    for step in steps:
        vectors = step(vectors)
    if dim is None or dim == vectors.shape[1]:
        return normalize(vectors) if normalized else vectors
    if dim > vectors.shape[1]:
        raise ModelError(f"dim={dim}, but the graph gives vectors of {vectors.shape[1]} numbers")
    return shorten(vectors, dim, layer_norm=layer_norm, normalized=normalized)
