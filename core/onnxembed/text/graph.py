"""A graph that reads tokens: batches of token ids padded, and fed in the form that the graph asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from onnxembed.errors import ModelError
from onnxembed.runtime.session import Session
from onnxembed.text.tokenizer import TextTokenizer, Tokens

Array = np.ndarray[Any, np.dtype[Any]]

INTEGER_TYPES: Mapping[int, type[np.integer[Any]]] = {6: np.int32, 7: np.int64}
"""The element types, by their number in ONNX, that token inputs may have."""
_TEXT_INPUTS = frozenset({"input_ids", "attention_mask", "token_type_ids", "position_ids", "task_id"})


class PaddedTokens:
    """One batch.

    Attributes:
        ids: int64 (batch, longest).
        mask: int64 (batch, longest); 1 where a token is.
        type_ids: int64 (batch, longest), or ``None`` when all are 0.
    """

    __slots__ = ("ids", "mask", "type_ids")

    def __init__(self, ids: Array, mask: Array, type_ids: Array | None = None) -> None:
        self.ids = ids
        self.mask = mask
        self.type_ids = type_ids


@dataclass(frozen=True, slots=True)
class TextGraph:
    """A loaded model that reads tokens.

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

    @property
    def reads_mask(self) -> bool:
        """Whether the graph is told which positions are padding."""
        return "attention_mask" in self.input_types

    def costs(self, tokens: Sequence[Tokens]) -> list[int]:
        """Positions of each text when it is not padded to its batch."""
        if self.pad_to_max_length:
            return [self.tokenizer.rules.max_length] * len(tokens)
        return [len(text.ids) for text in tokens]

    def pad(self, batch: Sequence[Tokens]) -> PaddedTokens:
        """Pad texts to one length; a text without any token gets one position of padding."""
        rules = self.tokenizer.rules
        width = rules.max_length
        if not self.pad_to_max_length:
            width = max([1, *[len(tokens.ids) for tokens in batch]])
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
        return PaddedTokens(ids, mask, type_ids)

    def run(self, outputs: Sequence[str], padded: PaddedTokens, worker: int, *, task: int | None = None) -> list[Array]:
        """Run one batch and give one array per output.

        Batches go to the devices in turn, by the batch's number ``worker``; ``task`` is the value of the ``task_id``
        input, for graphs that have one.
        """
        session = self.sessions[worker % len(self.sessions)]
        return session.run(outputs, self._feed(padded, task))

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
