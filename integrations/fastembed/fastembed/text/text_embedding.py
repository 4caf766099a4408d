"""`TextEmbedding`, the public class of dense text models."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar, SupportsIndex

from fastembed.common.facade import VectorFacade
from fastembed.common.model_description import DenseModelDescription, ModelSource, PoolingType
from fastembed.common.model_management import check_free
from fastembed.common.types import Device, NumpyArray, OnnxProvider
from fastembed.text.builtin_sentence_embedding import BuiltinSentenceEmbedding
from fastembed.text.clip_embedding import CLIPOnnxEmbedding
from fastembed.text.custom_text_embedding import CustomTextEmbedding
from fastembed.text.last_token_normalized_embedding import LastTokenNormalizedEmbedding
from fastembed.text.multitask_embedding import JinaEmbeddingV3
from fastembed.text.onnx_embedding import OnnxTextEmbedding
from fastembed.text.pooled_embedding import PooledEmbedding
from fastembed.text.pooled_normalized_embedding import PooledNormalizedEmbedding
from fastembed.text.siglip_embedding import SiglipOnnxTextEmbedding
from fastembed.text.static_embedding import StaticTextEmbedding
from fastembed.text.text_embedding_base import TextEmbeddingBase


class TextEmbedding(VectorFacade[DenseModelDescription, TextEmbeddingBase]):
    """Dense text embeddings. No prompt is put before any text; results begin at the first step."""

    EMBEDDINGS_REGISTRY: ClassVar[list[type[TextEmbeddingBase]]] = [
        OnnxTextEmbedding,
        CLIPOnnxEmbedding,
        SiglipOnnxTextEmbedding,
        PooledNormalizedEmbedding,
        PooledEmbedding,
        JinaEmbeddingV3,
        BuiltinSentenceEmbedding,
        LastTokenNormalizedEmbedding,
        StaticTextEmbedding,
        CustomTextEmbedding,
    ]

    def __init__(
        self,
        model_name: str = "BAAI/bge-small-en-v1.5",
        cache_dir: str | os.PathLike[str] | None = None,
        threads: SupportsIndex | None = None,
        providers: Sequence[OnnxProvider] | None = None,
        cuda: bool | Device | str | None = Device.AUTO,
        device_ids: Sequence[int] | None = None,
        lazy_load: bool = False,
        **kwargs: Any,
    ) -> None:
        """Open a model; the arguments are those of `OnnxModel`."""
        super().__init__(model_name, cache_dir, threads, providers, cuda, device_ids, lazy_load, **kwargs)

    @classmethod
    def _families(cls) -> list[type[TextEmbeddingBase]]:
        return cls.EMBEDDINGS_REGISTRY

    @classmethod
    def add_custom_model(
        cls,
        model: str,
        pooling: PoolingType,
        normalization: bool,
        sources: ModelSource,
        dim: int,
        model_file: str = "onnx/model.onnx",
        description: str = "",
        license: str = "",  # noqa: A002  # the name that users know
        size_in_gb: float = 0.0,
        additional_files: list[str] | None = None,
        output_name: str | None = None,
    ) -> None:
        """Add a model for this process; a name that is taken, case aside, is a ValueError.

        Args:
            model: Its name.
            pooling: How token vectors become one.
            normalization: Whether vectors are scaled to length 1.
            sources: Where its files are.
            dim: Numbers of a vector.
            model_file: The graph, relative to the model's folder.
            description: One line for people.
            license: Licence of the weights.
            size_in_gb: Download size.
            additional_files: Further files that must be there.
            output_name: Name of the graph output to take; ``None`` for the first.
        """
        check_free(model, cls._list_supported_models(), "TextEmbedding")
        CustomTextEmbedding.add_model(
            DenseModelDescription(
                model=model,
                sources=sources,
                model_file=model_file,
                description=description,
                license=license,
                size_in_GB=size_in_gb,
                additional_files=additional_files or [],
                dim=dim,
            ),
            pooling=pooling,
            normalization=normalization,
            output_name=output_name,
        )

    def embed(
        self,
        documents: str | Iterable[str],
        batch_size: SupportsIndex = 256,
        parallel: SupportsIndex | None = None,
        **kwargs: Any,
    ) -> Iterator[NumpyArray]:
        """Embed one text or any iterable of texts.

        Args:
            documents: The texts.
            batch_size: Most texts in a batch.
            parallel: Batches run at once, by threads; 0 for one per usable processor.
            **kwargs: ``task_id`` for models with tasks; others are passed over.

        Yields:
            A vector (dim,) per text, in order.
        """
        yield from self.model.embed(documents, batch_size, parallel, **kwargs)

    def query_embed(self, query: str | Iterable[str], **kwargs: Any) -> Iterator[NumpyArray]:
        """Embed one query or any iterable of queries; ``batch_size`` and ``parallel`` as for `embed`."""
        yield from self.model.query_embed(query, **kwargs)

    def passage_embed(self, texts: str | Iterable[str], **kwargs: Any) -> Iterator[NumpyArray]:
        """Embed documents; ``batch_size`` and ``parallel`` as for `embed`."""
        yield from self.model.passage_embed(texts, **kwargs)

    def token_count(self, texts: str | Iterable[str], batch_size: SupportsIndex = 1024, **kwargs: Any) -> int:
        """Count tokens, special tokens included and each text cut to the limit; loads no weights."""
        return self.model.token_count(texts, batch_size, **kwargs)
