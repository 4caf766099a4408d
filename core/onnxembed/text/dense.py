"""Dense models that run as a graph: token ids in, one vector a text out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from onnxembed.errors import ModelError
from onnxembed.models.spec import PoolingType
from onnxembed.runtime.session import Session
from onnxembed.text.checks import check_text
from onnxembed.text.pooling import pool, shorten
from onnxembed.text.tokenizer import TextTokenizer, Tokens

Array = np.ndarray[Any, np.dtype[Any]]

_INTEGER_TYPES: Mapping[int, type[np.integer[Any]]] = {6: np.int32, 7: np.int64}
_TEXT_INPUTS = frozenset({"input_ids", "attention_mask", "token_type_ids", "position_ids", "task_id"})


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


@dataclass(frozen=True, slots=True)
class DenseGraph:
    """A loaded dense model.

    Attributes:
        sessions: One session a device, all of the same file.
        input_types: ONNX element type of every graph input.
        tokenizer: The model's tokenizer.
        pad_to_max_length: Whether every batch is padded to the limit instead of its longest text.
    """

    sessions: tuple[Session, ...]
    input_types: Mapping[str, int]
    tokenizer: TextTokenizer
    pad_to_max_length: bool = False

    def __post_init__(self) -> None:
        unknown = sorted(set(self.input_types) - _TEXT_INPUTS)
        if unknown or "input_ids" not in self.input_types:
            raise ModelError(
                f"the graph takes {', '.join(sorted(self.input_types)) or 'nothing'}; expected input_ids and at most "
                f"{', '.join(sorted(_TEXT_INPUTS - {'input_ids'}))} besides. Is this a text embedding model?"
            )


class DenseFamily:
    """A dense model as it is used in one call: its prompt, task and projection."""

    def __init__(
        self, graph: DenseGraph, projection: Projection, *, prompt: str, task: int | None, truncate: bool
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
        return self._graph.tokenizer.rules.max_length if self._graph.pad_to_max_length else len(prepared.ids)

    def run(self, batch: Sequence[Tokens], worker: int) -> Array:
        """Pad, run, pool.

        Args:
            batch: Tokenised texts.
            worker: Number of the batch; batches go to the devices in turn.

        Returns:
            (batch, dim) float32.
        """
        session = self._graph.sessions[worker % len(self._graph.sessions)]
        ids, mask = self._pad(batch)
        (output,) = session.run([self._projection.output], self._feed(batch, ids, mask))
        return self._finish(output, mask)

    def _pad(self, batch: Sequence[Tokens]) -> tuple[Array, Array]:
        """Token ids and mask, int64 (batch, longest); a text without any token gets one position of padding."""
        rules = self._graph.tokenizer.rules
        width = max(1, *(len(tokens.ids) for tokens in batch))
        if self._graph.pad_to_max_length:
            width = rules.max_length
        ids = np.full((len(batch), width), rules.pad_id, dtype=np.int64)
        mask = np.zeros((len(batch), width), dtype=np.int64)
        for row, tokens in enumerate(batch):
            place = self._place(width, len(tokens.ids))
            ids[row, place] = tokens.ids
            mask[row, place] = 1
        return ids, mask

    def _place(self, width: int, count: int) -> slice:
        """Where a text stands in a padded row."""
        return slice(width - count, width) if self._graph.tokenizer.rules.pad_left else slice(0, count)

    def _feed(self, batch: Sequence[Tokens], ids: Array, mask: Array) -> dict[str, Array]:
        """The inputs that the graph declares, in the types it declares."""
        arrays: dict[str, Array] = {"input_ids": ids, "attention_mask": mask}
        types = self._graph.input_types
        if "token_type_ids" in types:
            type_ids = np.zeros_like(ids)
            for row, tokens in enumerate(batch):
                if tokens.type_ids is not None:
                    type_ids[row, self._place(ids.shape[1], len(tokens.ids))] = tokens.type_ids
            arrays["token_type_ids"] = type_ids
        if "position_ids" in types:
            arrays["position_ids"] = np.maximum(mask.cumsum(axis=1) - 1, 0)
        if "task_id" in types:
            arrays["task_id"] = np.array(self._task, dtype=np.int64)
        return {
            name: array.astype(_INTEGER_TYPES.get(types[name], np.int64), copy=False)
            for name, array in arrays.items()
            if name in types
        }

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
