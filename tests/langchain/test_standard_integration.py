"""LangChain's own integration tests for embeddings classes; nothing here uses the network."""

from __future__ import annotations

from typing import Any

from langchain_core.embeddings import Embeddings
from langchain_tests.integration_tests import EmbeddingsIntegrationTests

from langchain_onnxembed import OnnxEmbeddings
from tests.fixtures.text_models import PROMPTS, REAL_MODEL, small_model


class TestSmallModel(EmbeddingsIntegrationTests):
    """The standard tests on a small local model with prompts."""

    @property
    def embeddings_class(self) -> type[Embeddings]:
        return OnnxEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {"model": small_model(), "query_prompt": PROMPTS[0], "document_prompt": PROMPTS[1]}


class TestRealModel(EmbeddingsIntegrationTests):
    """The standard tests on a real model."""

    @property
    def embeddings_class(self) -> type[Embeddings]:
        return OnnxEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {"model": REAL_MODEL, "local_files_only": True}
