"""A sparse vector, and the methods of sparse text models."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, SupportsIndex

import numpy as np
from numpy.typing import NDArray

from fastembed.common.arguments import batches_of
from fastembed.common.model_description import SparseModelDescription
from fastembed.common.model_management import ModelManagement, described
from fastembed.common.onnx_model import OnnxModel
from fastembed.common.types import NumpyArray
from onnxembed import SparseEmbedding as CoreVector
from onnxembed import SparseKind, SparseModel, SparseTextEmbedding
from onnxembed.adapters.inside import ModelSpec, catalogue_of


@dataclass(eq=False)
class SparseEmbedding:
    """A sparse vector.

    Attributes:
        values: (entries,) numbers; they belong to the caller.
        indices: (entries,) integers, likewise.
    """

    values: NumpyArray
    indices: NDArray[np.int64] | NDArray[np.int32]

    def as_object(self) -> dict[str, NumpyArray]:
        """Give the arrays of the vector itself."""
        return {"values": self.values, "indices": self.indices}

    def as_dict(self) -> dict[int, float]:
        """Give the entries as ``{index: value}`` of Python numbers."""
        return dict(zip(map(int, self.indices.tolist()), map(float, self.values.tolist()), strict=True))

    @classmethod
    def from_dict(cls, data: Mapping[int, float]) -> SparseEmbedding:
        """Make a vector of ``{index: value}``, in that order."""
        return cls(np.array(list(data.values()), None if data else float), np.array(list(data), None if data else int))


class SparseTextEmbeddingBase(OnnxModel[SparseTextEmbedding], ModelManagement[SparseModelDescription]):
    """A family of sparse text models. Results begin at the first step; indices ascend."""

    core_class = SparseTextEmbedding
    kind: ClassVar[SparseKind]
    queries_run: ClassVar[bool] = True
    """Whether queries need the graph."""
    types: ClassVar[tuple[Any, Any]] = (np.float64, np.int64)
    query_types: ClassVar[tuple[Any, Any]] = (np.float64, np.int64)
    """Of values and indices."""

    @classmethod
    def holds(cls, spec: ModelSpec) -> bool:
        """Whether a model is of this family."""
        return isinstance(spec, SparseModel) and spec.kind is cls.kind

    @classmethod
    def _list_supported_models(cls) -> list[SparseModelDescription]:
        listed = (spec for spec in catalogue_of(SparseTextEmbedding) if cls.holds(spec))
        return [found for spec in listed if (found := _description(spec))]

    def embed(
        self,
        documents: str | Iterable[str],
        batch_size: SupportsIndex = 256,
        parallel: SupportsIndex | None = None,
        **kwargs: Any,
    ) -> Iterator[SparseEmbedding]:
        """Embed one text or any iterable of texts, in order."""
        self._used = True
        for vector in self._core.embed(documents, *batches_of(batch_size, parallel)):
            yield _own(vector, self.types)

    def query_embed(
        self,
        query: str | Iterable[str],
        batch_size: SupportsIndex = 256,
        parallel: SupportsIndex | None = None,
        **kwargs: Any,
    ) -> Iterator[SparseEmbedding]:
        """Embed one query or any iterable of queries."""
        self._used = self._used or self.queries_run
        for vector in self._core.query_embed(query, *batches_of(batch_size, parallel)):
            yield _own(vector, self.query_types)

    def passage_embed(self, texts: str | Iterable[str], **kwargs: Any) -> Iterator[SparseEmbedding]:
        """Embed documents, as `embed` does."""
        yield from self.embed(texts, **kwargs)

    def token_count(self, texts: str | Iterable[str], batch_size: SupportsIndex = 1024, **kwargs: Any) -> int:
        """Count tokens, special tokens included and each text cut to the limit."""
        return self._core.token_count(texts, batches_of(batch_size, None)[0])


def _own(vector: CoreVector, types: tuple[Any, Any]) -> SparseEmbedding:
    """Copy a vector of the core, whose arrays are read-only and shared by a batch."""
    values, indices = types
    return SparseEmbedding(values=vector.values.astype(values), indices=vector.indices.astype(indices))


def _description(spec: SparseModel) -> SparseModelDescription | None:
    fields = described(spec)
    if fields is None:
        return None
    return SparseModelDescription(**fields, requires_idf=spec.requires_idf or None, vocab_size=spec.vocab_size)
