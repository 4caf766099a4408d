"""Dense models that run as a graph: token ids in, one vector a text out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from onnxembed.api.inputs import check_text
from onnxembed.errors import ModelError
from onnxembed.spec import PoolingType
from onnxembed.text.graph import TextGraph
from onnxembed.text.pooling import pool, shorten
from onnxembed.text.tokenizer import Tokens

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class Projection:
    """What becomes of a graph's output.

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


class DenseFamily:
    """A dense model as it is used in one call: its prompt, task and projection."""

    def __init__(
        self, graph: TextGraph, projection: Projection, *, prompt: str, task: int | None, truncate: bool
    ) -> None:
        """Combine a loaded model with the choices of a call.

        Args:
            graph: The model.
            projection: What becomes of its output.
            prompt: Put before every text, verbatim.
            task: Value of the ``task_id`` input, for graphs that have one.
            truncate: Whether long texts are cut or refused.

        Raises:
            ModelError: If the graph needs a task and there is none.
        """
        if task is None and "task_id" in graph.input_types:
            raise ModelError(
                "the graph has a task_id input, but the model is described without tasks; "
                "open the folder under the model's name, with specific_model_path="
            )
        self._graph = graph
        self._projection = projection
        self._prompt = prompt
        self._task = task
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
        """Tokenise texts, each after the prompt.

        Args:
            items: The texts.
            first_index: Position of the first one.

        Returns:
            Their tokens.
        """
        texts = [self._prompt + item for item in items] if self._prompt else items
        return self._graph.tokenizer.encode(texts, first_index, truncate=self._truncate)

    def cost(self, prepared: Tokens) -> int:
        """Tokens of a text.

        Args:
            prepared: The tokens.

        Returns:
            Their number.
        """
        return self._graph.cost(prepared)

    def run(self, batch: Sequence[Tokens], worker: int) -> Array:
        """Pad, run, pool.

        Args:
            batch: Tokenised texts.
            worker: Number of the batch; batches go to the devices in turn.

        Returns:
            (batch, dim) float32.
        """
        padded = self._graph.pad(batch)
        (output,) = self._graph.run([self._projection.output], padded, worker, task=self._task)
        return self._finish(output, padded.mask)

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
