"""Texts to token ids. A tokenizer is configured once, when it is loaded, so that threads may share it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from onnxembed.errors import InputError, ModelError, TextTooLongError, UnsupportedModelError
from onnxembed.foreign import describe, is_foreign, reading
from onnxembed.hub.files import FolderFiles
from onnxembed.metadata.tokenizer import ADDED_TOKENS
from onnxembed.runtime import forks
from onnxembed.runtime.cancellation import checkpoint
from onnxembed.spec import TOKENIZER_FILE, TokenizerSettings
from onnxembed.text.tokenizer_rules import TokenizerRules, read_rules, special_tokens, table_rows
from onnxembed.text.tokenizer_settings import apply_settings, stated_tokens

if TYPE_CHECKING:
    import tokenizers

logger = logging.getLogger("onnxembed.text")

# Texts tokenised in one call: enough to use several processors, few enough that the tokenizer's bulky result objects
# (over 100 bytes per token) stay small.
_CHUNK = 64
# A token is rarely longer than this many characters, so a prefix of ``max_length`` times this holds ``max_length``
# tokens.
_CHARACTERS_PER_TOKEN = 16


Ids = np.ndarray[Any, np.dtype[np.int32]]


class Tokens:
    """One tokenised text: int32, special tokens included, not padded; the type ids ``None`` when all are 0."""

    # Made for every text: a plain class takes a third of the time of a frozen dataclass.
    # ``index`` is the text's position among all that the caller gave, for messages.
    __slots__ = ("ids", "index", "type_ids")

    def __init__(
        self,
        ids: np.ndarray[Any, np.dtype[np.int32]],
        type_ids: np.ndarray[Any, np.dtype[np.int32]] | None = None,
        index: int = 0,
    ) -> None:
        self.ids = ids
        self.type_ids = type_ids
        self.index = index


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
        self._has_type_ids = rules.token_types and add_special_tokens and any(backend.encode("a").type_ids)
        self.unknown = ids_without_row(backend, rules.table_rows)
        # A word that WordPiece finds too long is unknown as a whole: one that is cut must still be too long for it.
        longest_word = getattr(backend.model, "max_input_chars_per_word", 0)
        self._clip_to = max(rules.max_length * _CHARACTERS_PER_TOKEN, 2 * longest_word)
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
            if start:
                checkpoint()
            chunk = texts[start : start + _CHUNK]
            for index, encoding in enumerate(
                self.encodings(chunk, clip=truncate, first_index=first_index + start), first_index + start
            ):
                ids = encoding.ids
                if len(ids) >= self.rules.max_length and encoding.overflowing:
                    if not truncate:
                        text = chunk[index - first_index - start]
                        raise TextTooLongError(index, self._full_count(text), self.rules.max_length)
                    self._warn_truncated(index)
                if self.unknown:
                    self.check_rows(ids, index)
                type_ids = np.array(encoding.type_ids, dtype=np.int32) if self._has_type_ids else None
                try:
                    tokens.append(Tokens(np.array(ids, dtype=np.int32), type_ids, index))
                except OverflowError:
                    raise self.without_row(max(ids), index) from None
        return tokens

    def check_rows(self, ids: Iterable[int], index: int) -> None:
        """Refuse a text with a token that the model has no vector for."""
        if not self.unknown.isdisjoint(ids):
            raise self.without_row(next(number for number in ids if number in self.unknown), index)

    def without_row(self, number: int, index: int) -> InputError:
        """Say which text holds a token that the model has no vector for."""
        rows = "" if self.rules.table_rows is None else f" of {self.rules.table_rows} rows"
        return InputError(
            f"text {index} holds the token {self.backend.id_to_token(number)!r}, whose id {number} lies beyond the "
            f"model's table{rows}; take it out of the text"
        )

    def count(self, texts: Sequence[str]) -> int:
        """Count the tokens of texts, special tokens included, each cut to the limit.

        Args:
            texts: The texts, already checked.

        Returns:
            The sum.
        """
        return sum(len(encoding.ids) for encoding in self.encodings(texts, clip=True))

    def encodings(self, texts: Sequence[str], *, clip: bool, first_index: int | None = None) -> list[Any]:
        """Tokenise a few texts at once; what is beyond the limit is in ``overflowing``.

        Args:
            texts: The texts, already checked.
            clip: Whether texts far beyond the limit may be shortened first, so that their overflow is not whole.
            first_index: Position of the first one among all that the caller gave, where that is known.

        Returns:
            One ``tokenizers.Encoding`` each, without offsets.

        Raises:
            ModelError: If the tokenizer fails on a text.
        """
        try:
            if clip and max(map(len, texts), default=0) > 4 * self._clip_to:
                texts = [self._clip(text) for text in texts]
            if len(texts) == 1 or not forks.rust_threads_run():
                # One text needs no thread pool; not starting it also keeps a later fork silent.
                return [self.backend.encode(text, add_special_tokens=self._add_special_tokens) for text in texts]
            encodings: list[Any] = self.backend.encode_batch_fast(
                list(texts), add_special_tokens=self._add_special_tokens
            )
        except BaseException as error:
            if not is_foreign(error):
                raise
            raise self._failure(texts, first_index, error) from error
        return encodings

    def _failure(self, texts: Sequence[str], first_index: int | None, error: BaseException) -> ModelError:
        """Say on which text the tokenizer failed."""
        where = "a text"
        for offset, text in enumerate(texts if first_index is not None else ()):
            try:
                self.backend.encode(text, add_special_tokens=self._add_special_tokens)
            except BaseException as own:
                if not is_foreign(own):
                    raise
                where, error = f"text {cast('int', first_index) + offset}", own
                break
        return ModelError(f"the model's tokenizer fails on {where} ({describe(error)}); is its tokenizer.json damaged?")

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


def load_tokenizer(
    folder: Path,
    max_length: int | None,
    settings: TokenizerSettings | None = None,
    *,
    add_special_tokens: bool = True,
) -> TextTokenizer:
    """Load the tokenizer of a model that runs as a graph, or of a table of tokens.

    Args:
        folder: The model's folder.
        max_length: The caller's limit, or ``None`` for the model's own.
        settings: What the files beside ``tokenizer.json`` say, of a model that is described by them.
        add_special_tokens: Whether texts get the model's special tokens.

    Returns:
        The tokenizer, ready for threads.
    """
    backend = read_tokenizer(folder)
    with reading(folder / TOKENIZER_FILE):
        named = special_tokens(folder)
        if settings is not None:
            apply_settings(backend, folder, settings)
            named += stated_tokens(folder)
        _mark_special_tokens(backend, folder, named)
        if settings is not None:
            _check_added_tokens(backend, folder)
        rules = read_rules(
            folder, backend.padding or {}, backend.truncation or {}, backend.token_to_id, max_length, settings
        )
        return TextTokenizer(backend, rules, add_special_tokens=add_special_tokens)


def _mark_special_tokens(
    backend: tokenizers.Tokenizer, folder: Path, named: Sequence[tuple[str, dict[str, bool]]]
) -> None:
    """Make tokens special that the files name, each with its flags; none that the model's table has no row for."""
    import tokenizers

    rows, known = table_rows(FolderFiles(folder).json_object("config.json")), backend.get_vocab_size()
    added: list[tokenizers.AddedToken | str] = []
    for text, flags in named:
        if backend.token_to_id(text) is None:
            if rows is not None and known >= rows:
                logger.info("%s names the token %r, for which the model has no vector; it stays text", folder, text)
                continue
            known += 1
        added.append(tokenizers.AddedToken(text, **flags) if flags else text)
    if added:
        backend.add_special_tokens(added)


def _check_added_tokens(backend: tokenizers.Tokenizer, folder: Path) -> None:
    """Refuse an older list of added tokens that differs from ``tokenizer.json``: libraries add what it names."""
    for token, number in FolderFiles(folder).json_object(ADDED_TOKENS).items():
        known = backend.token_to_id(token)
        if known != number:
            raise UnsupportedModelError(
                f"{folder / ADDED_TOKENS}: the token {token!r} has the id {number!r}, in {TOKENIZER_FILE} "
                f"{'none' if known is None else known}; the two differ, save the tokenizer again"
            )


def ids_without_row(backend: tokenizers.Tokenizer, rows: int | None) -> frozenset[int]:
    """Give the ids of a tokenizer that lie beyond the model's table; none where its rows are not known."""
    if rows is None:
        return frozenset()
    whole = backend.get_vocab_size() > rows
    numbers = backend.get_vocab().values() if whole else backend.get_added_tokens_decoder()
    return frozenset(number for number in numbers if number >= rows)


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

    path = folder / TOKENIZER_FILE
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise ModelError(f"{folder} has no tokenizer.json; expected the model's fast tokenizer there") from None
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror or error})") from error
    try:
        with forks.whole():
            return tokenizers.Tokenizer.from_buffer(content)
    except BaseException as error:
        if not is_foreign(error):
            raise
        raise ModelError(f"{path} is not a tokenizer this version of tokenizers can read: {error}") from error
