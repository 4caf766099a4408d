"""Text and image embeddings in one space, for LangChain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from pydantic import Field, PrivateAttr

from langchain_onnxembed._engine import as_list
from langchain_onnxembed._options import ModelName, PathText
from langchain_onnxembed.embeddings import OnnxEmbeddings

if TYPE_CHECKING:
    from onnxembed import ImageEmbedding

# What the core's image class calls each option, and what it is called here. A test holds this against its signature.
_IMAGE_NAMES = {
    "model_name": "image_model",
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
_SINGLE = "wrap a single one in a list"


class OnnxMultimodalEmbeddings(OnnxEmbeddings):
    """Onnx multimodal embedding model integration: texts and images in one space.

    Setup:
        ```bash
        pip install -U langchain-onnxembed
        ```

    Key init args:
        model: str
            Name of the text half.
        image_model: str | None
            Name of the image half, or a local folder; `None` takes the half that belongs to the text model.

    Instantiate:
        ```python
        from langchain_onnxembed import OnnxMultimodalEmbeddings

        embeddings = OnnxMultimodalEmbeddings(model="Qdrant/clip-ViT-B-32-text")
        ```

    Embed single text:
        ```python
        vector = embeddings.embed_query("a cat on a sofa")
        ```

    Embed multiple texts:
        ```python
        vectors = embeddings.embed_documents(["a cat on a sofa", "a dog in the snow"])
        ```

    Embed images:
        ```python
        vectors = embeddings.embed_image(uris=["cat.jpg", "dog.png"])
        ```

    Search images with Chroma:
        ```python
        store = Chroma(embedding_function=embeddings)
        store.add_images(uris=["cat.jpg", "dog.png"])
        store.similarity_search("a cat on a sofa", k=1)
        store.similarity_search_by_image("another-cat.jpg", k=1)
        ```

    Async:
        ```python
        vectors = await embeddings.aembed_image(uris=["cat.jpg"])
        ```

    Attributes:
        image_model: Name of the image half, or a local folder.
        image_model_path: A local folder with the files of the image half.
        image_revision: The revision of the image half's repository.
        image_batch_size: The most images in one batch.
        allow_urls: Whether `http` and `https` addresses are fetched; those inside a private network never are.
        max_pixels: The largest image, in pixels; `None` for the core's bound.
        max_bytes: The largest encoded image; `None` for the core's bound.
        timeout_seconds: The longest time to fetch an image; `None` for the core's bound.
    """

    model_name: ModelName = Field(default="Qdrant/clip-ViT-B-32-text", alias="model")
    image_model: ModelName | None = None
    image_model_path: PathText | None = None
    image_revision: str | None = None
    image_batch_size: int = Field(default=16, ge=1)
    allow_urls: bool = False
    max_pixels: int | None = Field(default=None, ge=1)
    max_bytes: int | None = Field(default=None, ge=1)
    timeout_seconds: float | None = Field(default=None, gt=0)

    _opened_images: tuple[dict[str, Any], ImageEmbedding] | None = PrivateAttr(default=None)

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

    def embed_image(self, uris: list[Any]) -> list[list[float]]:
        """Embed images.

        Args:
            uris: Paths, ``file:`` and ``data:`` URIs, and with ``allow_urls`` addresses; or bytes, binary files, PIL
                images and uint8 arrays.

        Returns:
            One vector an image, in the same order.

        Raises:
            ValueError: Images and texts have vectors of different lengths.
        """
        images = [_without_scheme(uri) for uri in as_list(uris, "embed_image", "images", _SINGLE)]
        if not images:
            return []
        if self.image_engine.embedding_size != self.dimension:
            raise ValueError(
                f"the vectors of {self.image_engine.model_name} have {self.image_engine.embedding_size} numbers, those "
                f"of {self.model_name} {self.dimension}: not of one space; pass an image_model= that belongs to it"
            )
        vectors = self.image_engine.embed(images, batch_size=self.image_batch_size, parallel=self.parallel)
        return [vector.tolist() for vector in vectors]

    def embed_images(self, uris: list[Any]) -> list[list[float]]:
        """Embed images; another name of ``embed_image``.

        Args:
            uris: As for ``embed_image``.

        Returns:
            One vector an image, in the same order.
        """
        return self.embed_image(uris)

    async def aembed_image(self, uris: list[Any]) -> list[list[float]]:
        """Embed images without blocking the event loop.

        Args:
            uris: As for ``embed_image``.

        Returns:
            One vector an image, in the same order.
        """
        return await self.image_engine.run_async(lambda: self.embed_image(uris))

    def _open_images(self, *, lazy_load: bool) -> ImageEmbedding:
        given = {core: getattr(self, here) for core, here in _IMAGE_NAMES.items()}
        settings = {core: value for core, value in given.items() if value is not None}
        if self._opened_images is None or self._opened_images[0] != settings:
            from onnxembed import ImageEmbedding

            chosen = {**settings, "model_name": ImageEmbedding.image_half(self.model_name, self.image_model)}
            self._opened_images = (settings, ImageEmbedding(**chosen, lazy_load=lazy_load))
        return self._opened_images[1]


def _without_scheme(uri: Any) -> Any:
    """A path in place of a ``file:`` URI; everything else as it is."""
    if isinstance(uri, str) and uri.startswith("file:"):
        return unquote(urlsplit(uri).path)
    return uri
