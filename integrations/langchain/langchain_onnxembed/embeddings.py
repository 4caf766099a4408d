"""Dense text embeddings for LangChain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from langchain_onnxembed._model import TextVectors
from onnxembed.adapters.dense import DenseModel
from onnxembed.adapters.fields import DENSE_MODEL
from onnxembed.adapters.option_types import ModelName

__all__ = ["OnnxEmbeddings"]


class OnnxEmbeddings(DenseModel, TextVectors):
    """Onnx embedding model integration.

    Texts become vectors on this machine, through ONNX Runtime; nothing is sent anywhere.

    Setup:
        Install `langchain-onnxembed`. The model's files come from the Hugging Face Hub on first use and are cached.

    Key init args:
        model: str
            Name of the model, or a local folder; `model_name` is the same.
        dimensions: int | None
            Shorter vectors, for models trained so that they can be cut (Matryoshka).
        query_prompt, document_prompt: str | None
            Put, verbatim, before a query and before a document. `None` takes what the model's authors publish, an empty
            string puts nothing.
        query_prompt_name, document_prompt_name: str | None
            Names of prompts that the model's files store, instead of the texts.
        output_precision: str
            In which numbers vectors are given: "float32", "float16", "int8", "uint8", "binary" or "ubinary".

        All options are those of `onnxembed.TextEmbedding`; `OnnxEmbeddings.model_fields` describes them.

    Instantiate:
        ```python
        from langchain_onnxembed import OnnxEmbeddings

        embeddings = OnnxEmbeddings(model="sentence-transformers/all-MiniLM-L6-v2")
        ```

    Embed single text:
        ```python
        embeddings.embed_query("hello world")  # [-0.03447, 0.03102, 0.00673, ...]
        ```

    Embed multiple texts:
        ```python
        vectors = embeddings.embed_documents(["hello world", "a second text"])
        ```

    Async:
        ```python
        vector = await embeddings.aembed_query("hello world")
        ```

        The work runs on a small pool that belongs to the model, so that the event loop stays free.

    Vector stores:
        Each has its own measure of similarity, and is told it by you. What the model's authors use stands in
        `embeddings.engine.description["similarity"]`, empty where its files do not say.

    Cache of vectors:
        ```python
        cached = CacheBackedEmbeddings.from_bytes_store(embeddings, store, namespace=embeddings.cache_namespace)
        ```

        The namespace changes with everything that changes a vector. That class can cache queries too; give it a store
        of their own for that, because in a shared one a query finds the vector of the document with the same text.
    """

    core_names: ClassVar[Mapping[str, str]] = {"passage_prompt": "document_prompt"}
    elsewhere: ClassVar[Mapping[str, str]] = {
        "doc_embed_type": "texts are embedded as documents and queries as queries by themselves; "
        "to change what precedes a document pass document_prompt= (an empty string for none)",
        "text_instruction": "here it is called 'document_prompt'",
        "query_instruction": "here it is called 'query_prompt'",
    }

    model_name: ModelName = Field(default=DENSE_MODEL, alias="model")
    query_prompt: str | None = None
    document_prompt: str | None = None

    def token_count(self, texts: str | list[str]) -> int:
        """Count the tokens of one text or of several together, for a text splitter's ``length_function``."""
        with self._in_our_words():
            return self.engine.token_count(texts)
