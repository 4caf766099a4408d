"""Texts to token ids. A tokenizer is configured once, when it is loaded, so that threads may share it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from onnxembed.errors import InputError, ModelError, TextTooLongError
from onnxembed.text.tokenizer_rules import TokenizerRules, read_rules, special_tokens

if TYPE_CHECKING:
    import tokenizers

logger = logging.getLogger("onnxembed.text")

# Texts tokenised in one call: enough to use several processors, few enough that the tokenizer's bulky result objects
# (over 100 bytes a token) stay small.
_CHUNK = 64
# A token is rarely longer than this many characters, so a prefix of ``max_length`` times this holds ``max_length``
# tokens.
_CHARACTERS_PER_TOKEN = 16


Ids = np.ndarray[Any, np.dtype[np.int32]]


class Tokens:
    """One tokenised text.

    Attributes:
        ids: int32, special tokens included, not padded.
        type_ids: int32 of the same length, or ``None`` when all are zero, as they are for single texts of most models.
    """

    # Made for every text: a plain class takes a third of the time of a frozen dataclass.
    __slots__ = ("ids", "type_ids")

    def __init__(
        self, ids: np.ndarray[Any, np.dtype[np.int32]], type_ids: np.ndarray[Any, np.dtype[np.int32]] | None = None
    ) -> None:
        self.ids = ids
        self.type_ids = type_ids


class TextTokenizer:
    """The tokenizer of one model, with its rules."""

    def __init__(self, backend: tokenizers.Tokenizer, rules: TokenizerRules, *, add_special_tokens: bool) -> None:
        """Configure a loaded tokenizer; use `load_tokenizer` instead.

        Args:
            backend: The tokenizer; it is changed here and never again.
            rules: The model's rules.
            add_special_tokens: Whether texts get the model's special tokens.

        Raises:
            InputError: If the limit leaves no room beside the special tokens; the tokenizer would not cut at all then.
        """
        special = backend.num_special_tokens_to_add(False) if add_special_tokens else 0
        if rules.max_length <= special:
            raise InputError(
                f"the limit of {rules.max_length} tokens (from {rules.max_length_source}) leaves no room for text "
                f"beside {special} special tokens; pass max_length={special + 1} or more"
            )
        direction = "left" if rules.truncate_left else "right"
        backend.no_padding()
        backend.enable_truncation(rules.max_length, stride=0, strategy="longest_first", direction=direction)
        self.rules = rules
        self.backend = backend
        self._add_special_tokens = add_special_tokens
        # Single texts have type 0 throughout, except in a few architectures that mark the classification token.
        self._has_type_ids = add_special_tokens and any(backend.encode("a").type_ids)
        self._clip_to = rules.max_length * _CHARACTERS_PER_TOKEN
        self._warned = False
        self._warn_lock = threading.Lock()

    def encode(self, texts: Sequence[str], first_index: int, *, truncate: bool) -> list[Tokens]:
        """Tokenise texts.

        Args:
            texts: The texts, already checked.
            first_index: Position of the first one among all that the caller gave, for messages.
            truncate: Whether longer texts are cut (with one warning per model in the log) or refused.

        Returns:
            The tokens of each.

        Raises:
            TextTooLongError: If a text is too long and ``truncate`` is false.
        """
        tokens: list[Tokens] = []
        for start in range(0, len(texts), _CHUNK):
            chunk = texts[start : start + _CHUNK]
            for offset, encoding in enumerate(self.encodings(chunk, clip=truncate)):
                if len(encoding.ids) >= self.rules.max_length and encoding.overflowing:
                    index = first_index + start + offset
                    if not truncate:
                        raise TextTooLongError(index, self._full_count(chunk[offset]), self.rules.max_length)
                    self._warn_truncated(index)
                type_ids = np.array(encoding.type_ids, dtype=np.int32) if self._has_type_ids else None
                tokens.append(Tokens(np.array(encoding.ids, dtype=np.int32), type_ids))
        return tokens

    def count(self, texts: Sequence[str]) -> int:
        """Count the tokens of texts, special tokens included, each cut to the limit.

        Args:
            texts: The texts, already checked.

        Returns:
            The sum.
        """
        return sum(len(encoding.ids) for encoding in self.encodings(texts, clip=True))

    def encodings(self, texts: Sequence[str], *, clip: bool) -> list[Any]:
        """Tokenise a few texts at once; what is beyond the limit is in ``overflowing``.

        Args:
            texts: The texts, already checked.
            clip: Whether texts far beyond the limit may be shortened first, so that their overflow is not whole.

        Returns:
            One ``tokenizers.Encoding`` each, without offsets.
        """
        if clip and max(map(len, texts), default=0) > 4 * self._clip_to:
            texts = [self._clip(text) for text in texts]
        if len(texts) == 1:
            # One text needs no thread pool; not starting it also keeps a later fork silent.
            return [self.backend.encode(texts[0], add_special_tokens=self._add_special_tokens)]
        encodings: list[Any] = self.backend.encode_batch_fast(list(texts), add_special_tokens=self._add_special_tokens)
        return encodings

    def _clip(self, text: str) -> str:
        """Cut a huge text to a prefix that gives the same first tokens: a book costs no more than its first pages.

        The cut is at white space, and only taken when the prefix alone already has more tokens than the limit. Without
        white space it is only taken when an earlier cut gives the same tokens too.
        """
        enough = self._clip_to
        if len(text) <= 4 * enough or self.rules.truncate_left:
            return text
        cut = max(text.rfind(" ", enough, 2 * enough), text.rfind("\n", enough, 2 * enough))
        prefix = text[: 2 * enough if cut < 0 else cut]
        encoding = self.backend.encode(prefix, add_special_tokens=self._add_special_tokens)
        margin = sum(len(overflow.ids) for overflow in encoding.overflowing)
        settled = margin > self.rules.max_length // 8 + 8
        if settled and cut < 0:
            earlier = self.backend.encode(text[:enough], add_special_tokens=self._add_special_tokens)
            settled = earlier.ids == encoding.ids
        return prefix if settled else text

    def _full_count(self, text: str) -> int:
        """Tokens of a text that is not cut; on a copy, since this tokenizer is shared."""
        import tokenizers

        copy = tokenizers.Tokenizer.from_str(self.backend.to_str())
        copy.no_truncation()
        return len(copy.encode(text, add_special_tokens=self._add_special_tokens).ids)

    def _warn_truncated(self, index: int) -> None:
        with self._warn_lock:
            if self._warned:
                return
            self._warned = True
        logger.warning(
            "text %d is longer than the limit of %d tokens (from %s) and is cut, as later ones will be without notice; "
            "choose max_length=, split long texts, or pass truncate=False to refuse them",
            index,
            self.rules.max_length,
            self.rules.max_length_source,
        )


def load_tokenizer(folder: Path, max_length: int | None) -> TextTokenizer:
    """Load the tokenizer of a model that runs as a graph.

    Args:
        folder: The model's folder.
        max_length: The caller's limit, or ``None`` for the model's own.

    Returns:
        The tokenizer, ready for threads.
    """
    import tokenizers

    backend = read_tokenizer(folder)
    added = [tokenizers.AddedToken(text, **flags) if flags else text for text, flags in special_tokens(folder)]
    if added:
        backend.add_special_tokens(added)
    rules = read_rules(folder, backend.padding or {}, backend.truncation or {}, backend.token_to_id, max_length)
    return TextTokenizer(backend, rules, add_special_tokens=True)


def read_tokenizer(folder: Path) -> tokenizers.Tokenizer:
    """Read ``tokenizer.json``.

    Args:
        folder: The model's folder.

    Returns:
        The tokenizer as stored.

    Raises:
        ModelError: If the file is missing or is not a tokenizer.
    """
    import tokenizers

    path = folder / "tokenizer.json"
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise ModelError(f"{folder} has no tokenizer.json; expected the model's fast tokenizer there") from None
    try:
        return tokenizers.Tokenizer.from_buffer(content)
    except Exception as error:  # the library raises bare Exception
        raise ModelError(f"{path} is not a tokenizer this version of tokenizers can read: {error}") from error
