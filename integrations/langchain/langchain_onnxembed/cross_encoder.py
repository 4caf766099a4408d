"""Cross-encoders for LangChain's ``CrossEncoderReranker``."""

from __future__ import annotations

from langchain_core.cross_encoders import BaseCrossEncoder
from pydantic import Field
from typing_extensions import override

from langchain_onnxembed._model import NamedModel
from onnxembed.adapters.checks import as_list
from onnxembed.adapters.fields import RERANK_MODEL
from onnxembed.adapters.option_types import ModelName
from onnxembed.adapters.rerank import CrossEncoderModel

__all__ = ["OnnxCrossEncoder"]


class OnnxCrossEncoder(CrossEncoderModel, NamedModel, BaseCrossEncoder):
    """Onnx cross-encoder integration: scores of pairs of texts.

    Usage:
        ```python
        reranker = CrossEncoderReranker(model=OnnxCrossEncoder(), top_n=3)  # of langchain_classic
        ```
    """

    model_name: ModelName = Field(default=RERANK_MODEL, alias="model")

    @override
    def score(self, text_pairs: list[tuple[str, str]]) -> list[float]:
        given = as_list(text_pairs, "score", "pairs of texts", "wrap a single one in a list")
        pairs = [tuple(pair) if isinstance(pair, list) else pair for pair in given]
        with self._in_our_words():
            return list(self.engine.rerank_pairs(pairs, self.batch_size, self.parallel))

    async def ascore(self, text_pairs: list[tuple[str, str]]) -> list[float]:
        """Score pairs of texts, without blocking the event loop."""
        return await self._in_pool(lambda: self.score(text_pairs))
