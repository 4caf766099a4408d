"""What LangChain's adapters have in common: the model's two names, and dense vectors as LangChain asks for them."""

from __future__ import annotations

from langchain_core.embeddings import Embeddings
from pydantic import ConfigDict, Field
from typing_extensions import override

from onnxembed.adapters.checks import as_texts
from onnxembed.adapters.dense import VectorModel
from onnxembed.adapters.engine import EngineModel
from onnxembed.adapters.option_types import ModelName

__all__ = ["SINGLE_TEXT", "NamedModel", "TextVectors"]

SINGLE_TEXT = "wrap a single text in a list, or use embed_query for a query"


class NamedModel(EngineModel):
    """A model whose name may be given as `model` and as `model_name`."""

    model_config = ConfigDict(populate_by_name=True)

    model_name: ModelName = Field(alias="model")

    @property
    def model(self) -> str:
        """The model's name, as other LangChain classes spell it."""
        return self.model_name


class TextVectors(NamedModel, VectorModel, Embeddings):
    """One vector per text. Asynchronous calls run in the model's own pool, so that the event loop stays free."""

    @override
    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        texts = as_texts(texts, "embed_documents", SINGLE_TEXT)
        return self._vectors(texts, "document") if texts else []

    @override
    def embed_query(self, text: str) -> list[float]:
        return self._vectors([text], "query")[0]

    @override
    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        texts = as_texts(texts, "embed_documents", SINGLE_TEXT)
        return await self._in_pool(lambda: self.embed_documents(texts)) if texts else []

    @override
    async def aembed_query(self, text: str) -> list[float]:
        return await self._in_pool(lambda: self.embed_query(text))
