"""Dense models that run as a graph: token ids in, one vector per text out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from onnxembed.errors import ModelError
from onnxembed.spec import PoolingType
from onnxembed.text.graph import TextGraph, check_finite
from onnxembed.text.pooling import finish_vectors, pool, without_first
from onnxembed.text.tokenizer import TextTokenizer, Tokens

if TYPE_CHECKING:
    from onnxembed.text.stages import Apply

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class Projection:
    """How a graph's output becomes vectors.

    Attributes:
        output: Name of the graph output.
        poolings: How token vectors become one; several are joined.
        normalize: Whether vectors are scaled to length 1.
        dim: Numbers to keep (Matryoshka), or ``None`` for all.
        layer_norm: Whether the full vector is standardised before it is cut.
        steps: What is done to the pooled vectors before that.
    """

    output: str
    poolings: tuple[PoolingType, ...]
    normalize: bool
    dim: int | None = None
    layer_norm: bool = False
    steps: tuple[Apply, ...] = ()


def prompt_tokens(tokenizer: TextTokenizer, prompt: str) -> int:
    """Count the tokens that a prompt takes at the beginning of a text, a special token after it not among them."""
    (tokens,) = tokenizer.encode([prompt], 0, truncate=True)
    added = tokenizer.backend.get_added_tokens_decoder()
    last = added.get(int(tokens.ids[-1])) if len(tokens.ids) else None
    return len(tokens.ids) - (last is not None and last.special)


class DenseWork:
    """The work of one call: a loaded model with a prompt, a task and a projection."""

    def __init__(
        self,
        graph: TextGraph,
        projection: Projection,
        prompt: str,
        task: int | None,
        *,
        truncate: bool,
        left_out: int = 0,
    ) -> None:
        """Combine them; a graph with a ``task_id`` input needs a task.

        ``left_out`` is how many of the first tokens of each text, those of the prompt, do not count in the pooling.
        """
        if task is None and "task_id" in graph.input_types:
            raise ModelError(
                "the graph has a task_id input, and these texts have no task: pass task_id=, or, where the model is "
                "described without tasks, open the folder under the model's name, with specific_model_path="
            )
        self.costs = graph.costs
        self._graph = graph
        self._projection = projection
        self._prompt = prompt
        self._task = task
        self._truncate = truncate
        self._left_out = left_out

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
        dim, counted = projection.dim, without_first(mask, self._left_out) if self._left_out else None
        plain = not projection.steps and dim in (None, output.shape[-1]) and len(projection.poolings) == 1
        scaled = projection.normalize and plain
        vectors = pool(output, mask, projection.poolings, normalized=scaled, counted=counted)
        if not plain:
            vectors = finish_vectors(
                vectors, projection.steps, dim, layer_norm=projection.layer_norm, normalized=projection.normalize
            )
        empty = ~mask.any(axis=1)
        if empty.any():
            vectors = vectors.copy()
            vectors[empty] = 0.0
        return vectors
