"""Texts to the token ids of a late-interaction model: marker, expansion, and which vectors are kept."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from onnxembed.errors import ModelError
from onnxembed.late_interaction.spec import LateInteractionModel, SkipRule
from onnxembed.text.graph import PaddedTokens
from onnxembed.text.options import InputType
from onnxembed.text.tokenizer import TextTokenizer, Tokens
from onnxembed.text.tokenizer_rules import TokenizerRules

if TYPE_CHECKING:
    import tokenizers

Array = np.ndarray[Any, np.dtype[Any]]
_NONE = np.zeros(0, dtype=np.int32)
_IDS, _TYPE_IDS = attrgetter("ids"), attrgetter("type_ids")


@dataclass(frozen=True, slots=True)
class Marking:
    """What a model does to the ids of queries, or of documents.

    Attributes:
        marker: Id put after the first token, or ``None``.
        length: Length that short texts are filled to, or ``None``.
        filler: Id they are filled with.
        attend: Whether the filling takes part in attention.
        skipped: int32, sorted; ids whose vectors are left out.
        kept: int32, sorted; the only ids whose vectors are given; empty for all.
        skips_first: Whether the first token's vector is left out.
    """

    marker: int | None
    length: int | None
    filler: int
    attend: bool
    skipped: Array
    kept: Array = field(default_factory=lambda: _NONE)
    skips_first: bool = False

    def lengths(self, texts: Iterable[Tokens | tokenizers.Encoding]) -> list[int]:
        """Positions of each text, marker and filling included."""
        added, least = self.marker is not None, self.length or 0
        return [max(len(text.ids) + added, least) for text in texts]

    def pad(self, batch: Sequence[Tokens], rules: TokenizerRules, least: int) -> tuple[PaddedTokens, Array]:
        """Mark, fill and pad texts to one length of ``least`` or more, and say where a vector is kept (bool).

        All at once: texts are many and short, and NumPy's functions for one text take longer than all else here.
        """
        texts = list(map(_IDS, batch))
        marked = np.array(list(map(len, texts)))[:, None] + (self.marker is not None)
        filled = np.maximum(marked, self.length or 0)
        width = max(least, int(filled.max()))
        # Each position's place in its text, negative in padding on the left.
        place = np.arange(width) - ((width - filled) if rules.pad_left else 0)
        written = taken = (place >= 0) & (place < marked)
        kept = written if self.length is None else (place >= 0) & (place < filled)
        ids = np.full(written.shape, rules.pad_id, dtype=np.int64)
        if self.length is not None:
            ids[kept] = self.filler
        if self.marker is not None:
            at = place == np.minimum(1, marked - 1)  # the first place of a text without any token
            ids[at] = self.marker
            taken = written & ~at
        ids[taken] = np.concatenate(texts)
        type_ids = None
        if batch[0].type_ids is not None:  # as in all others: a tokenizer gives them or not
            type_ids = np.zeros_like(ids)
            type_ids[taken] = np.concatenate(list(map(_TYPE_IDS, batch)))
        mask = (kept if self.attend else written).astype(np.int64)
        if self.skipped.size:
            kept = kept & ~np.isin(ids, self.skipped)
        if self.skips_first:
            kept = kept & (place > 0)
        if self.kept.size:
            kept = kept & np.isin(ids, self.kept)
        return PaddedTokens(ids, mask, type_ids, batch), kept


@dataclass(frozen=True, slots=True)
class MarkingTokenizer:
    """The tokenizer of queries, or of documents; safe to use from many threads.

    Attributes:
        tokenizer: Cuts texts so that a marker has room.
        marking: What is done to the ids.
    """

    tokenizer: TextTokenizer
    marking: Marking

    @property
    def max_length(self) -> int:
        """Positions that a text may take, the marker included."""
        return self.tokenizer.rules.max_length + (self.marking.marker is not None)

    def count(self, texts: Sequence[str], *, extended: bool) -> int:
        """Sum up tokens, special ones included, each text cut to the limit; ``extended`` adds marker and filling."""
        if not extended:
            return self.tokenizer.count(texts)
        return sum(self.marking.lengths(self.tokenizer.encodings(texts, clip=True)))

    def kept_tokens(self, text: str) -> list[str]:
        """Name the token of each vector of a text; an id without a string is given in angle brackets."""
        tokens = self.tokenizer.encode([text], 0, truncate=True)
        padded, kept = self.marking.pad(tokens, self.tokenizer.rules, 1)
        return [self.tokenizer.backend.id_to_token(number) or f"<{number}>" for number in padded.ids[kept].tolist()]


def marking_tokenizer(
    configured: Sequence[TextTokenizer], model: LateInteractionModel, input_type: InputType, *, chosen: bool
) -> MarkingTokenizer:
    """Make the tokenizer of an input type.

    ``configured`` holds the model's tokenizer, with the limit of its files or of the caller, and others made of it that
    may be used again. When none has the right limit, a copy is configured: these may be at work by now. ``chosen`` says
    that the limit is the caller's or the metadata's, which count the marker, instead of the tokenizer's.
    """
    base = configured[0]
    marker = _token_id(base.backend, model.query_marker if input_type == "query" else model.document_marker, "marker")
    length = model.query_length if input_type == "query" else None
    marking = Marking(
        marker=marker,
        length=length,
        filler=0 if length is None else _token_id(base.backend, model.mask_token, "mask token") or 0,
        attend=model.attend_to_expansion,
        skipped=np.array(sorted(_skipped_ids(base, model, input_type)), dtype=np.int32),
        kept=_NONE if input_type == "query" else np.array(sorted(model.kept_tokens), dtype=np.int32),
        skips_first=model.skip_first_token,
    )
    rules = _limited(base.rules, model, input_type, marked=marker is not None, chosen=chosen)
    for tokenizer in configured:
        if tokenizer.rules == rules:
            return MarkingTokenizer(tokenizer, marking)
    import tokenizers

    copy = tokenizers.Tokenizer.from_str(base.backend.to_str())
    return MarkingTokenizer(TextTokenizer(copy, rules, add_special_tokens=True), marking)


def _limited(
    rules: TokenizerRules, model: LateInteractionModel, input_type: InputType, *, marked: bool, chosen: bool
) -> TokenizerRules:
    """Leave room for the marker, and cut queries to their own limit."""
    limit, source = rules.max_length, rules.max_length_source
    if marked and (chosen or model.marker_in_limit or source == "config.json"):
        limit, source = limit - 1, f"{source}, less one for the marker"
    own = model.query_limit if input_type == "query" else _shorter_documents(model)
    if own is not None and own - marked < limit:
        limit, source = own - marked, f"the model's own length of {'queries' if input_type == 'query' else 'documents'}"
    return rules if limit == rules.max_length else replace(rules, max_length=limit, max_length_source=source)


def _shorter_documents(model: LateInteractionModel) -> int | None:
    """The limit of documents where queries may be longer: the configured tokenizer has the longer limit then."""
    if model.document_limit is None or model.query_limit is None or model.query_limit <= model.document_limit:
        return None
    return model.document_limit


def _token_id(backend: tokenizers.Tokenizer, token: int | str | None, what: str) -> int | None:
    if token is None or isinstance(token, int):
        return token
    number = backend.token_to_id(token)
    if number is None:
        raise ModelError(f"the tokenizer does not know the {what} {token!r}; expected it among its added tokens")
    return int(number)


def _skipped_ids(base: TextTokenizer, model: LateInteractionModel, input_type: InputType) -> set[int]:
    """Ids whose vectors are left out; in queries only special tokens and words, where that is asked for."""
    backend = base.backend
    skipped: set[int] = set()
    if model.skip_special_tokens:
        skipped.update(backend.encode("").ids)
    if input_type == "document" and model.drop_padding_token:
        skipped.add(base.rules.pad_id)
    if not (model.skip_in_queries if input_type == "query" else model.skip_in_documents):
        return skipped
    if model.skip_rule is SkipRule.VOCABULARY:
        skipped.update(number for word in model.skip_words if (number := backend.token_to_id(word)) is not None)
    elif model.skip_rule is SkipRule.FIRST_PIECE:
        pieces = (backend.encode(word, add_special_tokens=False).ids for word in model.skip_words)
        skipped.update(ids[0] for ids in pieces if ids)
    return skipped
