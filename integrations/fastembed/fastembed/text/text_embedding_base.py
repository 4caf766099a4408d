"""The methods of dense text models."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, SupportsIndex

from fastembed.common.arguments import batches_of
from fastembed.common.model_description import DenseModelDescription
from fastembed.common.model_management import ModelManagement, described
from fastembed.common.onnx_model import OnnxModel
from fastembed.common.types import NumpyArray
from onnxembed import DenseModel, TextEmbedding
from onnxembed.adapters.inside import catalogue_of


class TextEmbeddingBase(OnnxModel[TextEmbedding], ModelManagement[DenseModelDescription]):
    """A family of dense text models. No prompt is put before any text, and results begin at the first step."""

    core_class = TextEmbedding
    fixed_options = {"query_prompt": "", "passage_prompt": ""}  # noqa: RUF012  # never changed

    @classmethod
    def _list_supported_models(cls) -> list[DenseModelDescription]:
        return [found for spec in catalogue_of(TextEmbedding) if cls.holds(spec) and (found := _description(spec))]

    @property
    def embedding_size(self) -> int:
        """Numbers of a vector."""
        return self._core.embedding_size

    def embed(
        self,
        documents: str | Iterable[str],
        batch_size: SupportsIndex = 256,
        parallel: SupportsIndex | None = None,
        **kwargs: Any,
    ) -> Iterator[NumpyArray]:
        """Embed one text or any iterable of texts: (dim,) each, in order."""
        self._used = True
        yield from self._core.embed(documents, *batches_of(batch_size, parallel), task_id=self._task(kwargs))

    def query_embed(
        self,
        query: str | Iterable[str],
        batch_size: SupportsIndex = 256,
        parallel: SupportsIndex | None = None,
        **kwargs: Any,
    ) -> Iterator[NumpyArray]:
        """Embed queries, for all families but that of tasks as `embed` does."""
        self._used = True
        yield from self._core.query_embed(query, *batches_of(batch_size, parallel))

    def passage_embed(
        self,
        texts: str | Iterable[str],
        batch_size: SupportsIndex = 256,
        parallel: SupportsIndex | None = None,
        **kwargs: Any,
    ) -> Iterator[NumpyArray]:
        """Embed documents, for all families but that of tasks as `embed` does."""
        self._used = True
        yield from self._core.passage_embed(texts, *batches_of(batch_size, parallel))

    def token_count(self, texts: str | Iterable[str], batch_size: SupportsIndex = 1024, **kwargs: Any) -> int:
        """Count tokens, special tokens included and each text cut to the limit."""
        return self._core.token_count(texts, batches_of(batch_size, None)[0])

    def _task(self, keywords: dict[str, Any]) -> int | None:
        """The task of a call, of families that have tasks."""
        return None


def _description(spec: DenseModel) -> DenseModelDescription | None:
    fields = described(spec)
    return None if fields is None else DenseModelDescription(**fields, dim=spec.dim, tasks=dict(spec.tasks))
