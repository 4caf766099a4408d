"""Cross-encoders as the pipeline runs them: a query and a document read together, one score out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, repeat
from typing import Any

import numpy as np

from onnxembed.errors import ModelError, UnsupportedModelError
from onnxembed.rerank.chat_pairs import ChatPairs
from onnxembed.rerank.discovery import MOST_LABELS
from onnxembed.rerank.labels import Function
from onnxembed.rerank.options import CrossEncoderOptions, Windows
from onnxembed.rerank.pairs import Pair
from onnxembed.rerank.spec import Activation
from onnxembed.runtime.batching import BatchLimits, RunPlan, plan_batches
from onnxembed.text.graph import TextGraph, check_finite
from onnxembed.text.pair_tokenizer import PairTokenizer
from onnxembed.text.tokenizer import Tokens

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class CrossEncoder:
    """A loaded cross-encoder.

    Attributes:
        graph: The graph.
        pairs: Its tokenizer.
        output: Name of the output that holds the logits.
        plan: How it runs.
        prompt: Put before every query.
        answers: Whether two logits are those of "no" and "yes", whose difference is the one score.
    """

    graph: TextGraph
    pairs: PairTokenizer | ChatPairs
    output: str
    plan: RunPlan
    prompt: str = ""
    answers: bool = False

    def logits(self, rows: Sequence[Tokens], worker: int) -> Array:
        """Run one batch and give the logits, float32 (batch, labels)."""
        (logits,) = self.graph.run([self.output], self.graph.pad(rows), worker)
        labelled = by_label(logits, len(rows))
        if self.answers and labelled.shape[1] == MOST_LABELS:
            labelled = labelled[:, 1:] - labelled[:, :1]
        check_finite(labelled, rows)
        return labelled

    def score(self, rows: Sequence[Tokens], worker: int) -> Array:
        """Run one batch and give the raw scores, float32 (batch,)."""
        return raw_scores(self.logits(rows, worker), len(rows))

    def paired(self, query: str | None, items: Sequence[Any]) -> Sequence[Pair]:
        """Make pairs of documents and their query, or take the items as pairs; the prompt goes before each query."""
        if query is not None:
            return list(zip(repeat(self.prompt + query), items, strict=False))
        return [(self.prompt + first, second) for first, second in items] if self.prompt else items


class PairWork:
    """The work of one call that cuts long pairs.

    Items are the documents of a query, or pairs where there is none.
    """

    def __init__(
        self, model: CrossEncoder, options: CrossEncoderOptions, query: str | None, activation: Activation
    ) -> None:
        self.size = _characters if query is None else len
        self.costs = model.graph.costs
        self._model = model
        self._truncate = options.truncate
        self._query = query
        self._activation = activation

    def prepare(self, items: Sequence[Any], first_index: int) -> list[Tokens]:
        """Tokenise pairs."""
        return self._model.pairs.encode(self._model.paired(self._query, items), first_index, truncate=self._truncate)

    def run(self, batch: Sequence[Tokens], worker: int) -> list[float]:
        """Give one score per pair."""
        return activated(self._model.score(batch, worker), self._activation)


class LabelWork:
    """The work of one call that gives the scores of all labels; items are as in `PairWork`, and long pairs are cut."""

    def __init__(self, model: CrossEncoder, function: Function, *, truncate: bool) -> None:
        self.size = _characters
        self.costs = model.graph.costs
        self._model = model
        self._function = function
        self._truncate = truncate

    def prepare(self, items: Sequence[Pair], first_index: int) -> list[Tokens]:
        """Tokenise pairs."""
        return self._model.pairs.encode(self._model.paired(None, items), first_index, truncate=self._truncate)

    def run(self, batch: Sequence[Tokens], worker: int) -> Array:
        """Give the scores of the pairs, float32 (batch, labels)."""
        return self._function(self._model.logits(batch, worker)).astype(np.float32, copy=False)


class WindowWork:
    """The work of one call that reads a long document by windows, each with the query.

    Items are as in `PairWork`; each becomes one sequence of tokens, or several windows.
    """

    def __init__(
        self,
        model: CrossEncoder,
        options: CrossEncoderOptions,
        query: str | None,
        activation: Activation,
        limits: BatchLimits,
    ) -> None:
        """Combine them; ``limits`` bound a run of the graph, for documents of many windows."""
        self.size = _characters if query is None else len
        self._model = model
        self._options = options
        self._query = query
        self._activation = activation
        self._limits = limits

    def prepare(self, items: Sequence[Any], first_index: int) -> list[tuple[Tokens, ...]]:
        """Tokenise pairs into windows."""
        options, pairs = self._options, self._model.paired(self._query, items)
        windows = self._model.pairs.encode_windows(
            pairs, first_index, options.window_overlap, truncate=options.truncate
        )
        return [some[:1] for some in windows] if options.windows == Windows.FIRST else windows

    def costs(self, prepared: Sequence[tuple[Tokens, ...]]) -> list[int]:
        """Count the tokens of all windows of each pair."""
        return [sum(self._model.graph.costs(windows)) for windows in prepared]

    def run(self, batch: Sequence[tuple[Tokens, ...]], worker: int) -> list[float]:
        """Run the windows of all pairs, and give one score per pair."""
        rows = list(chain.from_iterable(batch))
        scores = np.empty(len(rows), dtype=np.float32)
        costs = self._model.graph.costs(rows)
        # A batch of the pipeline is one run, except where a document of many windows is a batch of its own.
        for positions in plan_batches(costs, self._limits.budget, self._limits.max_items, self._limits.apart_from):
            scores[positions] = self._model.score([rows[position] for position in positions], worker)
        if len(rows) > len(batch):
            join = np.max if self._options.windows == Windows.MAX else np.mean
            parts = np.split(scores, list(accumulate(map(len, batch)))[:-1])
            scores = np.array([join(part) for part in parts], dtype=np.float32)
        return activated(scores, self._activation)


def _characters(pair: Pair) -> int:
    return len(pair[0]) + len(pair[1])


def by_label(logits: Array, count: int) -> Array:
    """Give the logits of each pair as float32 (batch, labels), of (batch,) or (batch, labels) for ``count`` pairs."""
    rows = logits[:, None] if logits.ndim == 1 else logits
    if rows.ndim != 2 or not rows.shape[1]:
        raise UnsupportedModelError(
            f"the graph gave {logits.shape} for {count} pairs; expected (batch, labels) with at most {MOST_LABELS} "
            "labels. Is this a cross-encoder?"
        )
    if len(rows) != count:
        raise ModelError(f"the graph gave {len(rows)} rows for {count} pairs; expected one per pair")
    return rows.astype(np.float32, copy=False)


def raw_scores(logits: Array, count: int) -> Array:
    """Make one number of the logits of each pair.

    One label is the score itself. For two, of which the second stands for "relevant", it is the second minus the first:
    its sigmoid is the softmax probability of the second label, and it sorts as that does.

    ``logits`` is (batch,), (batch, 1) or (batch, 2); ``count`` is the number of pairs that were run. Gives float32
    (batch,).
    """
    rows = by_label(logits, count)
    if rows.shape[1] > MOST_LABELS:
        raise UnsupportedModelError(
            f"the graph gave {logits.shape} for {count} pairs; expected (batch, labels) with at most {MOST_LABELS} "
            "labels, since more have no order to rank by: label_scores() gives the score of each"
        )
    return rows[:, 0] if rows.shape[1] == 1 else rows[:, 1] - rows[:, 0]


def activated(scores: Array, activation: Activation) -> list[float]:
    """Apply ``Activation.RAW`` or ``Activation.SIGMOID`` to float32 (batch,).

    The sigmoid is computed in float64 as ``(1 + tanh(score / 2)) / 2``, which cannot overflow.
    """
    if activation is not Activation.RAW:
        scores = 0.5 * (1.0 + np.tanh(scores.astype(np.float64) / 2.0))
    values: list[float] = scores.tolist()
    return values
