"""BM25, with fastembed's words and numbers."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, Protocol, SupportsIndex, runtime_checkable

import numpy as np

from fastembed.sparse.sparse_embedding_base import SparseEmbedding, SparseTextEmbeddingBase
from onnxembed import SparseKind, SparseTextEmbedding
from onnxembed.adapters.inside import stop_words_of
from onnxembed.errors import InputError

supported_languages = (
    *("arabic", "danish", "dutch", "english", "finnish", "french", "german", "greek", "hungarian", "italian"),
    *("norwegian", "portuguese", "romanian", "russian", "spanish", "swedish", "tamil", "turkish"),
)
_OF_GRAPHS = ("threads", "providers", "cuda", "device_ids", "device_id", "lazy_load", "max_length")


@runtime_checkable
class Stemmer(Protocol):
    """Cuts endings off."""

    def stem_word(self, word: str) -> str:
        """Give the stem of a word in lower case; an empty one drops the word."""
        ...


class Bm25(SparseTextEmbeddingBase):
    """BM25. The stop words come with the package, so that nothing is downloaded.

    Values of documents are those of fastembed to the last digit, its faults included; only the order of the entries
    differs: indices ascend.
    """

    kind = SparseKind.BM25
    own_keywords = (*("k", "b", "avg_len", "language", "token_max_length", "disable_stemmer", "stemmer", "stopwords"),)
    fixed_options = {"compatible": True}  # noqa: RUF012  # never changed
    query_types = (np.int64, np.int64)

    def __init__(
        self,
        model_name: str = "Qdrant/bm25",
        cache_dir: str | os.PathLike[str] | None = None,
        k: float = 1.2,
        b: float = 0.75,
        avg_len: float = 256.0,
        language: str = "english",
        token_max_length: SupportsIndex = 40,
        disable_stemmer: bool = False,
        specific_model_path: str | os.PathLike[str] | None = None,
        stemmer: Stemmer | None = None,
        stopwords: Iterable[str] | None = None,
        **kwargs: Any,
    ) -> None:
        """Make a BM25 model.

        Args:
            model_name: ``"Qdrant/bm25"``.
            cache_dir: Where a copy of the model's repository may lie, whose stop words win over those of the package.
            k: How long repetition of a word keeps counting.
            b: How much the length of a document counts, 0 to 1.
            avg_len: Mean length of a document, in words that count.
            language: One of ``supported_languages``, or any where no stemmer of ours is used.
            token_max_length: Longer words are dropped, in characters.
            disable_stemmer: Keep words whole; without ``stopwords``, none are dropped then.
            specific_model_path: A folder with ``<language>.txt`` files of stop words.
            stemmer: An object with ``stem_word(word) -> str`` instead of Snowball's stemmer.
            stopwords: Words to drop instead of the language's list; an empty collection drops none.
            **kwargs: ``local_files_only``; others are passed over.

        Raises:
            ValueError: If the language has no stemmer and one is needed, or a stemmer was both given and switched off.
        """
        if stemmer is not None and disable_stemmer:
            raise InputError("stemmer cannot be supplied with disable_stemmer=True; leave one out")
        if stemmer is None and not disable_stemmer and language not in supported_languages:
            raise InputError(
                f"{language} language is not supported; there are {', '.join(supported_languages)}. For others pass "
                "stemmer= or disable_stemmer=True"
            )
        own: dict[str, Any] = {
            "k": k,
            "b": b,
            "avg_len": avg_len,
            "language": language,
            "token_max_length": token_max_length,
            "disable_stemmer": disable_stemmer,
            "stemmer": stemmer,
            "stopwords": None if stopwords is None else frozenset(word.lower() for word in stopwords),
        }
        # A model that counts words runs on the processor, whatever the arguments of other models say.
        further = {name: value for name, value in kwargs.items() if name not in _OF_GRAPHS}
        super().__init__(model_name, cache_dir, specific_model_path=specific_model_path, **further, **own)
        self.k, self.b, self.avg_len = k, b, avg_len
        self.language = language
        self.disable_stemmer = disable_stemmer
        self.token_max_length = token_max_length

    @property
    def stopwords(self) -> set[str]:
        """The words that are dropped; other ones may be assigned."""
        return set(stop_words_of(self._core))

    @stopwords.setter
    def stopwords(self, words: Iterable[str]) -> None:
        self._core = SparseTextEmbedding(**{**self._core.options, "stopwords": frozenset(map(str.lower, words))})

    def raw_embed(self, documents: Iterable[str]) -> list[SparseEmbedding]:
        """Embed documents into a list."""
        return list(self.embed(documents))

    @classmethod
    def compute_token_id(cls, token: str) -> int:
        """Number a term, 0 to 2^31."""
        import mmh3

        return abs(mmh3.hash(token))
