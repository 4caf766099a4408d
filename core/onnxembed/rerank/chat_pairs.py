"""Pairs of a query and a document as one text, which a language model is asked about."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence

import numpy as np

from onnxembed.errors import TextTooLongError, UnsupportedModelError
from onnxembed.rerank.chat_template import ChatTemplate
from onnxembed.rerank.pairs import Pair
from onnxembed.text.tokenizer import TextTokenizer, Tokens

logger = logging.getLogger("onnxembed.text")

# Two pairs whose texts end differently: what their tokens have in common at the end belongs to the template.
_FILLERS = ("0", "1 2 3 4")
_CHUNK = 64


class ChatPairs:
    """The tokenizer of a reranker that is a language model."""

    def __init__(self, tokenizer: TextTokenizer, template: ChatTemplate, instruction: str) -> None:
        """Take over the model's tokenizer, which nothing else may use; an empty instruction is the template's own."""
        self.rules = tokenizer.rules
        self._tokenizer = TextTokenizer(tokenizer.backend, self.rules, add_special_tokens=False)
        self._template = template
        self._instruction = instruction
        self._end = self._common_end()
        self._warned = False
        self._warn_lock = threading.Lock()

    def encode(self, pairs: Sequence[Pair], first_index: int, *, truncate: bool) -> list[Tokens]:
        """Tokenise pairs; of one that is too long, the end before the template's last words is cut, or it is refused.

        So sentence-transformers does it: the model answers after these words.
        """
        tokens: list[Tokens] = []
        for start in range(0, len(pairs), _CHUNK):
            texts = self._rendered(pairs[start : start + _CHUNK])
            for offset, encoding in enumerate(self._tokenizer.encodings(texts, clip=truncate)):
                index, ids = first_index + start + offset, np.array(encoding.ids, dtype=np.int32)
                if encoding.overflowing:
                    self._too_long(index, texts[offset], truncate=truncate)
                    kept = min(len(self._end), len(ids))
                    ids[len(ids) - kept :] = self._end[len(self._end) - kept :]
                if self._tokenizer.unknown:
                    self._tokenizer.check_rows(ids.tolist(), index)
                tokens.append(Tokens(ids, None, index))
        return tokens

    def encode_windows(
        self,
        pairs: Sequence[Pair],  # noqa: ARG002  # those of the twin
        first_index: int,  # noqa: ARG002
        overlap: int,  # noqa: ARG002
        *,
        truncate: bool,  # noqa: ARG002
    ) -> list[tuple[Tokens, ...]]:
        """Refuse: a document that is part of a longer text is not read by windows."""
        raise UnsupportedModelError(
            "this reranker reads a query and a document as one text, so windows= cannot be used; leave it out, or "
            "split long documents"
        )

    def count(self, pairs: Sequence[Pair]) -> int:
        """Sum up the tokens of pairs with the text around them, each cut to the limit."""
        return self._tokenizer.count(self._rendered(pairs))

    def _rendered(self, pairs: Sequence[Pair]) -> list[str]:
        return [self._template.render(self._instruction, query, document) for query, document in pairs]

    def _common_end(self) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
        """The template's last tokens, whatever stands before them."""
        first, second = (
            self._tokenizer.backend.encode(text, add_special_tokens=False)
            for text in self._rendered([(filler, filler) for filler in _FILLERS])
        )
        count = 0
        for one, other in zip(reversed(first.ids), reversed(second.ids), strict=False):
            if one != other:
                break
            count += 1
        return np.array(first.ids[len(first.ids) - count :], dtype=np.int32)

    def _too_long(self, index: int, text: str, *, truncate: bool) -> None:
        """Refuse a pair, or warn once that pairs are cut."""
        if not truncate:
            (encoding,) = self._tokenizer.encodings([text], clip=False)
            count = len(encoding.ids) + sum(len(rest.ids) for rest in encoding.overflowing)
            raise TextTooLongError(index, count, self.rules.max_length)
        with self._warn_lock:
            if self._warned:
                return
            self._warned = True
        logger.warning(
            "pair %d is longer than the limit of %d tokens (from %s) and is cut, as later ones will be without notice; "
            "choose max_length=, or pass truncate=False to refuse them",
            index,
            self.rules.max_length,
            self.rules.max_length_source,
        )
