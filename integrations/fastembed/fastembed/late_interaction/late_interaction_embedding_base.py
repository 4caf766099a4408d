"""The methods of late-interaction text models."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, SupportsIndex

from fastembed.common.arguments import batches_of
from fastembed.common.model_description import DenseModelDescription
from fastembed.common.model_management import ModelManagement, described
from fastembed.common.onnx_model import OnnxModel
from fastembed.common.types import NumpyArray
from onnxembed import LateInteractionModel, LateInteractionTextEmbedding
from onnxembed.adapters.inside import catalogue_of


class LateInteractionTextEmbeddingBase(OnnxModel[LateInteractionTextEmbedding], ModelManagement[DenseModelDescription]):
    """A family of models that give one vector per token. Results begin at the first step."""

    core_class = LateInteractionTextEmbedding

    @classmethod
    def _list_supported_models(cls) -> list[DenseModelDescription]:
        listed = (spec for spec in catalogue_of(LateInteractionTextEmbedding) if cls.holds(spec))
        return [found for spec in listed if (found := _description(spec))]

    @property
    def embedding_size(self) -> int:
        """Numbers of a token vector."""
        return self._core.embedding_size

    def embed(
        self,
        documents: str | Iterable[str],
        batch_size: SupportsIndex = 256,
        parallel: SupportsIndex | None = None,
        **kwargs: Any,
    ) -> Iterator[NumpyArray]:
        """Embed documents: (tokens, dim) each, in order."""
        self._used = True
        yield from self._core.embed(documents, *batches_of(batch_size, parallel))

    def query_embed(
        self,
        query: str | Iterable[str],
        batch_size: SupportsIndex = 256,
        parallel: SupportsIndex | None = None,
        **kwargs: Any,
    ) -> Iterator[NumpyArray]:
        """Embed queries: (tokens, dim) each, in order."""
        self._used = True
        yield from self._core.query_embed(query, *batches_of(batch_size, parallel))

    def passage_embed(self, texts: str | Iterable[str], **kwargs: Any) -> Iterator[NumpyArray]:
        """Embed documents, as `embed` does."""
        yield from self.embed(texts, **kwargs)

    def token_count(
        self,
        texts: str | Iterable[str],
        batch_size: SupportsIndex = 1024,
        is_doc: bool = True,
        include_extension: bool = False,
        **kwargs: Any,
    ) -> int:
        """Count tokens of documents, or of queries; with ``include_extension`` what the model adds, too."""
        return self._core.token_count(texts, batches_of(batch_size, None)[0], is_doc, include_extension)


def _description(spec: LateInteractionModel) -> DenseModelDescription | None:
    fields = described(spec)
    return None if fields is None else DenseModelDescription(**fields, dim=spec.dim)
