"""Cross-encoders for LangChain's ``CrossEncoderReranker``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from langchain_core.cross_encoders import BaseCrossEncoder
from pydantic import Field

from langchain_onnxembed._engine import EngineModel
from langchain_onnxembed._options import ModelName, PlainText
from langchain_onnxembed.rerank import OnnxRerank

if TYPE_CHECKING:
    from onnxembed import TextCrossEncoder


class OnnxCrossEncoder(EngineModel, BaseCrossEncoder):
    """Onnx cross-encoder integration: scores of pairs of texts.

    Usage:
        ```python
        from langchain_classic.retrievers.document_compressors import CrossEncoderReranker

        reranker = CrossEncoderReranker(model=OnnxCrossEncoder(), top_n=3)
        ```

    Attributes:
        activation: What becomes of the raw scores: `"raw"`, `"sigmoid"`, or `"model"` for what its authors chose.
        windows: How a text is read that is too long for one pair: cut (`None`), or in windows whose score is the
            `"max"`, the `"mean"` or the `"first"`.
        window_overlap: Tokens that neighbouring windows share.
    """

    core_names: ClassVar[Mapping[str, str]] = OnnxRerank.core_names

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

    def score(self, text_pairs: list[tuple[str, str]]) -> list[float]:
        """Score pairs of texts.

        Args:
            text_pairs: Pairs of a query and a text.

        Returns:
            One score a pair, in the same order.
        """
        pairs = [tuple(pair) if isinstance(pair, list) else pair for pair in text_pairs]
        return list(self.engine.rerank_pairs(pairs, self.batch_size, self.parallel))

    async def ascore(self, text_pairs: list[tuple[str, str]]) -> list[float]:
        """Score pairs of texts, without blocking the event loop.

        Args:
            text_pairs: Pairs of a query and a text.

        Returns:
            One score a pair, in the same order.
        """
        return await self.engine.run_async(lambda: self.score(text_pairs))
