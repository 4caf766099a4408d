"""A graph that reads tokens: batches of token ids padded, and fed in the form that the graph asks for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from onnxembed.errors import InferenceError, InputError, ModelError
from onnxembed.runtime.session import Session
from onnxembed.runtime.sessions import Sessions
from onnxembed.runtime.shapes import usual_length
from onnxembed.text.tokenizer import TextTokenizer, Tokens
from onnxembed.text.tokenizer_rules import TokenizerRules

Array = np.ndarray[Any, np.dtype[Any]]

INTEGER_TYPES: Mapping[int, type[np.integer[Any]]] = {6: np.int32, 7: np.int64}
"""The element types, by their number in ONNX, that token inputs may have."""
# What ONNX Runtime says of a look-up beyond a table's last row.
_BOUND = re.compile(r"out of data bounds, idx=\d+ must be within the inclusive range \[-?\d+,(\d+)\]")
_TEXT_INPUTS = frozenset({"input_ids", "attention_mask", "token_type_ids", "position_ids", "task_id"})


class PaddedTokens:
    """One batch: int64 (batch, longest) each; the mask is 1 where a token is, the type ids ``None`` when all are 0."""

    # ``texts`` are for messages, and empty where they have no position among those that the caller gave.
    __slots__ = ("ids", "mask", "texts", "type_ids")

    def __init__(self, ids: Array, mask: Array, type_ids: Array | None = None, texts: Sequence[Tokens] = ()) -> None:
        self.ids = ids
        self.mask = mask
        self.type_ids = type_ids
        self.texts = texts

    def name(self, row: int) -> str:
        """What messages call a row: its text where that is known."""
        return f"text {self.texts[row].index}" if len(self.texts) else f"row {row} of a batch"


@dataclass(frozen=True, slots=True)
class TextGraph:
    """A loaded model that reads tokens.

    Attributes:
        sessions: One session a device, all of the same file.
        input_types: ONNX element type of every graph input.
        tokenizer: The model's tokenizer.
        pad_to_max_length: Whether every batch is padded to the limit instead of its longest text.
        rules: How batches are padded; those of the tokenizer unless given.
        few_lengths: Whether batches are padded to few lengths, since the device compiles the graph for each.
    """

    sessions: Sessions
    input_types: Mapping[str, int]
    tokenizer: TextTokenizer
    pad_to_max_length: bool = False
    rules: TokenizerRules = None  # type: ignore[assignment]  # filled in below
    few_lengths: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "sessions", Sessions.of(self.sessions))
        object.__setattr__(self, "rules", self.rules or self.tokenizer.rules)
        unknown = sorted(set(self.input_types) - _TEXT_INPUTS)
        if unknown or "input_ids" not in self.input_types:
            raise ModelError(
                f"the graph takes {', '.join(sorted(self.input_types)) or 'nothing'}; expected input_ids and at most "
                f"{', '.join(sorted(_TEXT_INPUTS - {'input_ids'}))} besides. Is this a text embedding model?"
            )

    @property
    def reads_mask(self) -> bool:
        """Whether the graph has an input that says which positions are padding."""
        return "attention_mask" in self.input_types

    def costs(self, tokens: Sequence[Tokens]) -> list[int]:
        """Positions of each text when it is not padded to its batch."""
        if self.pad_to_max_length:
            return [self.rules.max_length] * len(tokens)
        return [len(text.ids) for text in tokens]

    def pad(self, batch: Sequence[Tokens]) -> PaddedTokens:
        """Pad texts to one length; a text without any token gets one position of padding."""
        rules = self.rules
        width = rules.max_length
        if not self.pad_to_max_length:
            width = max([1, *[len(tokens.ids) for tokens in batch]])
            if self.few_lengths:
                width = usual_length(width, rules.max_length)
        ids = np.full((len(batch), width), rules.pad_id, dtype=np.int64)
        mask = np.zeros((len(batch), width), dtype=np.int64)
        type_ids = None
        for row, tokens in enumerate(batch):
            count = len(tokens.ids)
            place = slice(width - count, width) if rules.pad_left else slice(0, count)
            ids[row, place] = tokens.ids
            mask[row, place] = 1
            if tokens.type_ids is not None:
                type_ids = np.zeros_like(ids) if type_ids is None else type_ids
                type_ids[row, place] = tokens.type_ids
        return PaddedTokens(ids, mask, type_ids, batch)

    def run(
        self,
        outputs: Sequence[str],
        padded: PaddedTokens,
        worker: int,  # noqa: ARG002  # the devices are chosen by what they have to do
        *,
        task: int | None = None,
    ) -> list[Array]:
        """Run one batch and give one array per output, with as many rows as texts.

        The device is the one that has least to do; ``task`` is the value of the ``task_id`` input, for graphs that have
        one.
        """
        session = self.sessions.only or self.sessions.take()
        try:
            arrays = session.run(outputs, self._feed(padded, task))
        except InferenceError as error:
            named = self._named(error, outputs, padded, session, task)
            if named is None:
                raise
            raise named from error
        finally:
            if self.sessions.only is None:
                self.sessions.give_back(session)
        for array in arrays:
            shape = getattr(array, "shape", ())
            if not shape or shape[0] != len(padded.ids) or array.dtype.kind not in "fiu":
                raise ModelError(_misshapen(outputs, arrays, padded))
        return arrays

    def _named(
        self, error: InferenceError, outputs: Sequence[str], padded: PaddedTokens, session: Session, task: int | None
    ) -> InferenceError | InputError | None:
        """Name the text that a batch fails on, if it is the one with the highest id: the table may lack that token."""
        row = int(padded.ids.max(axis=1).argmax())
        alone = PaddedTokens(
            padded.ids[row : row + 1],
            padded.mask[row : row + 1],
            None if padded.type_ids is None else padded.type_ids[row : row + 1],
        )
        bound = _BOUND.search(str(error))
        beyond = alone.ids > int(bound[1]) if bound else alone.ids == alone.ids.max()
        lowered = PaddedTokens(np.where(beyond, 0, alone.ids), alone.mask, alone.type_ids)
        if not len(padded.texts) or not beyond.any() or not self._fails(session, outputs, alone, task):
            return None
        if self._fails(session, outputs, lowered, task):
            return InferenceError(f"{padded.name(row)}: {error}")
        return self.tokenizer.without_row(int(alone.ids[beyond].max()), padded.texts[row].index)

    def _fails(self, session: Session, outputs: Sequence[str], padded: PaddedTokens, task: int | None) -> bool:
        try:
            session.run(outputs, self._feed(padded, task))
        except InferenceError:
            return True
        return False

    def _feed(self, padded: PaddedTokens, task: int | None) -> dict[str, Array]:
        """The inputs that the graph declares, in the types it declares."""
        types = self.input_types
        arrays: dict[str, Array] = {"input_ids": padded.ids, "attention_mask": padded.mask}
        if "token_type_ids" in types:
            arrays["token_type_ids"] = np.zeros_like(padded.ids) if padded.type_ids is None else padded.type_ids
        if "position_ids" in types:
            arrays["position_ids"] = np.maximum(padded.mask.cumsum(axis=1) - 1, 0)
        if "task_id" in types:
            arrays["task_id"] = np.array(task, dtype=np.int64)
        feed = {}
        for name, array in arrays.items():
            if name in types:
                feed[name] = array.astype(INTEGER_TYPES.get(types[name], np.int64), copy=False)
        return feed


def _misshapen(outputs: Sequence[str], arrays: Sequence[Any], padded: PaddedTokens) -> str:
    given = ", ".join(
        f"{name!r} has the shape {list(array.shape)} of {array.dtype}"
        if isinstance(array, np.ndarray)
        else f"{name!r} is no tensor"
        for name, array in zip(outputs, arrays, strict=True)
    )
    return (
        f"the graph's output {given} for a batch of {list(padded.ids.shape)}; expected numbers with one row per text. "
        "Was it exported for a fixed batch?"
    )


def check_finite(vectors: Array, texts: Sequence[Tokens]) -> None:
    """Refuse the results of a batch, (batch, ...), of which one holds NaN or infinity."""
    finite = np.isfinite(vectors)
    if not np.logical_and.reduce(finite, axis=None):
        row = int(np.logical_and.reduce(finite, axis=tuple(range(1, finite.ndim))).argmin())
        raise not_finite(f"text {texts[row].index}")


def not_finite(where: str) -> ModelError:
    """Say that the graph gave NaN or infinity."""
    return ModelError(
        f"{where}: the graph gives numbers that are not finite (NaN or infinity); are the weights damaged, or is half "
        "precision too narrow for them?"
    )
