"""The options of a BM25 model, with the tools that they choose."""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

from onnxembed.errors import InputError, InputTypeError
from onnxembed.hub.settings import StoreSettings
from onnxembed.sparse.languages import stop_words
from onnxembed.sparse.options import SparseOptions
from onnxembed.sparse.spec import SparseModel
from onnxembed.sparse.statistics import check_same_settings
from onnxembed.sparse.terms import Stemmer, Terms
from onnxembed.sparse.words import CompatibleWords, UnicodeWords, Words


@dataclass(frozen=True, slots=True)
class Bm25Settings:
    """The settings of `onnxembed.sparse.bm25.Bm25`.

    Attributes:
        options: The options, settled.
        stop_words_folder: A folder with files ``<language>.txt``, one word per line; they win over the package's.
    """

    options: SparseOptions
    stop_words_folder: Path | None = None

    def __post_init__(self) -> None:
        if self.stop_words_folder is not None:
            object.__setattr__(self, "stop_words_folder", _folder(self.stop_words_folder))
        statistics = self.options.statistics
        if statistics is not None:
            check_same_settings(self.identity(), statistics.made_with)
            if not statistics.token_count:
                raise InputError("the statistics are of a collection without a single word; measure others with fit()")

    def changed(self, **options: Any) -> Bm25Settings:
        """The same settings with other values of some options."""
        return replace(self, options=replace(self.options, **options))

    @property
    def avg_len(self) -> float:
        """Mean length of a document: the one chosen, else the one measured."""
        options = self.options
        if options.avg_len is None and options.statistics is not None:
            return options.statistics.avg_len
        return cast("float", options.avg_len)

    def words(self) -> Words:
        """Choose the way to find words; a new object, for this process."""
        options = self.options
        return CompatibleWords() if options.compatible else UnicodeWords(self._language, options.segmenter)

    def terms(self, words: Words) -> Terms:
        """Begin to number terms: a new table, for this process."""
        return Terms(
            words,
            self._stemmer(),
            frozenset(words.fold(word) for word in self.stop_words()),
            cast("int", self.options.token_max_length),
            track_collisions=bool(self.options.compatible),
        )

    def identity(self) -> str:
        """Say in one line what decides which terms a text has.

        The caller's stemmers and segmenters differ by their names only.
        """
        options = self.options
        stemmer = "none" if options.disable_stemmer else "snowball"
        if options.stemmer is not None:
            stemmer = _name(options.stemmer)
        listed = "\n".join(sorted(self.stop_words()))
        return (
            f"language={options.language} compatible={options.compatible} stemmer={stemmer} "
            f"segmenter={'pairs' if options.segmenter is None else _name(options.segmenter)} "
            f"token_max_length={options.token_max_length} stopwords={sha256(listed.encode()).hexdigest()[:12]}"
        )

    @property
    def fingerprint(self) -> str:
        """32 hexadecimal digits, made of the stop words and of all options that count."""
        options, statistics = self.options, self.options.statistics
        relevant = (self.identity(), options.k, options.b, self.avg_len, options.idf_in_query)
        digest = sha256(f"BM25\0{relevant!r}".encode())
        if options.idf_in_query and statistics is not None:
            digest.update(f"{statistics.document_count}\0".encode())
            digest.update(statistics.ids.tobytes() + statistics.document_frequencies.tobytes())
        return digest.hexdigest()[:32]

    @property
    def _language(self) -> str:
        return cast("str", self.options.language)

    def stop_words(self) -> frozenset[str]:
        """The words to drop, as they are listed."""
        options = self.options
        if options.stopwords is not None:
            return frozenset(options.stopwords)
        return frozenset() if options.disable_stemmer else stop_words(self._language, self.stop_words_folder)

    def _stemmer(self) -> Stemmer | None:
        """What cuts endings off."""
        options = self.options
        if options.stemmer is not None or options.disable_stemmer:
            return options.stemmer
        from py_rust_stemmers import SnowballStemmer

        stemmer: Stemmer = SnowballStemmer(self._language)
        return stemmer


def find_stop_words(model: SparseModel, store: StoreSettings) -> Path | None:
    """Find a folder of stop words: the caller's, else a copy of the model's repository that is there already."""
    if store.specific_model_path is not None:
        return Path(store.specific_model_path)
    from onnxembed.hub.cache import repository_place

    for source in model.sources:
        if source.hf is not None:
            place = repository_place(source.hf, store)
            commit = place.commit_of(store.effective_revision)
            if commit is not None and place.snapshot(commit).is_dir():
                return place.snapshot(commit)
    return None


def _folder(folder: object) -> Path:
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
