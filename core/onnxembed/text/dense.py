"""Dense models that run as a graph: token ids in, one vector per text out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from onnxembed.errors import ModelError
from onnxembed.spec import PoolingType
from onnxembed.text.graph import TextGraph, check_finite
from onnxembed.text.pooling import pool, shorten
from onnxembed.text.tokenizer import Tokens

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class Projection:
    """How a graph's output becomes vectors.

    Attributes:
        output: Name of the graph output.
        pooling: How token vectors become one.
        normalize: Whether vectors are scaled to length 1.
        dim: Numbers to keep (Matryoshka), or ``None`` for all.
        layer_norm: Whether the full vector is standardised before it is cut.
    """

    output: str
    pooling: PoolingType
    normalize: bool
    dim: int | None = None
    layer_norm: bool = False


class DenseWork:
    """The work of one call: a loaded model with a prompt, a task and a projection."""

    def __init__(
        self, graph: TextGraph, projection: Projection, prompt: str, task: int | None, *, truncate: bool
    ) -> None:
        """Combine them; a graph with a ``task_id`` input needs a task."""
        if task is None and "task_id" in graph.input_types:
            raise ModelError(
                "the graph has a task_id input, but the model is described without tasks; "
                "open the folder under the model's name, with specific_model_path="
            )
        self.costs = graph.costs
        self._graph = graph
        self._projection = projection
        self._prompt = prompt
        self._task = task
        self._truncate = truncate

    size = staticmethod(len)

    def prepare(self, items: Sequence[str], first_index: int) -> list[Tokens]:
        """Tokenise texts, each after the prompt."""
        texts = [self._prompt + item for item in items] if self._prompt else items
        return self._graph.tokenizer.encode(texts, first_index, truncate=self._truncate)

    def run(self, batch: Sequence[Tokens], worker: int) -> Array:
        """Pad, run, pool: (batch, dim) float32."""
        padded = self._graph.pad(batch)
        (output,) = self._graph.run([self._projection.output], padded, worker, task=self._task)
        vectors = self._finish(output, padded.mask)
        if not np.logical_and.reduce(np.isfinite(vectors), axis=None):
            check_finite(vectors, batch)  # says which text it is
        return vectors

    def _finish(self, output: Array, mask: Array) -> Array:
        """Pool and shorten; a text without any token has the zero vector, whatever the graph made of its padding."""
        projection = self._projection
        whole = projection.dim is None or projection.dim == output.shape[-1]
        vectors = pool(output, mask, projection.pooling, normalized=projection.normalize and whole)
        if not whole and projection.dim is not None:
            if projection.dim > vectors.shape[1]:
                raise ModelError(f"dim={projection.dim}, but the graph gives vectors of {vectors.shape[1]} numbers")
            vectors = shorten(
                vectors, projection.dim, layer_norm=projection.layer_norm, normalized=projection.normalize
            )
        empty = ~mask.any(axis=1)
        if empty.any():
            vectors = vectors.copy()
            vectors[empty] = 0.0
        return vectors
