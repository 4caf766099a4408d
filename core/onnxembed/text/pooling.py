"""From token vectors to one vector per text.

Shapes: ``hidden`` is (batch, tokens, dim), ``mask`` is (batch, tokens) with 1 for real tokens. float32 hidden states
are pooled in float32; narrower ones in float64 and then rounded to the model's own precision, which is what the graph
promises. Results are float32 whatever the graph gives.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from onnxembed.api.vectors import finish, normalize
from onnxembed.errors import ModelError
from onnxembed.spec import PoolingType

Array = np.ndarray[Any, np.dtype[Any]]

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
    precision = np.float32 if hidden.dtype == np.float32 else np.float64
    weights: Any = mask.astype(precision)
    states: Any = np.asarray(hidden, dtype=precision)
    total: Array = np.einsum("bt,btd->bd", weights, states)
    averaged: Array = total / np.maximum(weights.sum(axis=1, keepdims=True), _MIN_COUNT)
    return averaged


_POOLINGS: Mapping[PoolingType, Callable[[Array, Array], Array]] = {
    PoolingType.CLS: first_token,
    PoolingType.MEAN: mean,
    PoolingType.LAST_TOKEN: last_token,
}


def pool(output: Array, mask: Array, pooling: PoolingType, *, normalized: bool) -> Array:
    """Make one vector per text, float32, of (batch, tokens, dim), or of (batch, dim) where the graph has pooled."""
    if output.ndim == 3 and output.shape[:2] != mask.shape:
        raise ModelError(
            f"the graph gives token vectors of shape {list(output.shape)} for a batch of {list(mask.shape)}; expected "
            "(batch, tokens, dim), one vector per token"
        )
    if output.ndim == 2 and pooling in (PoolingType.CLS, PoolingType.DISABLED):
        pooled = output
    elif output.ndim == 3 and pooling in _POOLINGS:
        pooled = _POOLINGS[pooling](output, mask)
    elif output.ndim == 3:
        raise ModelError(
            f"the graph gives token vectors of shape {list(output.shape)}, but the model is described with "
            "pooling=DISABLED; use PoolingType.MEAN, CLS or LAST_TOKEN, or name an output that holds one vector per "
            "text"
        )
    else:
        raise ModelError(
            f"pooling={pooling.value} needs token vectors (batch, tokens, dim), but the graph gives shape "
            f"{list(output.shape)}; use PoolingType.DISABLED, or name an output that holds token vectors"
        )
    return finish(pooled, output.dtype, normalized=normalized)


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
