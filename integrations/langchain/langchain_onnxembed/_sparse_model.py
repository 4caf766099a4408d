"""The fields of a sparse model, whichever store its vectors are for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from langchain_onnxembed._engine import COMMON_NAMES, EngineModel, as_list
from langchain_onnxembed._options import ModelName

if TYPE_CHECKING:
    from onnxembed import SparseEmbedding, SparseTextEmbedding

_SINGLE = "wrap a single text in a list, or use embed_query for a query"


class SparseModel(EngineModel):
    """Fields of a sparse model; ``None`` leaves a choice to the model.

    Attributes:
        language: Language of BM25's stems and stop words, as a name or an ISO 639-1 code.
        k: How fast repeated words saturate (BM25, MiniCOIL).
        b: How much long texts are discounted (BM25, MiniCOIL), 0 to 1.
        avg_len: Words of an average text (BM25, MiniCOIL).
        token_max_length: Longer words are left out (BM25).
        disable_stemmer: Whether words are taken as they are (BM25).
        stemmer: An object with `stem_word(str) -> str` instead of the language's own (BM25).
        stopwords: Words to leave out instead of the language's own (BM25).
        compatible: Whether words are cut exactly as fastembed cuts them, for an index made with it (BM25).
        segmenter: Cuts texts of scripts without spaces into words (BM25).
        statistics: What `SparseTextEmbedding.fit` measured, or the file it was saved in (BM25).
        idf_in_query: Whether queries carry the inverse document frequency, for stores that have no IDF modifier; needs
            `statistics` (BM25).
        alpha: Exponent of the attention weights (BM42).
        top_k: The most entries of a vector, the largest stay (SPLADE).
        min_weight: Smaller entries are left out (SPLADE).
    """

    core_names: ClassVar[Mapping[str, str]] = {
        **COMMON_NAMES,
        **{
            name: name
            for name in (
                "language",
                "k",
                "b",
                "avg_len",
                "token_max_length",
                "disable_stemmer",
                "stemmer",
                "stopwords",
                "compatible",
                "segmenter",
                "statistics",
                "idf_in_query",
                "alpha",
                "top_k",
                "min_weight",
            )
        },
    }
    elsewhere: ClassVar[Mapping[str, str]] = {
        "stop_words": "here it is called 'stopwords'",
        "threshold": "here it is called 'min_weight'",
    }

    model_name: ModelName = Field(default="Qdrant/bm25", alias="model")
    language: str | None = None
    k: float | None = None
    b: float | None = None
    avg_len: float | None = None
    token_max_length: int | None = None
    disable_stemmer: bool | None = None
    stemmer: Any = None
    stopwords: list[str] | None = None
    compatible: bool | None = None
    segmenter: Any = None
    statistics: Any = None
    idf_in_query: bool | None = None
    alpha: float | None = None
    top_k: int | None = Field(default=None, ge=1)
    min_weight: float | None = None

    @classmethod
    def _make(cls, settings: dict[str, Any], *, lazy_load: bool) -> SparseTextEmbedding:
        from onnxembed import Bm25Statistics, SparseTextEmbedding

        if isinstance(settings["statistics"], str | os.PathLike):
            settings = {**settings, "statistics": Bm25Statistics.load(settings["statistics"])}
        return SparseTextEmbedding(**settings, lazy_load=lazy_load)

    @property
    def engine(self) -> SparseTextEmbedding:
        """The core object that does the work; equal settings share one set of weights."""
        engine: SparseTextEmbedding = self._open(lazy_load=True)
        return engine

    @property
    def requires_idf(self) -> bool:
        """Whether the store must weigh terms by their rarity."""
        return self.engine.requires_idf

    def _documents(self, texts: list[str]) -> list[SparseEmbedding]:
        texts = as_list(texts, "embed_documents", "str", _SINGLE)
        return list(self.engine.passage_embed(texts, batch_size=self.batch_size, parallel=self.parallel))

    def _query(self, text: str) -> SparseEmbedding:
        return next(self.engine.query_embed([text]))
