"""Text and image embeddings in one space, for LangChain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from langchain_onnxembed.embeddings import OnnxEmbeddings
from onnxembed.adapters.checks import as_items
from onnxembed.adapters.fields import MULTIMODAL_TEXT_MODEL
from onnxembed.adapters.images import ImageHalf
from onnxembed.adapters.option_types import ModelName

__all__ = ["OnnxMultimodalEmbeddings"]


class OnnxMultimodalEmbeddings(ImageHalf, OnnxEmbeddings):
    """Onnx multimodal embedding model integration: texts and images in one space.

    `image_model=None` takes the image half that belongs to the text model.

    Embed texts and images:
        ```python
        from langchain_onnxembed import OnnxMultimodalEmbeddings

        embeddings = OnnxMultimodalEmbeddings(model="Qdrant/clip-ViT-B-32-text")
        vector = embeddings.embed_query("a cat on a sofa")
        vectors = embeddings.embed_image(uris=["cat.jpg", "dog.png"])
        ```

    Search images with Chroma:
        ```python
        store = Chroma(embedding_function=embeddings)
        store.add_images(uris=["cat.jpg", "dog.png"])
        store.similarity_search("a cat on a sofa", k=1)
        store.similarity_search_by_image("another-cat.jpg", k=1)
        ```
    """

    image_names: ClassVar[Mapping[str, str]] = {"model_name": "image_model"}

    model_name: ModelName = Field(default=MULTIMODAL_TEXT_MODEL, alias="model")
    image_model: ModelName | None = Field(default=None, description="Name of the image half, or a local folder.")

    def embed_image(self, uris: list[Any]) -> list[list[float]]:
        """Embed images.

        Args:
            uris: Paths, ``file:`` and ``data:`` URIs, and with ``allow_urls`` addresses; or bytes, binary files, PIL
                images and uint8 arrays.

        Returns:
            One vector per image, in the same order; with ``on_error="skip"``, ``None`` for one that cannot be used.

        Raises:
            InputError: Images and texts have vectors of different lengths.
        """
        return self._image_vectors(as_items(uris, "embed_image", "images", "wrap a single one in a list"))

    def embed_images(self, uris: list[Any]) -> list[list[float]]:
        """Embed images; another name of `embed_image`."""
        return self.embed_image(uris)

    async def aembed_image(self, uris: list[Any]) -> list[list[float]]:
        """Embed images as `embed_image` does, without blocking the event loop."""
        return await self.image_engine.run_async(lambda: self.embed_image(uris))
