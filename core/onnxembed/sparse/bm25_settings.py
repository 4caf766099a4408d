"""What a BM25 model is told, checked."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from onnxembed.api.inputs import check_count, check_flag, check_number
from onnxembed.errors import InputError, InputTypeError
from onnxembed.sparse.languages import language_name, stop_words
from onnxembed.sparse.scripts import Segmenter
from onnxembed.sparse.statistics import Bm25Statistics, check_same_settings
from onnxembed.sparse.terms import Stemmer, Terms
from onnxembed.sparse.words import CompatibleWords, UnicodeWords, Words

GUESSED_AVG_LEN = 256.0  # the default of fastembed and of Qdrant


@dataclass(frozen=True, slots=True)
class Bm25Settings:
    """The settings of `onnxembed.sparse.bm25.Bm25`, which says what each one means.

    Constructing one checks it: the language becomes its name, stop words a frozen set, the folder a path.
    """

    language: str = "english"
    k: float = 1.2
    b: float = 0.75
    avg_len: float | None = None
    token_max_length: int = 40
    disable_stemmer: bool = False
    stemmer: Stemmer | None = None
    stopwords: frozenset[str] | None = None
    compatible: bool = False
    segmenter: Segmenter | None = None
    statistics: Bm25Statistics | None = None
    idf_in_query: bool = False
    stop_words_folder: Path | None = None

    def __post_init__(self) -> None:
        check_number(self.k, "k", 0.0, math.inf)
        check_number(self.b, "b", 0.0, 1.0)
        if self.avg_len is not None and not check_number(self.avg_len, "avg_len", 0.0, math.inf):
            raise InputError(f"avg_len={self.avg_len}: expected a number above 0")
        for flag in ("disable_stemmer", "compatible", "idf_in_query"):
            check_flag(getattr(self, flag), flag)
        check_count(self.token_max_length, "token_max_length", 1)
        _check_tools(self)
        stemmed = self.stemmer is None and not self.disable_stemmer
        object.__setattr__(self, "language", language_name(self.language, stemmed=stemmed))
        if self.stopwords is not None:
            object.__setattr__(self, "stopwords", _word_set(self.stopwords))
        if self.stop_words_folder is not None:
            object.__setattr__(self, "stop_words_folder", _folder(self.stop_words_folder))
        _check_statistics(self)

    def mean_length(self) -> float:
        """Choose the mean length of a document.

        Returns:
            The one given, else the one measured, else the usual guess.
        """
        if self.avg_len is not None:
            return float(self.avg_len)
        return GUESSED_AVG_LEN if self.statistics is None else self.statistics.avg_len

    def words(self) -> Words:
        """Choose the way to find words.

        Returns:
            A new object, for this process.
        """
        return CompatibleWords() if self.compatible else UnicodeWords(self.language, self.segmenter)

    def terms(self, words: Words) -> Terms:
        """Begin to number terms.

        Args:
            words: The way to find words.

        Returns:
            A new table, for this process.
        """
        return Terms(
            words,
            self._stemmer(),
            frozenset(words.fold(word) for word in self._stop_words()),
            self.token_max_length,
            track_collisions=self.compatible,
        )

    def identity(self) -> str:
        """Say what decides which terms a text has.

        Returns:
            One line. Stemmers and segmenters of the caller are told apart by their names only.
        """
        stemmer = "none" if self.disable_stemmer else "snowball" if self.stemmer is None else _name(self.stemmer)
        listed = "\n".join(sorted(self._stop_words()))
        return (
            f"language={self.language} compatible={self.compatible} stemmer={stemmer} "
            f"segmenter={'pairs' if self.segmenter is None else _name(self.segmenter)} "
            f"token_max_length={self.token_max_length} stopwords={sha256(listed.encode()).hexdigest()[:12]}"
        )

    def _stop_words(self) -> frozenset[str]:
        """The words to drop, as they are listed."""
        if self.stopwords is not None:
            return self.stopwords
        return frozenset() if self.disable_stemmer else stop_words(self.language, self.stop_words_folder)

    def _stemmer(self) -> Stemmer | None:
        """What cuts endings off."""
        if self.stemmer is not None or self.disable_stemmer:
            return self.stemmer
        from py_rust_stemmers import SnowballStemmer

        stemmer: Stemmer = SnowballStemmer(self.language)
        return stemmer


def _check_tools(settings: Bm25Settings) -> None:
    """Refuse stemmers and segmenters that cannot work."""
    if settings.stemmer is not None:
        if settings.disable_stemmer:
            raise InputError("stemmer= and disable_stemmer=True contradict each other; leave one out")
        if not callable(getattr(settings.stemmer, "stem_word", None)):
            raise InputTypeError(f"stemmer={settings.stemmer!r} has no method stem_word(word) -> str")
    if settings.segmenter is not None:
        if settings.compatible:
            raise InputError("compatible=True gives fastembed's words, which know no segmenter; leave one out")
        if not callable(settings.segmenter):
            raise InputTypeError(f"segmenter={settings.segmenter!r}: expected a function from a text to its words")


def _check_statistics(settings: Bm25Settings) -> None:
    """Refuse statistics that do not belong to the settings."""
    statistics = settings.statistics
    if statistics is None:
        if settings.idf_in_query:
            raise InputError("idf_in_query=True needs statistics=; measure them with Bm25.fit(texts)")
        return
    if not isinstance(statistics, Bm25Statistics):
        raise InputTypeError(f"statistics={statistics!r}: expected Bm25Statistics, such as Bm25Statistics.load(path)")
    check_same_settings(settings.identity(), statistics.made_with)
    if not statistics.token_count:
        raise InputError("the statistics are of a collection without a single word; measure others with Bm25.fit()")


def _word_set(words: object) -> frozenset[str]:
    """A caller's own stop words."""
    if isinstance(words, str) or not isinstance(words, Iterable):
        raise InputTypeError(f"stopwords={words!r}: expected a collection of words")
    listed = list(words)
    for word in listed:
        if not isinstance(word, str):
            raise InputTypeError(f"stopwords holds {word!r}; expected strings")
    return frozenset(listed)


def _folder(folder: object) -> Path:
    """A folder that is there."""
    if not isinstance(folder, str | Path):
        raise InputTypeError(f"stop_words_folder={folder!r}: expected a path")
    path = Path(folder)
    if not path.is_dir():
        raise InputError(f"stop_words_folder={str(folder)!r} is no folder; expected one with files <language>.txt")
    return path


def _name(tool: Any) -> str:
    """The qualified name of a function, or of an object's class."""
    named = tool if hasattr(tool, "__qualname__") else type(tool)
    return f"{named.__module__}.{named.__qualname__}"
