"""Cross-encoders as the pipeline runs them: a query and a document read together, one score out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np

from onnxembed.errors import ModelError, UnsupportedModelError
from onnxembed.rerank.call import Pair, check_pair
from onnxembed.rerank.discovery import MOST_LABELS
from onnxembed.rerank.settings import ScoreSettings, Windows
from onnxembed.rerank.spec import Activation
from onnxembed.runtime.batching import plan_batches
from onnxembed.text.graph import TextGraph
from onnxembed.text.pair_tokenizer import PairTokenizer
from onnxembed.text.tokenizer import Tokens

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class CrossEncoder:
    """A loaded cross-encoder.

    Attributes:
        graph: The model.
        pairs: Its tokenizer.
        output: Name of the output that holds the logits.
    """

    graph: TextGraph
    pairs: PairTokenizer
    output: str


@dataclass(frozen=True, slots=True)
class RunBounds:
    """The bounds of one run of the graph, for documents that are several windows.

    Attributes:
        budget: Tokens of a padded batch.
        max_items: Windows in a batch.
    """

    budget: int
    max_items: int


class CrossEncoderFamily:
    """A cross-encoder as it is used in one call."""

    def __init__(self, model: CrossEncoder, settings: ScoreSettings, activation: Activation, bounds: RunBounds) -> None:
        """Combine a loaded model with the choices of a call.

        Args:
            model: The model.
            settings: How long pairs are read.
            activation: What becomes of a raw score, ``Activation.RAW`` or ``Activation.SIGMOID``.
            bounds: Bounds of one run.
        """
        self._model = model
        self._settings = settings
        self._activation = activation
        self._bounds = bounds

    def check(self, item: object, index: int) -> Pair:
        """Accept a pair.

        Args:
            item: The item.
            index: Its position.

        Returns:
            The query and the document.
        """
        return check_pair(item, index)

    def size(self, item: Pair) -> int:
        """Characters of the document, and of the query.

        Args:
            item: The pair.

        Returns:
            Their number.
        """
        return len(item[0]) + len(item[1])

    def prepare(self, items: Sequence[Pair], first_index: int) -> Sequence[tuple[Tokens, ...]]:
        """Tokenise pairs.

        Args:
            items: The pairs.
            first_index: Position of the first one.

        Returns:
            What is run for each: one sequence of tokens, or several windows.
        """
        settings, pairs = self._settings, self._model.pairs
        if settings.windows is None:
            return [(tokens,) for tokens in pairs.encode(items, first_index, truncate=settings.truncate)]
        windows = pairs.encode_windows(items, first_index, settings.window_overlap, truncate=settings.truncate)
        return [some[:1] for some in windows] if settings.windows is Windows.FIRST else windows

    def cost(self, prepared: tuple[Tokens, ...]) -> int:
        """Tokens of a pair.

        Args:
            prepared: What is run for it.

        Returns:
            Their number.
        """
        return sum(map(self._model.graph.cost, prepared))

    def run(self, batch: Sequence[tuple[Tokens, ...]], worker: int) -> list[float]:
        """Pad, run, put windows together, activate.

        Args:
            batch: What is run for each pair.
            worker: Number of the batch; batches go to the devices in turn.

        Returns:
            One score a pair.
        """
        rows = [tokens for windows in batch for tokens in windows]
        scores = np.empty(len(rows), dtype=np.float32)
        costs = [self._model.graph.cost(tokens) for tokens in rows]
        # A batch of the pipeline is one run, except where a document of many windows is a batch of its own.
        for positions in plan_batches(costs, self._bounds.budget, self._bounds.max_items):
            scores[positions] = self._score([rows[position] for position in positions], worker)
        if len(rows) > len(batch):
            scores = self._joined(scores, [len(windows) for windows in batch])
        return activated(scores, self._activation).tolist()  # type: ignore[no-any-return]

    def _score(self, rows: Sequence[Tokens], worker: int) -> Array:
        graph = self._model.graph
        (logits,) = graph.run([self._model.output], graph.pad(rows), worker)
        return raw_scores(logits, len(rows))

    def _joined(self, scores: Array, counts: Sequence[int]) -> Array:
        """One score for the windows of each document."""
        join = np.max if self._settings.windows is Windows.MAX else np.mean
        parts = np.split(scores, list(accumulate(counts))[:-1])
        return np.array([join(part) for part in parts], dtype=np.float32)


def raw_scores(logits: Array, count: int) -> Array:
    """Make one number of the logits of each pair.

    One label is the score itself. For two, of which the second stands for "relevant", it is the second minus the first:
    its sigmoid is the softmax probability of the second label, and it sorts as that does.

    Args:
        logits: (batch,), (batch, 1) or (batch, 2).
        count: The pairs that were run.

    Returns:
        float32 (batch,).

    Raises:
        UnsupportedModelError: If there are more labels.
        ModelError: If there is not one row a pair.
    """
    rows = logits[:, None] if logits.ndim == 1 else logits
    if rows.ndim != 2 or not 1 <= rows.shape[1] <= MOST_LABELS:
        raise UnsupportedModelError(
            f"the graph gave {logits.shape} for {count} pairs; expected (batch, labels) with at most {MOST_LABELS} "
            "labels. Is this a cross-encoder?"
        )
    if len(rows) != count:
        raise ModelError(f"the graph gave {len(rows)} rows for {count} pairs; expected one a pair")
    rows = rows.astype(np.float32, copy=False)
    return rows[:, 0] if rows.shape[1] == 1 else rows[:, 1] - rows[:, 0]


def activated(scores: Array, activation: Activation) -> Array:
    """Apply an activation.

    Args:
        scores: float32 (batch,).
        activation: ``Activation.RAW`` or ``Activation.SIGMOID``.

    Returns:
        (batch,); float64 after a sigmoid, computed as ``(1 + tanh(score / 2)) / 2``, which cannot overflow.
    """
    if activation is Activation.RAW:
        return scores
    return 0.5 * (1.0 + np.tanh(scores.astype(np.float64) / 2.0))
