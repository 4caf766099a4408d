"""Text and image embeddings in one space, for LlamaIndex."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterable, Mapping
from io import BytesIO
from typing import Any, ClassVar, cast

from llama_index.core.base.embeddings.base import Embedding
from llama_index.core.embeddings.multi_modal_base import MultiModalEmbedding
from llama_index.core.instrumentation.events.embedding import EmbeddingEndEvent, EmbeddingStartEvent
from llama_index.core.schema import ImageType
from llama_index_instrumentation import get_dispatcher
from pydantic import Field
from typing_extensions import override

from llama_index.embeddings.onnxembed.base import OnnxEmbedding
from onnxembed.adapters.checks import as_items
from onnxembed.adapters.fields import MULTIMODAL_TEXT_MODEL
from onnxembed.adapters.images import ImageHalf
from onnxembed.adapters.option_types import ModelName
from onnxembed.adapters.progress import framework_shows

__all__ = ["OnnxMultiModalEmbedding"]

_dispatcher = get_dispatcher(__name__)

_get_image: Any = inspect.unwrap(MultiModalEmbedding.get_image_embedding)
_get_images: Any = inspect.unwrap(MultiModalEmbedding.get_image_embedding_batch)
_aget_image: Any = inspect.unwrap(MultiModalEmbedding.aget_image_embedding)
_aget_images: Any = inspect.unwrap(MultiModalEmbedding.aget_image_embedding_batch)


class OnnxMultiModalEmbedding(ImageHalf, OnnxEmbedding, MultiModalEmbedding):
    """Text and image embeddings in one space on this machine, through ONNX Runtime.

    Examples:
        ``pip install llama-index-onnxembed``

        ```python
        from llama_index.core.indices import MultiModalVectorStoreIndex
        from llama_index.embeddings.onnxembed import OnnxMultiModalEmbedding

        clip = OnnxMultiModalEmbedding(model_name="Qdrant/clip-ViT-B-32-text")
        index = MultiModalVectorStoreIndex(nodes, image_embed_model=clip)
        ```

        That index passes over image nodes that have neither text nor metadata: give them some.

        With ``on_error="skip"`` the place of an image of a batch that cannot be used is ``None``; an index wants a
        vector of each node.

        ``image_model_name=None`` takes the image half that belongs to the text model.
    """

    image_names: ClassVar[Mapping[str, str]] = {"model_name": "image_model_name"}

    model_name: ModelName = MULTIMODAL_TEXT_MODEL
    image_model_name: ModelName | None = Field(default=None, description="Name of the image half, or a local folder.")

    @override
    @classmethod
    def class_name(cls) -> str:
        return "OnnxMultiModalEmbedding"

    # Each call is a span, as each call with texts is. The framework's methods are called undecorated.

    @_dispatcher.span
    @override
    def get_image_embedding(self, img_file_path: ImageType) -> Embedding:
        return cast("Embedding", _get_image(self, img_file_path))

    @_dispatcher.span
    @override
    async def aget_image_embedding(self, img_file_path: ImageType) -> Embedding:
        await self._in_pool(self.to_payload)  # the length of the vectors may have to be loaded
        return cast("Embedding", await _aget_image(self, img_file_path))

    @_dispatcher.span
    @override
    def get_image_embedding_batch(
        self, img_file_paths: list[ImageType], show_progress: bool = False
    ) -> list[Embedding]:
        with framework_shows():
            return cast("list[Embedding]", _get_images(self, _listed(img_file_paths), self._shows(show_progress)))

    @_dispatcher.span
    @override
    async def aget_image_embedding_batch(
        self, img_file_paths: list[ImageType], show_progress: bool = False
    ) -> list[Embedding]:
        given = _listed(img_file_paths)
        if not given:
            return []
        await self._in_pool(self.to_payload)
        with framework_shows():
            return cast("list[Embedding]", await _aget_images(self, given, self._shows(show_progress)))

    def _get_image_embedding(self, img_file_path: ImageType) -> Embedding:
        return self._embedded([img_file_path], alone=True)[0]

    async def _aget_image_embedding(self, img_file_path: ImageType) -> Embedding:
        return (await self._aembedded([img_file_path], alone=True))[0]

    @_dispatcher.span
    def _get_image_embeddings(self, img_file_paths: list[ImageType]) -> list[Embedding]:
        return self._embedded(img_file_paths)

    @_dispatcher.span
    async def _aget_image_embeddings(self, img_file_paths: list[ImageType]) -> list[Embedding]:
        return await self._aembedded(img_file_paths)

    def _embedded(self, img_file_paths: list[ImageType], *, alone: bool = False) -> list[Embedding]:
        # The framework tells its old callbacks of images, but not its event handlers.
        _dispatcher.event(EmbeddingStartEvent(model_dict=self.to_payload()))
        embeddings = self._image_vectors([_rewound(image) for image in img_file_paths], alone=alone)
        _dispatcher.event(_end(img_file_paths, embeddings))
        return embeddings

    async def _aembedded(self, img_file_paths: list[ImageType], *, alone: bool = False) -> list[Embedding]:
        run = self.image_engine.run_async
        model = await run(self.to_payload)  # the length of the vectors may have to be loaded
        _dispatcher.event(EmbeddingStartEvent(model_dict=model))
        embeddings = await run(lambda: self._image_vectors([_rewound(image) for image in img_file_paths], alone=alone))
        _dispatcher.event(_end(img_file_paths, embeddings))
        return embeddings


def _end(images: list[ImageType], embeddings: list[Embedding]) -> EmbeddingEndEvent:
    """The event of images that have vectors; those that were skipped have none."""
    embedded = [image for image, embedding in zip(images, embeddings, strict=True) if embedding is not None]
    vectors = [embedding for embedding in embeddings if embedding is not None]
    return EmbeddingEndEvent(chunks=_named(embedded), embeddings=vectors)


def _named(images: Iterable[ImageType]) -> list[str]:
    """What events call each image."""
    return [os.fspath(image) if isinstance(image, str | os.PathLike) else "<image bytes>" for image in images]


def _listed(images: Iterable[Any]) -> list[Any]:
    """All images, since the framework counts them; what an iterator hands over is copied, as it may change next."""
    given = as_items(images, "get_image_embedding_batch", "images", "use get_image_embedding for a single one")
    return list(given) if isinstance(given, list | tuple) else [_own(image) for image in given]


def _own(image: Any) -> Any:
    if isinstance(image, str | bytes | os.PathLike):
        return image
    if hasattr(image, "read"):
        return BytesIO(_rewound(image).read())
    copy = getattr(image, "copy", None)
    return copy() if callable(copy) else bytes(image)


def _rewound(image: Any) -> Any:
    """A file from its start: nodes hand out one that others may have read."""
    if hasattr(image, "seek") and hasattr(image, "read"):
        image.seek(0)
    return image
