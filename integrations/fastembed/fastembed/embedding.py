"""Names that fastembed had before `TextEmbedding`."""

from __future__ import annotations

import logging
import os
from typing import Any, SupportsIndex

from fastembed.text.text_embedding import TextEmbedding

logging.getLogger("onnxembed.fastembed").warning(
    "DefaultEmbedding, FlagEmbedding and JinaEmbedding are old names; use fastembed.TextEmbedding"
)

DefaultEmbedding = TextEmbedding
FlagEmbedding = TextEmbedding


class JinaEmbedding(TextEmbedding):
    """`TextEmbedding` with another default model."""

    def __init__(
        self,
        model_name: str = "jinaai/jina-embeddings-v2-base-en",
        cache_dir: str | os.PathLike[str] | None = None,
        threads: SupportsIndex | None = None,
        **kwargs: Any,
    ) -> None:
        """Open a model; the arguments are those of `TextEmbedding`."""
        super().__init__(model_name, cache_dir, threads, **kwargs)
