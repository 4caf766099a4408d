"""Pairs of texts to token ids: each text tokenised once, then joined as the model's own tokenizer would.

A query of hundreds of pairs is tokenised once for all of them. Texts are joined here only where that is known to be the
same: the places of special tokens are read off pairs that the tokenizer encodes, and what is joined is compared with
its result. Tokenizers that do something else encode every pair themselves.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, TypeVar

import numpy as np

from onnxembed.errors import InputError, TextTooLongError, UnsupportedModelError
from onnxembed.foreign import reading
from onnxembed.runtime import forks
from onnxembed.runtime.cancellation import checkpoint
from onnxembed.text.pair_template import PairTemplate, cut_lengths, read_template
from onnxembed.text.tokenizer import TextTokenizer, Tokens

logger = logging.getLogger("onnxembed.text")

Pair = tuple[str, str]
TokensT = TypeVar("TokensT", bound=Iterable[Tokens])
_Ids = np.ndarray[Any, np.dtype[np.int32]]

# Texts tokenised in one call, as for single texts.
_CHUNK = 64


class PairTokenizer:
    """The tokenizer of a model that reads two texts together."""

    def __init__(self, tokenizer: TextTokenizer) -> None:
        """Take over the model's tokenizer, which nothing else may use; its limit must leave room for text."""
        self.rules = tokenizer.rules
        self._backend = tokenizer.backend
        self._special: int = self._backend.num_special_tokens_to_add(True)
        self._room = self.rules.max_length - self._special
        if self._room < 1:
            raise InputError(
                f"the limit of {self.rules.max_length} tokens (from {self.rules.max_length_source}) leaves no room for "
                f"text beside {self._special} special tokens of a pair; pass max_length={self._special + 1} or more"
            )
        self._apart = TextTokenizer(self._backend, self.rules, add_special_tokens=False)
        template = read_template(self._backend, self.rules)
        self.template: PairTemplate | None = (
            template if template is None or self.rules.token_types else template.without_types()
        )
        self._warned = False
        self._warn_lock = threading.Lock()

    def encode(self, pairs: Sequence[Pair], first_index: int, *, truncate: bool) -> list[Tokens]:
        """Tokenise pairs that are checked; of a pair that is too long, tokens are taken from the longer text first.

        ``first_index`` is the position of the first pair, for messages. Long pairs are cut, with one warning per model,
        or refused as a `TextTooLongError`.
        """
        if self.template is None:
            return self._encode_together(pairs, first_index, truncate=truncate)
        ids = self._ids(chain.from_iterable(pairs), whole=not truncate)
        tokens: list[Tokens] = []
        for index, (first, second) in enumerate(pairs, start=first_index):
            one, other = ids[first], ids[second]
            if len(one) + len(other) > self._room:
                self._too_long(index, len(one) + len(other) + self._special, truncate=truncate)
                kept = cut_lengths(*self._compared(first, one, second, other), self._room)
                one, other = self._cut(one, kept[0]), self._cut(other, kept[1])
            tokens.append(self.template.join(one, other, index))
        return self._checked(tokens)

    def encode_windows(
        self, pairs: Sequence[Pair], first_index: int, overlap: int, *, truncate: bool
    ) -> list[tuple[Tokens, ...]]:
        """Tokenise pairs; of one that is too long, the second text is spread over windows that each hold the first.

        The first text is cut to half of the room, or refused, where both do not fit. Neighbouring windows share
        ``overlap`` tokens, at most half of a window. The last one ends with the text and is as long as the others.
        """
        template = self.template
        if template is None:
            raise UnsupportedModelError(
                "this model's tokenizer puts pairs together in a way that is not known here, so windows= cannot be used"
            )
        ids = self._ids(chain.from_iterable(pairs), whole=True)
        windows: list[tuple[Tokens, ...]] = []
        for index, (first, second) in enumerate(pairs, start=first_index):
            one, other = ids[first], ids[second]
            if len(one) + len(other) > self._room and len(one) > self._room // 2:
                self._too_long(index, len(one) + len(other) + self._special, truncate=truncate)
                one = self._cut(one, max(self._room // 2, self._room - len(other)))
            capacity = self._room - len(one)
            parts = [other[start : start + capacity] for start in _starts(len(other), capacity, overlap)]
            windows.append(tuple(template.join(one, part, index) for part in parts))
        self._checked(chain.from_iterable(windows))
        return windows

    def _checked(self, tokens: TokensT) -> TokensT:
        """Refuse pairs with a token that the model has no vector for."""
        if self._apart.unknown:
            for pair in tokens:
                self._apart.check_rows(pair.ids.tolist(), pair.index)
        return tokens

    def count(self, pairs: Sequence[Pair]) -> int:
        """Sum up the tokens of pairs, special tokens included, each cut to the limit."""
        if self.template is None:
            return sum(len(encoding.ids) for encoding in self._together(pairs, 0))
        ids = self._ids(chain.from_iterable(pairs), whole=False)
        return sum(
            min(len(ids[first]) + len(ids[second]) + self._special, self.rules.max_length) for first, second in pairs
        )

    def _ids(self, texts: Iterable[str], *, whole: bool, first_index: int = 0) -> dict[str, _Ids]:
        """Give the ids of each different text, without special tokens: whole, or cut to the limit for a pair."""
        different = list(dict.fromkeys(texts))
        ids: dict[str, _Ids] = {}
        for start in range(0, len(different), _CHUNK):
            chunk = different[start : start + _CHUNK]
            for text, encoding in zip(chunk, self._apart.encodings(chunk, clip=not whole), strict=True):
                found = encoding.ids
                if whole and len(found) == self.rules.max_length:
                    rest = [overflow.ids for overflow in encoding.overflowing]
                    parts = [*reversed(rest), found] if self.rules.truncate_left else [found, *rest]
                    found = list(chain.from_iterable(parts))
                try:
                    ids[text] = np.array(found, dtype=np.int32)
                except OverflowError:
                    raise self._apart.without_row(max(found), first_index) from None
        return ids

    def _compared(self, first: str, one: _Ids, second: str, other: _Ids) -> tuple[int, int]:
        """Give the lengths of two texts, as far as they decide how the two are cut.

        Texts cut to the limit look equally long, but an odd room gives its last token to the one that really is longer.
        """
        if self._room % 2 and len(one) == len(other) == self.rules.max_length:
            ids = self._ids((first, second), whole=True)
            return len(ids[first]), len(ids[second])
        return len(one), len(other)

    def _cut(self, ids: _Ids, keep: int) -> _Ids:
        return ids[len(ids) - keep :] if self.rules.truncate_left else ids[:keep]

    def _encode_together(self, pairs: Sequence[Pair], first_index: int, *, truncate: bool) -> list[Tokens]:
        """Let the tokenizer encode every text of every pair anew."""
        tokens: list[Tokens] = []
        for start in range(0, len(pairs), _CHUNK):
            chunk = pairs[start : start + _CHUNK]
            for offset, encoding in enumerate(self._together(chunk, first_index + start)):
                if len(encoding.ids) >= self.rules.max_length and encoding.overflowing:
                    ids = self._ids(chunk[offset], whole=True)
                    count = sum(len(ids[text]) for text in chunk[offset]) + self._special
                    self._too_long(first_index + start + offset, count, truncate=truncate)
                type_ids = np.array(encoding.type_ids, dtype=np.int32)
                joined = np.array(encoding.ids, dtype=np.int32)
                typed = self.rules.token_types and type_ids.any()
                tokens.append(Tokens(joined, type_ids if typed else None, first_index + start + offset))
        return self._checked(tokens)

    def _together(self, pairs: Sequence[Pair], first_index: int) -> list[Any]:
        """Encode pairs; in a process that lacks the library's threads one by one."""
        checkpoint()
        with reading(f"tokenizer.json, which fails on one of the {len(pairs)} pairs from {first_index} on,"):
            if not forks.rust_threads_run():
                return [self._backend.encode(first, second) for first, second in pairs]
            encodings: list[Any] = self._backend.encode_batch_fast(list(pairs))
        return encodings

    def _too_long(self, index: int, count: int, *, truncate: bool) -> None:
        """Refuse a pair, or warn once that pairs are cut."""
        if not truncate:
            raise TextTooLongError(index, count, self.rules.max_length)
        with self._warn_lock:
            if self._warned:
                return
            self._warned = True
        logger.warning(
            "pair %d is longer than the limit of %d tokens (from %s) and is cut, as later ones will be without notice; "
            "choose max_length=, read long documents by windows=, or pass truncate=False to refuse them",
            index,
            self.rules.max_length,
            self.rules.max_length_source,
        )


def _starts(length: int, capacity: int, overlap: int) -> list[int]:
    """Say where the windows of a text begin."""
    if length <= capacity:
        return [0]
    step = capacity - min(overlap, capacity // 2)
    return [*range(0, length - capacity, step), length - capacity]
