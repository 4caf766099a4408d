"""`TextCrossEncoder`, the public class of cross-encoders."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, SupportsIndex

from fastembed.common.facade import Facade
from fastembed.common.model_description import BaseModelDescription, ModelSource
from fastembed.common.model_management import check_free
from fastembed.rerank.cross_encoder.custom_text_cross_encoder import CustomTextCrossEncoder
from fastembed.rerank.cross_encoder.onnx_text_cross_encoder import OnnxTextCrossEncoder
from fastembed.rerank.cross_encoder.text_cross_encoder_base import TextCrossEncoderBase


class TextCrossEncoder(Facade[BaseModelDescription, TextCrossEncoderBase]):
    """Scores of documents for a query, by models that read both together."""

    CROSS_ENCODER_REGISTRY: ClassVar[list[type[TextCrossEncoderBase]]] = [OnnxTextCrossEncoder, CustomTextCrossEncoder]

    @classmethod
    def _families(cls) -> list[type[TextCrossEncoderBase]]:
        return cls.CROSS_ENCODER_REGISTRY

    @classmethod
    def add_custom_model(
        cls,
        model: str,
        sources: ModelSource,
        model_file: str = "onnx/model.onnx",
        description: str = "",
        license: str = "",  # noqa: A002  # the name that users know
        size_in_gb: float = 0.0,
        additional_files: list[str] | None = None,
    ) -> None:
        """Add a model for this process; a name that is taken, case aside, is a ValueError.

        Args:
            model: Its name.
            sources: Where its files are.
            model_file: The graph, relative to the model's folder.
            description: One line for people.
            license: Licence of the weights.
            size_in_gb: Download size.
            additional_files: Further files that must be there.
        """
        check_free(model, cls._list_supported_models(), "CrossEncoderModel")
        CustomTextCrossEncoder.add_model(
            BaseModelDescription(
                model=model,
                sources=sources,
                model_file=model_file,
                description=description,
                license=license,
                size_in_GB=size_in_gb,
                additional_files=additional_files or [],
            )
        )

    def rerank(
        self, query: str, documents: Iterable[str], batch_size: SupportsIndex = 64, **kwargs: Any
    ) -> Iterator[float]:
        """Score documents for a query.

        Args:
            query: The query.
            documents: Any iterable of documents.
            batch_size: Most pairs in a batch.
            **kwargs: ``parallel``, batches run at once; others are passed over.

        Yields:
            One raw score per document, in their order.
        """
        yield from self.model.rerank(query, documents, batch_size, **kwargs)

    def rerank_pairs(
        self,
        pairs: Iterable[tuple[str, str]],
        batch_size: SupportsIndex = 64,
        parallel: SupportsIndex | None = None,
        **kwargs: Any,
    ) -> Iterator[float]:
        """Score pairs of a query and a document, or one such pair, in their order; raw scores."""
        yield from self.model.rerank_pairs(pairs, batch_size, parallel, **kwargs)

    def token_count(self, pairs: Iterable[tuple[str, str]], batch_size: SupportsIndex = 1024, **kwargs: Any) -> int:
        """Count tokens of pairs, special tokens included and each pair cut to the limit; loads no weights."""
        return self.model.token_count(pairs, batch_size, **kwargs)
