"""From texts to words, in two ways: one compatible with fastembed, one right for every script.

A window of texts is cut in two steps. `join` separates all texts at ASCII spaces and punctuation, which costs some
nanoseconds per word. Chunks of other characters are split once for each different chunk (`onnxembed.sparse.terms`), so
that may cost more.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from onnxembed.sparse.scripts import Segmenter, separate_runs

# Separates texts; a control character, so no word holds it.
END = b"\x01"
_END_CHARACTER = END.decode()
_BETWEEN = f" {_END_CHARACTER} "

# Pairs of letters that a language tells apart otherwise than Unicode's case folding does. Turkic languages have a
# dotted and a dotless i. Romanian stemmers and stop words are written with the older cedilla letters.
_TURKIC = (("I\u0307", "i"), ("İ", "i"), ("I", "ı"))
_ROMANIAN = (("ș", "ş"), ("ț", "ţ"), ("Ș", "Ş"), ("Ț", "Ţ"))
_LETTERS_OF_LANGUAGE: Mapping[str, tuple[tuple[str, str], ...]] = {
    "turkish": _TURKIC,
    "azerbaijani": _TURKIC,
    "az": _TURKIC,
    "romanian": _ROMANIAN,
}

# Forms of width and position, which only old encodings and PDF files have: Arabic, full and half width.
_FORMS = re.compile("[\ufb50-\ufdff\ufe70-\ufefc\uff01-\uffee]+")
# Vowel points and tatweel of Arabic, points of Hebrew: texts write them or leave them out. Variation selectors.
_OPTIONAL = re.compile(
    "[\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u0640\u064b-\u0652\u0656-\u065f\u0670"
    "\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed\ufe00-\ufe0f\U000e0100-\U000e01ef]"
)
_ZERO_WIDTH_SPACE = "\u200b"


class Words(Protocol):
    """A way to find the words of texts."""

    @property
    def chunk_bytes(self) -> bytes:
        """A table for ``bytes.translate`` that UTF-8 goes through before chunks are cut."""

    @property
    def ascii_is_one_word(self) -> bool:
        """Whether a chunk of ASCII is one word as it stands, so that `split` need not be called."""

    def split(self, chunk: str) -> list[str]:
        """Split a chunk into words."""

    def trim(self, word: str) -> str:
        """Keep what counts of a word, empty when nothing does."""

    def fold(self, word: str) -> str:
        """Give the form in which a word of a list, such as a stop word, occurs among the words of texts."""


def join(texts: Sequence[str], words: Words) -> bytes:
    """Separate texts at ASCII spaces and punctuation.

    Gives the chunks of all texts in UTF-8 with spaces between them, and `END`, a chunk of its own, between one text and
    the next.
    """
    joined = _BETWEEN.join(texts)
    if joined.count(_END_CHARACTER) != max(0, len(texts) - 1):
        joined = _BETWEEN.join([text.replace(_END_CHARACTER, " ") for text in texts])
    return joined.encode().translate(words.chunk_bytes)


def _chunk_bytes(kept: str) -> bytes:
    """Make a table for ``bytes.translate``: lower case, but for the letters kept, and spaces for what separates."""
    table = bytearray(range(256))
    for code in range(128):
        character = chr(code)
        if character not in (_END_CHARACTER, *kept):
            table[code] = ord(character.lower() if _is_word(character) else " ")
    return bytes(table)


class CompatibleWords:
    """The words that fastembed 0.9.1 finds: runs of alphanumeric characters and underscores, in lower case.

    Combining marks end a word, which takes words of many scripts apart.
    """

    def __init__(self) -> None:
        self.ascii_is_one_word = True
        self.chunk_bytes = _chunk_bytes(kept="")
        self._characters = _Characters(lambda character: character if _is_word(character) else " ")

    def split(self, chunk: str) -> list[str]:
        """Split a chunk into words."""
        if chunk.isascii():
            return [chunk]
        # Twice: the lower case of sigma depends on what stands around it, and that of the dotted I holds a mark.
        return chunk.translate(self._characters).lower().translate(self._characters).split()

    def trim(self, word: str) -> str:
        """Drop a lone underscore, which is punctuation."""
        return "" if word == "_" else word

    def fold(self, word: str) -> str:
        """Give the lower case."""
        return word.lower()


class UnicodeWords:
    """The words that a reader sees.

    Combining marks belong to the word. Case is folded (Unicode's full case folding, so that ``STRASSE``, ``Straße`` and
    ``strasse`` are one word, with the stem that the lower case ``straße`` has), with the letters of Turkish kept apart.
    Texts are in normal form C; vowel points of Arabic and Hebrew, tatweel and invisible joiners are left out. The
    segmenter cuts scripts without spaces into words; without one they are cut into pairs of characters. Apostrophes
    part words, since the stop word lists hold both halves; underscores hold words together and are trimmed at edges.
    """

    def __init__(self, language: str, segmenter: Segmenter | None = None) -> None:
        self._letters = _LETTERS_OF_LANGUAGE.get(language, ())
        self.ascii_is_one_word = not self._letters
        self._segmenter = segmenter
        self._characters = _Characters(_readable)
        self.chunk_bytes = _chunk_bytes(kept="I" if self._letters is _TURKIC else "")

    def split(self, chunk: str) -> list[str]:
        """Split a chunk into words."""
        if chunk.isascii() and self.ascii_is_one_word:
            return [chunk]
        return separate_runs(self._readable(chunk), self._segmenter).split()

    def trim(self, word: str) -> str:
        """Cut off underscores at the edges, and marks that have no letter."""
        if word.isalnum():
            return word
        trimmed = word.strip("_")
        start = next((place for place, character in enumerate(trimmed) if character.isalnum()), len(trimmed))
        return trimmed[start:]

    def fold(self, word: str) -> str:
        """Fold a word as those of texts are folded."""
        return self.trim(self._readable(word).strip())

    def _readable(self, text: str) -> str:
        """Fold words and separate them by spaces."""
        for old, new in self._letters:
            text = text.replace(old, new)
        text = _FORMS.sub(lambda forms: unicodedata.normalize("NFKC", forms[0]), text)
        text = unicodedata.normalize("NFC", text.casefold()).replace("i\u0307", "i")
        return text.translate(self._characters)


class _Characters(dict[int, str]):
    """A table for ``str.translate`` that is filled as characters are met."""

    def __init__(self, rule: Callable[[str], str]) -> None:
        super().__init__()
        self._rule = rule

    def __missing__(self, code: int) -> str:
        target = self[code] = self._rule(chr(code))
        return target


def _is_word(character: str) -> bool:
    """Whether a character is a word character of regular expressions."""
    return character.isalnum() or character == "_"


def _readable(character: str) -> str:
    """Choose what stands for a character among the words that a reader sees."""
    if _OPTIONAL.match(character):
        return ""
    category = unicodedata.category(character)
    if category == "Me" or (category == "Cf" and character != _ZERO_WIDTH_SPACE):
        return ""  # enclosing marks are decoration; format characters, such as joiners and soft hyphens, are invisible
    return character if category[0] == "M" or _is_word(character) else " "
