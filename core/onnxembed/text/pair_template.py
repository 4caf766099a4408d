"""How a tokenizer joins two texts, read off its results, and how it cuts them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from onnxembed.text.tokenizer import Tokens
from onnxembed.text.tokenizer_rules import TokenizerRules

if TYPE_CHECKING:
    import tokenizers

_Ids = np.ndarray[Any, np.dtype[np.int32]]

# Shown to the tokenizer: at least one pair needs tokens in both texts, whatever the vocabulary.
_PROBES = ("a", "1", ".", "the world", "東京", "")
# A pair beyond the limit is only shown where the limit is small; for 8192 tokens it would take 20 ms.
_LONGEST_PROBE = 1024


@dataclass(frozen=True, slots=True)
class PairTemplate:
    """Special tokens around two texts.

    Attributes:
        before: Those before the first text.
        between: Those between the two.
        after: Those after the second text.
        first_type: Type of the first text's tokens.
        second_type: Type of the second text's tokens.
    """

    before: Tokens
    between: Tokens
    after: Tokens
    first_type: int
    second_type: int

    def without_types(self) -> PairTemplate:
        """Give the same with type 0 throughout."""
        before, between, after = (Tokens(part.ids) for part in (self.before, self.between, self.after))
        return PairTemplate(before, between, after, 0, 0)

    def join(self, first: _Ids, second: _Ids, index: int = 0) -> Tokens:
        """Join the int32 (tokens,) ids of two texts, both without special tokens; ``index`` is the pair's position."""
        ids = np.concatenate((self.before.ids, first, self.between.ids, second, self.after.ids))
        fixed = (self.before.type_ids, self.between.type_ids, self.after.type_ids)
        if not (self.first_type or self.second_type or any(types is not None for types in fixed)):
            return Tokens(ids, None, index)
        types = np.zeros_like(ids)
        place = 0
        for part, part_types in (
            (self.before.ids, fixed[0]),
            (first, self.first_type),
            (self.between.ids, fixed[1]),
            (second, self.second_type),
            (self.after.ids, fixed[2]),
        ):
            if part_types is not None:
                types[place : place + len(part)] = part_types
            place += len(part)
        return Tokens(ids, types, index)


def cut_lengths(first: int, second: int, room: int) -> tuple[int, int]:
    """Say how many tokens of each text are kept, by the strategy that tokenizers call "longest first".

    The longer text is cut down to what the shorter one leaves; where the shorter one takes more than half of ``room``,
    both are cut to half of it, and the longer one gets the odd token.
    """
    if first + second <= room:
        return first, second
    shorter = min(first, second, room // 2)
    longer = room - shorter
    return (shorter, longer) if first <= second else (longer, shorter)


def read_template(backend: tokenizers.Tokenizer, rules: TokenizerRules) -> PairTemplate | None:
    """Find out how a tokenizer joins two texts; ``None`` where a template would not give the tokenizer's result.

    The tokenizer is set to cut pairs by the rules and not to pad.
    """
    for probe in _PROBES:
        template = _read(backend.encode(probe, probe))
        if template is not None:
            return template if _agrees(template, backend, rules) else None
    return None


def _read(encoding: tokenizers.Encoding) -> PairTemplate | None:
    """Read special tokens and types off one pair, ``None`` if it is cut or lacks tokens in one of the texts."""
    places = encoding.sequence_ids
    if encoding.overflowing or not {0, 1} <= set(places):
        return None
    begin, end = places.index(0), len(places) - places[::-1].index(0)
    second_begin, second_end = places.index(1), len(places) - places[::-1].index(1)
    ids, types = encoding.ids, encoding.type_ids

    def special(start: int, stop: int) -> Tokens:
        fixed = np.array(types[start:stop], dtype=np.int32)
        return Tokens(np.array(ids[start:stop], dtype=np.int32), fixed if fixed.any() else None)

    return PairTemplate(
        before=special(0, begin),
        between=special(end, second_begin),
        after=special(second_end, len(ids)),
        first_type=types[begin],
        second_type=types[second_begin],
    )


def _agrees(template: PairTemplate, backend: tokenizers.Tokenizer, rules: TokenizerRules) -> bool:
    """Whether the template gives the tokenizer's result for short pairs, empty texts, and pairs that have to be cut."""
    probes = [(first, second) for first in _PROBES for second in _PROBES]
    if rules.max_length <= _LONGEST_PROBE:
        long = "a b c d e " * (rules.max_length // 4 + 1)
        probes += [("the world", long), (long, "the world"), (long, long + long)]
    room = rules.max_length - backend.num_special_tokens_to_add(True)
    return all(_same(template, backend, first, second, room, left=rules.truncate_left) for first, second in probes)


def _same(
    template: PairTemplate, backend: tokenizers.Tokenizer, first: str, second: str, room: int, *, left: bool
) -> bool:
    one, other = (
        np.array(backend.encode(text, add_special_tokens=False).ids, dtype=np.int32) for text in (first, second)
    )
    kept = cut_lengths(len(one), len(other), room)
    one, other = (ids[len(ids) - keep :] if left else ids[:keep] for ids, keep in zip((one, other), kept, strict=True))
    joined = template.join(one, other)
    whole = backend.encode(first, second)
    types = np.zeros_like(joined.ids) if joined.type_ids is None else joined.type_ids
    return bool(joined.ids.tolist() == whole.ids and types.tolist() == whole.type_ids)
