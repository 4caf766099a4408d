"""Dense text embeddings for LlamaIndex."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

from llama_index.core.base.embeddings.base import Embedding, SimilarityMode
from typing_extensions import override

from llama_index.embeddings.onnxembed._embedding import VectorEmbedding
from onnxembed.adapters.dense import DenseModel
from onnxembed.adapters.fields import DENSE_MODEL
from onnxembed.adapters.option_types import ModelName
from onnxembed.errors import InputError

__all__ = ["OnnxEmbedding"]


class OnnxEmbedding(DenseModel, VectorEmbedding):
    """Dense text embeddings on this machine, through ONNX Runtime.

    Everything that the constructor takes is a field, so that ``to_dict``, ``from_dict`` and pickling lose nothing;
    the weights are never part of them. Equal settings share one set of weights in a process.

    An ``embeddings_cache`` may be shared between models: vectors are filed by model, settings and role, so a query
    never finds the vector of a document with the same text.

    Examples:
        ``pip install llama-index-onnxembed``

        ```python
        from llama_index.core import Settings
        from llama_index.embeddings.onnxembed import OnnxEmbedding

        Settings.embed_model = OnnxEmbedding(model_name="sentence-transformers/all-MiniLM-L6-v2")
        ```

        ``query_instruction`` and ``text_instruction`` precede a query and a text, verbatim and with no space added.
        ``None`` takes what the model's authors publish, an empty string puts nothing; ``query_prompt_name`` and
        ``document_prompt_name`` take a prompt that the model's files store. The other options are those of
        ``onnxembed.TextEmbedding``; see ``OnnxEmbedding.model_fields``. How the authors compare vectors stands in
        ``engine.description["similarity"]``; a vector store has a measure of its own.
    """

    core_names: ClassVar[Mapping[str, str]] = {
        "query_prompt": "query_instruction",
        "passage_prompt": "text_instruction",
    }
    elsewhere: ClassVar[Mapping[str, str]] = {
        "doc_embed_type": "texts are embedded as documents and queries as queries by themselves; "
        "to change what precedes a text pass text_instruction=, the document prompt (an empty string for none)",
        "document_prompt": "here it is called 'text_instruction'",
    }

    model_name: ModelName = DENSE_MODEL
    query_instruction: str | None = None
    text_instruction: str | None = None

    @override
    @classmethod
    def class_name(cls) -> str:
        return "OnnxEmbedding"

    @override
    def get_agg_embedding_from_queries(
        self, queries: list[str], agg_fn: Callable[..., Embedding] | None = None
    ) -> Embedding:
        self._refuse_packed(given=agg_fn is not None)
        return super().get_agg_embedding_from_queries(queries, agg_fn)

    @override
    async def aget_agg_embedding_from_queries(
        self, queries: list[str], agg_fn: Callable[..., Embedding] | None = None
    ) -> Embedding:
        self._refuse_packed(given=agg_fn is not None)
        return await super().aget_agg_embedding_from_queries(queries, agg_fn)

    @override
    def similarity(
        self, embedding1: Embedding, embedding2: Embedding, mode: SimilarityMode = SimilarityMode.DEFAULT
    ) -> float:
        self._refuse_packed(given=False)
        return super().similarity(embedding1, embedding2, mode)

    def _refuse_packed(self, *, given: bool) -> None:
        """Refuse to reckon with bytes of signs as with numbers; what the caller gives may know them."""
        if self.output_precision in ("binary", "ubinary") and not given:
            raise InputError(
                f"output_precision={self.output_precision!r} packs signs into bytes, whose means and products say "
                "nothing; count differing bits, or embed in float32 for this"
            )
