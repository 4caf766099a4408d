"""Rerankers for LlamaIndex."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from llama_index.embeddings.onnxembed._engine import COMMON_NAMES
from llama_index.embeddings.onnxembed._options import ModelName, PlainText
from llama_index.postprocessor.onnxembed_rerank._reranker import Reranker

if TYPE_CHECKING:
    from onnxembed import LateInteractionTextEmbedding, RankedDocument, TextCrossEncoder

_NAMES = {**COMMON_NAMES, "model_name": "model"}
_ELSEWHERE = {
    "top_k": "here it is called 'top_n'",
    "threshold": "here it is called 'score_threshold'",
}


class OnnxRerank(Reranker):
    """Reranks nodes with a cross-encoder, which reads query and node together, on this machine.

    Examples:
        ``pip install llama-index-onnxembed``

        ```python
        from llama_index.postprocessor.onnxembed_rerank import OnnxRerank

        reranker = OnnxRerank(model="Xenova/ms-marco-MiniLM-L-6-v2", top_n=3)
        engine = index.as_query_engine(similarity_top_k=20, node_postprocessors=[reranker])
        ```

    Attributes:
        model: Name of the model, or a local folder.
        activation: What becomes of the raw scores: ``"raw"``, ``"sigmoid"`` for numbers from 0 to 1, or ``"model"`` for
            what its authors chose.
        windows: How a node is read that is too long for one pair: cut (``None``), or in windows whose score is the
            ``"max"``, the ``"mean"`` or the ``"first"``.
        window_overlap: Tokens that neighbouring windows share.
    """

    core_names: ClassVar[Mapping[str, str]] = {
        **_NAMES,
        "activation": "activation",
        "windows": "windows",
        "window_overlap": "window_overlap",
    }
    elsewhere: ClassVar[Mapping[str, str]] = _ELSEWHERE

    model: ModelName = "Xenova/ms-marco-MiniLM-L-6-v2"
    batch_size: int = Field(default=64, ge=1)
    activation: PlainText = "raw"
    windows: PlainText | None = None
    window_overlap: int = Field(default=64, ge=0)

    @classmethod
    def class_name(cls) -> str:
        """Name the class for serialisation.

        Returns:
            The name.
        """
        return "OnnxRerank"

    @classmethod
    def _make(cls, settings: dict[str, Any], *, lazy_load: bool) -> TextCrossEncoder:
        from onnxembed import TextCrossEncoder

        return TextCrossEncoder(**settings, lazy_load=lazy_load)

    @property
    def engine(self) -> TextCrossEncoder:
        """The core object that does the work; equal settings share one set of weights."""
        engine: TextCrossEncoder = self._open(lazy_load=True)
        return engine

    @property
    def model_name(self) -> str:
        """The model's name, as events tell it."""
        return self.model

    def _rank(self, query: str, texts: list[str]) -> list[RankedDocument]:
        return self.engine.rank(
            query, texts, self.top_n, self.score_threshold, batch_size=self.batch_size, parallel=self.parallel
        )


class OnnxLateInteractionRerank(Reranker):
    """Reranks nodes by MaxSim over the token vectors of a ColBERT model, on this machine.

    A node's score is the sum, over the tokens of the query, of the largest dot product with any of its tokens.

    Examples:
        ```python
        from llama_index.postprocessor.onnxembed_rerank import OnnxLateInteractionRerank

        reranker = OnnxLateInteractionRerank(model="answerdotai/answerai-colbert-small-v1", top_n=3)
        ```

        With ``dense=True``, any dense model serves: its token vectors are compared.

    Attributes:
        model: Name of the model, or a local folder.
        dense: Whether the model is a dense one, whose token vectors are taken.
        normalize: Whether token vectors are scaled to length 1; ``None`` does as the model's authors do.
        skip_special_tokens: Whether the vectors of tokens such as ``[CLS]`` are left out.
        normalize_scores: Whether scores are divided by the number of the query's vectors, so that queries compare.
    """

    core_names: ClassVar[Mapping[str, str]] = {
        **_NAMES,
        "dense": "dense",
        "normalize": "normalize",
        "skip_special_tokens": "skip_special_tokens",
    }
    elsewhere: ClassVar[Mapping[str, str]] = _ELSEWHERE

    model: ModelName = "answerdotai/answerai-colbert-small-v1"
    dense: bool = False
    normalize: bool | None = None
    skip_special_tokens: bool = False
    normalize_scores: bool = False

    @classmethod
    def class_name(cls) -> str:
        """Name the class for serialisation.

        Returns:
            The name.
        """
        return "OnnxLateInteractionRerank"

    @classmethod
    def _make(cls, settings: dict[str, Any], *, lazy_load: bool) -> LateInteractionTextEmbedding:
        from onnxembed import LateInteractionTextEmbedding

        return LateInteractionTextEmbedding(**settings, lazy_load=lazy_load)

    @property
    def engine(self) -> LateInteractionTextEmbedding:
        """The core object that does the work; equal settings share one set of weights."""
        engine: LateInteractionTextEmbedding = self._open(lazy_load=True)
        return engine

    @property
    def model_name(self) -> str:
        """The model's name, as events tell it."""
        return self.model

    def _rank(self, query: str, texts: list[str]) -> list[RankedDocument]:
        return self.engine.rank(
            query,
            texts,
            self.top_n,
            self.score_threshold,
            normalize_scores=self.normalize_scores,
            batch_size=self.batch_size,
            parallel=self.parallel,
        )
