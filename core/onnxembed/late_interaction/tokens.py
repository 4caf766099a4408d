"""Texts to the token ids of one side of a late-interaction model: marker, expansion, and which vectors are given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from onnxembed.errors import ModelError
from onnxembed.late_interaction.spec import LateInteractionModel, SkipRule
from onnxembed.text.call import Side
from onnxembed.text.tokenizer import TextTokenizer, Tokens
from onnxembed.text.tokenizer_rules import TokenizerRules

if TYPE_CHECKING:
    import tokenizers

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class MarkedTokens:
    """One text as a late-interaction model reads it.

    Attributes:
        tokens: Its tokens, with marker and expansion.
        attended: How many of them, from the first, take part in attention.
        kept: bool (tokens,); those whose vectors are given.
    """

    tokens: Tokens
    attended: int
    kept: Array


@dataclass(frozen=True, slots=True)
class Marking:
    """What one side of a model does to the ids of a text.

    Attributes:
        marker: Id put after the first token, or ``None``.
        length: Length that short texts are filled to, or ``None``.
        filler: Id they are filled with.
        attend: Whether the filling takes part in attention.
        skipped: int32, sorted; ids whose vectors are left out.
    """

    marker: int | None
    length: int | None
    filler: int
    attend: bool
    skipped: Array

    def apply(self, tokens: Tokens) -> MarkedTokens:
        """Mark and fill a text.

        Args:
            tokens: Its tokens; a marker has room within the limit.

        Returns:
            The text as the model reads it.
        """
        marked = tokens if self.marker is None else Tokens(*_inserted(tokens, self.marker))
        count = len(marked.ids)
        missing = 0 if self.length is None else self.length - count
        if missing > 0:
            marked = Tokens(*_filled(marked, self.filler, missing))
        attended = len(marked.ids) if self.attend else count
        return MarkedTokens(marked, attended, ~np.isin(marked.ids, self.skipped))


class SideTokenizer:
    """The tokenizer of one side; safe to use from many threads."""

    def __init__(self, tokenizer: TextTokenizer, marking: Marking) -> None:
        """Combine a tokenizer with what becomes of its ids.

        Args:
            tokenizer: Cuts texts so that a marker has room.
            marking: What is done to the ids.
        """
        self.tokenizer = tokenizer
        self.marking = marking

    @property
    def max_length(self) -> int:
        """Positions that a text may take, the marker included."""
        return self.tokenizer.rules.max_length + (self.marking.marker is not None)

    def encode(self, texts: Sequence[str], first_index: int, *, truncate: bool) -> list[MarkedTokens]:
        """Tokenise texts; one that is too long is refused as a `TextTooLongError` where it may not be cut.

        Args:
            texts: The texts, already checked.
            first_index: Position of the first one among all that the caller gave, for messages.
            truncate: Whether longer texts are cut or refused.

        Returns:
            Each text as the model reads it.
        """
        return [self.marking.apply(tokens) for tokens in self.tokenizer.encode(texts, first_index, truncate=truncate)]

    def count(self, texts: Sequence[str], *, extended: bool) -> int:
        """Count tokens, special tokens included, each text cut to the limit.

        Args:
            texts: The texts, already checked.
            extended: Whether marker and expansion count.

        Returns:
            The sum.
        """
        if not extended:
            return self.tokenizer.count(texts)
        marker = self.marking.marker is not None
        # One text a call: the tokenizer tells sums alone, and the filling depends on each text.
        return sum(max(self.tokenizer.count([text]) + marker, self.marking.length or 0) for text in texts)

    def rows(self, text: str) -> list[str]:
        """Tell the tokens whose vectors are given.

        Args:
            text: The text, already checked.

        Returns:
            One string a vector; an id without a string is told in angle brackets.
        """
        (marked,) = self.encode([text], 0, truncate=True)
        ids = [int(number) for number in marked.tokens.ids[marked.kept]]
        return [self.tokenizer.backend.id_to_token(number) or f"<{number}>" for number in ids]


def side_tokenizer(
    configured: Sequence[TextTokenizer], model: LateInteractionModel, side: Side, *, chosen: bool
) -> SideTokenizer:
    """Make the tokenizer of a side.

    Args:
        configured: The model's tokenizer, with the limit of its files or of the caller; and others made of it for
            this, to be used again.
        model: The model.
        side: Which side.
        chosen: Whether the limit is the caller's or the metadata's, which count the marker, instead of the tokenizer's.

    Returns:
        The tokenizer, configured on a copy when none has the right limit: others may be at work with these by now.
    """
    base = configured[0]
    marker = _token_id(base.backend, model.query_marker if side == "query" else model.document_marker, "marker")
    length = model.query_length if side == "query" else None
    marking = Marking(
        marker=marker,
        length=length,
        filler=0 if length is None else _token_id(base.backend, model.mask_token, "mask token") or 0,
        attend=model.attend_to_expansion,
        skipped=np.array(sorted(_skipped_ids(base, model, side)), dtype=np.int32),
    )
    rules = _limited(base.rules, model, side, marked=marker is not None, chosen=chosen)
    for tokenizer in configured:
        if tokenizer.rules == rules:
            return SideTokenizer(tokenizer, marking)
    import tokenizers

    copy = tokenizers.Tokenizer.from_str(base.backend.to_str())
    return SideTokenizer(TextTokenizer(copy, rules, add_special_tokens=True), marking)


def _limited(
    rules: TokenizerRules, model: LateInteractionModel, side: Side, *, marked: bool, chosen: bool
) -> TokenizerRules:
    """Leave room for the marker, and cut queries to their own limit."""
    limit, source = rules.max_length, rules.max_length_source
    if marked and (chosen or model.marker_in_limit or source == "config.json"):
        limit, source = limit - 1, f"{source}, less one for the marker"
    if side == "query" and model.query_limit is not None and model.query_limit - marked < limit:
        limit, source = model.query_limit - marked, "the model's own length of queries"
    return rules if limit == rules.max_length else replace(rules, max_length=limit, max_length_source=source)


def _token_id(backend: tokenizers.Tokenizer, token: int | str | None, what: str) -> int | None:
    if token is None or isinstance(token, int):
        return token
    number = backend.token_to_id(token)
    if number is None:
        raise ModelError(f"the tokenizer does not know the {what} {token!r}; expected it among its added tokens")
    return int(number)


def _skipped_ids(base: TextTokenizer, model: LateInteractionModel, side: Side) -> set[int]:
    """Ids whose vectors are not given; queries keep all but, if asked for, the special tokens."""
    backend = base.backend
    skipped: set[int] = set()
    if model.skip_special_tokens:
        skipped.update(backend.encode("").ids)
    if side == "query":
        return skipped
    if model.drop_padding_token:
        skipped.add(base.rules.pad_id)
    if model.skip_rule is SkipRule.VOCABULARY:
        skipped.update(number for word in model.skip_words if (number := backend.token_to_id(word)) is not None)
    elif model.skip_rule is SkipRule.FIRST_PIECE:
        pieces = (backend.encode(word, add_special_tokens=False).ids for word in model.skip_words)
        skipped.update(ids[0] for ids in pieces if ids)
    return skipped


def _inserted(tokens: Tokens, marker: int) -> tuple[Array, Array | None]:
    """Put the marker after the first token, with type 0 as all single texts have it."""
    place = min(1, len(tokens.ids))
    types = None if tokens.type_ids is None else np.insert(tokens.type_ids, place, 0)
    return np.insert(tokens.ids, place, marker), types


def _filled(tokens: Tokens, filler: int, count: int) -> tuple[Array, Array | None]:
    types = None if tokens.type_ids is None else np.pad(tokens.type_ids, (0, count))
    return np.pad(tokens.ids, (0, count), constant_values=filler), types
