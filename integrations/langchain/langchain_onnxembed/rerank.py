"""Rerankers for LangChain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from langchain_onnxembed._compressor import Compressor
from langchain_onnxembed._engine import COMMON_NAMES
from langchain_onnxembed._options import ModelName, PlainText

if TYPE_CHECKING:
    from onnxembed import LateInteractionTextEmbedding, RankedDocument, TextCrossEncoder


class OnnxRerank(Compressor):
    """Onnx cross-encoder reranker integration.

    Setup:
        ```bash
        pip install -U langchain-onnxembed
        ```

    Key init args:
        model: str
            Name of the model, or a local folder.
        top_n: int | None
            The most documents to keep.
        activation: str
            `"raw"` for the model's logits, `"sigmoid"` for numbers from 0 to 1, `"model"` for what its authors chose.

    Instantiate:
        ```python
        from langchain_onnxembed import OnnxRerank

        reranker = OnnxRerank(model="Xenova/ms-marco-MiniLM-L-6-v2", top_n=3, activation="sigmoid")
        ```

    Usage:
        ```python
        from langchain_classic.retrievers import ContextualCompressionRetriever

        retriever = ContextualCompressionRetriever(base_compressor=reranker, base_retriever=store.as_retriever())
        retriever.invoke("How do I parse a date?")
        ```

    Async:
        ```python
        await retriever.ainvoke("How do I parse a date?")
        ```

    Attributes:
        activation: What becomes of the raw scores.
        windows: How a document is read that is too long for one pair: cut (`None`), or in windows whose score is the
            `"max"`, the `"mean"` or the `"first"`.
        window_overlap: Tokens that neighbouring windows share.
    """

    core_names: ClassVar[Mapping[str, str]] = {
        **COMMON_NAMES,
        "activation": "activation",
        "windows": "windows",
        "window_overlap": "window_overlap",
    }
    elsewhere: ClassVar[Mapping[str, str]] = {
        "top_k": "here it is called 'top_n'",
        "threshold": "here it is called 'score_threshold'",
    }

    model_name: ModelName = Field(default="Xenova/ms-marco-MiniLM-L-6-v2", alias="model")
    batch_size: int = Field(default=64, ge=1)
    activation: PlainText = "raw"
    windows: PlainText | None = None
    window_overlap: int = Field(default=64, ge=0)

    @classmethod
    def _make(cls, settings: dict[str, Any], *, lazy_load: bool) -> TextCrossEncoder:
        from onnxembed import TextCrossEncoder

        return TextCrossEncoder(**settings, lazy_load=lazy_load)

    @property
    def engine(self) -> TextCrossEncoder:
        """The core object that does the work; equal settings share one set of weights."""
        engine: TextCrossEncoder = self._open(lazy_load=True)
        return engine

    def _rank(self, queries: list[str], documents: list[list[str]], top_n: int | None) -> list[list[RankedDocument]]:
        return self.engine.rank_many(
            queries, documents, top_n, self.score_threshold, batch_size=self.batch_size, parallel=self.parallel
        )


class OnnxLateInteractionRerank(Compressor):
    """Onnx late-interaction reranker integration: MaxSim over the token vectors of a ColBERT model.

    A document's score is the sum, over the tokens of the query, of the largest dot product with any of its tokens.

    Instantiate:
        ```python
        from langchain_onnxembed import OnnxLateInteractionRerank

        reranker = OnnxLateInteractionRerank(model="answerdotai/answerai-colbert-small-v1", top_n=3)
        ```

        With `dense=True`, any dense model serves: its token vectors are compared.

    Attributes:
        dense: Whether the model is a dense one, whose token vectors are taken.
        normalize: Whether token vectors are scaled to length 1; `None` does as the model's authors do.
        skip_special_tokens: Whether the vectors of tokens such as `[CLS]` are left out.
        normalize_scores: Whether scores are divided by the number of the query's vectors, so that queries compare.
    """

    core_names: ClassVar[Mapping[str, str]] = {
        **COMMON_NAMES,
        "dense": "dense",
        "normalize": "normalize",
        "skip_special_tokens": "skip_special_tokens",
    }
    elsewhere: ClassVar[Mapping[str, str]] = OnnxRerank.elsewhere

    model_name: ModelName = Field(default="answerdotai/answerai-colbert-small-v1", alias="model")
    dense: bool = False
    normalize: bool | None = None
    skip_special_tokens: bool = False
    normalize_scores: bool = False

    @classmethod
    def _make(cls, settings: dict[str, Any], *, lazy_load: bool) -> LateInteractionTextEmbedding:
        from onnxembed import LateInteractionTextEmbedding

        return LateInteractionTextEmbedding(**settings, lazy_load=lazy_load)

    @property
    def engine(self) -> LateInteractionTextEmbedding:
        """The core object that does the work; equal settings share one set of weights."""
        engine: LateInteractionTextEmbedding = self._open(lazy_load=True)
        return engine

    def _rank(self, queries: list[str], documents: list[list[str]], top_n: int | None) -> list[list[RankedDocument]]:
        return self.engine.rank_many(
            queries,
            documents,
            top_n,
            self.score_threshold,
            normalize_scores=self.normalize_scores,
            batch_size=self.batch_size,
            parallel=self.parallel,
        )
