"""Text and image embeddings in one space, for LlamaIndex."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from llama_index.core.base.embeddings.base import Embedding
from llama_index.core.embeddings.multi_modal_base import MultiModalEmbedding
from llama_index.core.instrumentation.events.embedding import EmbeddingEndEvent, EmbeddingStartEvent
from llama_index.core.schema import ImageType
from llama_index_instrumentation import get_dispatcher
from pydantic import Field, PrivateAttr

from llama_index.embeddings.onnxembed._options import ModelName, PathText
from llama_index.embeddings.onnxembed.base import OnnxEmbedding

if TYPE_CHECKING:
    from onnxembed import ImageEmbedding

_dispatcher = get_dispatcher(__name__)

# What the core's image class calls each option, and what it is called here. A test holds this against its signature.
_IMAGE_NAMES = {
    "model_name": "image_model_name",
    "cache_dir": "cache_dir",
    "threads": "threads",
    "providers": "providers",
    "cuda": "device",
    "device_ids": "device_ids",
    "local_files_only": "local_files_only",
    "specific_model_path": "image_model_path",
    "revision": "image_revision",
    "normalize": "normalize",
    "allow_urls": "allow_urls",
    "max_pixels": "max_pixels",
    "max_bytes": "max_bytes",
    "timeout_seconds": "timeout_seconds",
    "enable_cpu_mem_arena": "enable_cpu_mem_arena",
    "session_options": "session_options",
}


class OnnxMultiModalEmbedding(OnnxEmbedding, MultiModalEmbedding):
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

    Attributes:
        model_name: Name of the text half.
        image_model_name: Name of the image half, or a local folder; ``None`` takes the half that belongs to the text.
        image_model_path: A local folder with the files of the image half.
        image_revision: The revision of the image half's repository.
        image_batch_size: The most images in one batch.
        allow_urls: Whether ``http`` and ``https`` addresses are fetched; those inside a private network never are.
        max_pixels: The largest image, in pixels; ``None`` for the core's bound.
        max_bytes: The largest encoded image; ``None`` for the core's bound.
        timeout_seconds: The longest time to fetch an image; ``None`` for the core's bound.
    """

    model_name: ModelName = "Qdrant/clip-ViT-B-32-text"
    image_model_name: ModelName | None = None
    image_model_path: PathText | None = None
    image_revision: str | None = None
    image_batch_size: int = Field(default=16, ge=1)
    allow_urls: bool = False
    max_pixels: int | None = Field(default=None, ge=1)
    max_bytes: int | None = Field(default=None, ge=1)
    timeout_seconds: float | None = Field(default=None, gt=0)

    _opened_images: tuple[dict[str, Any], ImageEmbedding] | None = PrivateAttr(default=None)

    @classmethod
    def class_name(cls) -> str:
        """Name the class for serialisation.

        Returns:
            The name.
        """
        return "OnnxMultiModalEmbedding"

    def model_post_init(self, context: Any, /) -> None:
        """Make both engines, so that bad settings, and halves that do not belong together, are told at once.

        Args:
            context: Not used.
        """
        super().model_post_init(context)
        self._open_images(lazy_load=self.lazy_load)

    @property
    def image_engine(self) -> ImageEmbedding:
        """The core object that embeds images."""
        return self._open_images(lazy_load=True)

    def _get_image_embedding(self, img_file_path: ImageType) -> Embedding:
        return self._get_image_embeddings([img_file_path])[0]

    async def _aget_image_embedding(self, img_file_path: ImageType) -> Embedding:
        return (await self._aget_image_embeddings([img_file_path]))[0]

    def _get_image_embeddings(self, img_file_paths: list[ImageType]) -> list[Embedding]:
        # The framework tells its old callbacks of images, but not its event handlers.
        _dispatcher.event(EmbeddingStartEvent(model_dict=self.to_payload()))
        embeddings = self._embed_images(img_file_paths)
        _dispatcher.event(EmbeddingEndEvent(chunks=_named(img_file_paths), embeddings=embeddings))
        return embeddings

    async def _aget_image_embeddings(self, img_file_paths: list[ImageType]) -> list[Embedding]:
        model = await self.image_engine.run_async(self.to_payload)  # the length of the vectors may have to be loaded
        _dispatcher.event(EmbeddingStartEvent(model_dict=model))
        embeddings = await self.image_engine.run_async(lambda: self._embed_images(img_file_paths))
        _dispatcher.event(EmbeddingEndEvent(chunks=_named(img_file_paths), embeddings=embeddings))
        return embeddings

    def _embed_images(self, images: Sequence[ImageType]) -> list[Embedding]:
        engine = self.image_engine
        if engine.embedding_size != self.dimension:
            raise ValueError(
                f"the vectors of {engine.model_name} have {engine.embedding_size} numbers, those of {self.model_name} "
                f"{self.dimension}: they are not of one space; pass image_model_name= that belongs to it"
            )
        given = [_rewound(image) for image in images]
        vectors = engine.embed(given, batch_size=self.image_batch_size, parallel=self.parallel)
        return [vector.tolist() for vector in vectors]

    def _open_images(self, *, lazy_load: bool) -> ImageEmbedding:
        given = {core: getattr(self, here) for core, here in _IMAGE_NAMES.items()}
        settings = {core: value for core, value in given.items() if value is not None}
        if self._opened_images is None or self._opened_images[0] != settings:
            from onnxembed import ImageEmbedding

            chosen = {**settings, "model_name": ImageEmbedding.image_half(self.model_name, self.image_model_name)}
            self._opened_images = (settings, ImageEmbedding(**chosen, lazy_load=lazy_load))
        return self._opened_images[1]


def _named(images: Iterable[ImageType]) -> list[str]:
    """What events call each image."""
    return [os.fspath(image) if isinstance(image, str | os.PathLike) else "<image bytes>" for image in images]


def _rewound(image: Any) -> Any:
    """A file from its start: nodes hand out one that others may have read."""
    if hasattr(image, "seek") and hasattr(image, "read"):
        image.seek(0)
    return image
