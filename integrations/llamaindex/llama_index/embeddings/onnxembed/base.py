"""Dense text embeddings for LlamaIndex."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from typing_extensions import override

from llama_index.embeddings.onnxembed._embedding import VectorEmbedding
from onnxembed.adapters.dense import DenseModel
from onnxembed.adapters.fields import DENSE_MODEL
from onnxembed.adapters.option_types import ModelName

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
