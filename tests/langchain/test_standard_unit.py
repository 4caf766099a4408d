"""LangChain's own unit tests for embeddings classes."""

from __future__ import annotations

from typing import Any

from langchain_core.embeddings import Embeddings
from langchain_tests.unit_tests import EmbeddingsUnitTests

from langchain_onnxembed import OnnxEmbeddings
from tests.fixtures.text_models import small_model


class TestOnnxEmbeddingsUnit(EmbeddingsUnitTests):
    """The standard unit tests on a small local model, with the cache folder from the environment."""

    @property
    def embeddings_class(self) -> type[Embeddings]:
        return OnnxEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {"model": small_model()}

    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
        return {"ONNXEMBED_CACHE": "models-here"}, self.embedding_model_params, {"cache_dir": "models-here"}
