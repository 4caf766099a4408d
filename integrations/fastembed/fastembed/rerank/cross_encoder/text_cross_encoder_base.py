"""The methods of cross-encoders."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, SupportsIndex

from fastembed.common.arguments import batches_of
from fastembed.common.model_description import BaseModelDescription
from fastembed.common.model_management import ModelManagement, described
from fastembed.common.onnx_model import OnnxModel
from onnxembed import TextCrossEncoder
from onnxembed.adapters.inside import catalogue_of


class TextCrossEncoderBase(OnnxModel[TextCrossEncoder], ModelManagement[BaseModelDescription]):
    """A family of cross-encoders. Results begin at the first step; scores are raw."""

    core_class = TextCrossEncoder
    fixed_options = {"activation": "raw"}  # noqa: RUF012  # never changed

    @classmethod
    def _list_supported_models(cls) -> list[BaseModelDescription]:
        fields = (described(spec) for spec in catalogue_of(TextCrossEncoder) if cls.holds(spec))
        return [BaseModelDescription(**found) for found in fields if found is not None]

    def rerank(
        self,
        query: str,
        documents: Iterable[str],
        batch_size: SupportsIndex = 64,
        parallel: SupportsIndex | None = None,
        **kwargs: Any,
    ) -> Iterator[float]:
        """Score documents for a query, in their order."""
        self._used = True
        yield from self._core.rerank(query, documents, *batches_of(batch_size, parallel))

    def rerank_pairs(
        self,
        pairs: Iterable[tuple[str, str]],
        batch_size: SupportsIndex = 64,
        parallel: SupportsIndex | None = None,
        **kwargs: Any,
    ) -> Iterator[float]:
        """Score pairs of a query and a document, in their order."""
        self._used = True
        yield from self._core.rerank_pairs(pairs, *batches_of(batch_size, parallel))

    def token_count(self, pairs: Iterable[tuple[str, str]], batch_size: SupportsIndex = 1024, **kwargs: Any) -> int:
        """Count tokens of pairs, special tokens included and each pair cut to the limit."""
        return self._core.token_count(pairs, batches_of(batch_size, None)[0])
