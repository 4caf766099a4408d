"""`ImageEmbedding`, the public class of image models."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Literal, overload

from onnxembed.api.asynchronous import awaited, streamed
from onnxembed.api.custom import Adding
from onnxembed.api.find import find_model
from onnxembed.api.model import constructor
from onnxembed.api.settings import EngineSettings
from onnxembed.api.vector_model import VectorModel
from onnxembed.catalog.registry import Registry
from onnxembed.image.failures import OnError, check_on_error, skipping
from onnxembed.image.inputs import GivenImage, check_images
from onnxembed.image.known import describe_image, image_half, image_registry
from onnxembed.image.options import ImageOptions
from onnxembed.image.spec import ImageModel
from onnxembed.runtime.progress import Counting

if TYPE_CHECKING:
    from typing import BinaryIO

    import numpy as np
    from PIL.Image import Image

    from onnxembed.hub.files import Files
    from onnxembed.image.engine import ImageEngine

    Vector = np.ndarray[tuple[int], np.dtype[np.float32]]
    Matrix = np.ndarray[tuple[int, int], np.dtype[np.float32]]
    ImageInput = str | os.PathLike[str] | bytes | BinaryIO | Image | np.ndarray[Any, np.dtype[np.uint8]]


class ImageEmbedding(VectorModel[ImageOptions, ImageModel, "ImageEngine"]):
    """Image embeddings with an ONNX model.

    An image may be given as a path, encoded bytes, a binary file object, a data URI, a PIL image, or a uint8 array of
    shape (height, width) or (height, width, channels); and as a URL, where ``allow_urls`` is set. Images are turned
    upright by their EXIF orientation, and what is transparent is laid on white. Of animations the first frame is taken.

    Vectors of models with a ``text_model`` lie in one space with those of `TextEmbedding` of that name.

    Names, methods and parameters are those that users of fastembed know; options after ``lazy_load`` are keywords.
    Objects are immutable, safe to share between threads, usable after a fork, and small when pickled: only settings
    travel, and the model is opened again where it is used. Two objects that need the same weights share them within a
    process. The options are those of `ImageOptions`.
    """

    _counting = Counting("Embedding", "image")

    @constructor(ImageOptions)
    def __init__(self, options: ImageOptions) -> None:
        model, folder, by_files = find_model(image_registry, options, _describe_files)
        self._open(model, folder, options, _make_engine, by_files)

    # what the model is

    @property
    def description(self) -> dict[str, object]:
        """What is known of the model as it is used here, as plain data; finds the files, loads no weights if it can.

        The entries of `list_supported_models`, with the effective ``dim`` and ``normalize``, `precision`, and
        ``source`` for where the files were found.
        """
        return {
            **describe_image(self._settings.model),
            "dim": self.embedding_size,
            "normalize": self._normalized,
            "precision": self.precision,
            "source": self._engine.base.folder.source,
        }

    @property
    def fingerprint(self) -> str:
        """32 hexadecimal digits that change whenever the vectors may: made of the files and of all options that count.

        Finds, and if need be downloads, the files; loads no weights.
        """
        model = self._settings.model
        return self._digest((model.pooling.value, model.output, self._normalized))

    @property
    def _normalized(self) -> bool:
        return self._settings.model.normalize if self._options.normalize is None else self._options.normalize

    # embedding

    @overload
    def embed(
        self,
        images: ImageInput | Iterable[ImageInput],
        batch_size: int | None = None,
        parallel: int | None = None,
        *,
        on_error: Literal["raise"] = "raise",
    ) -> Iterator[Vector]: ...

    @overload
    def embed(
        self,
        images: ImageInput | Iterable[ImageInput],
        batch_size: int | None = None,
        parallel: int | None = None,
        *,
        on_error: OnError,
    ) -> Iterator[Vector | None]: ...

    def embed(
        self,
        images: ImageInput | Iterable[ImageInput],
        batch_size: int | None = None,
        parallel: int | None = None,
        *,
        on_error: OnError = "raise",
    ) -> Iterator[Vector | None]:
        """Embed images.

        Arguments and the types of a list's items are checked at the call; a generator's items as they are read, and
        what a file holds when its turn comes. Images are decoded and prepared while others run; arrays and PIL images
        of a list must not be changed until their vectors are there, those of an iterator are copied as they are read.
        The result of an image does not depend on its neighbours.

        Args:
            images: One image, or any iterable of images; a generator may be endless. An array is one image.
            batch_size: Most images in a batch; of large ones fewer run at once. ``None`` leaves it to the device.
            parallel: Batches run at once. ``None`` for one per device, each using ``threads`` processors; 0 for one per
                usable processor.
            on_error: ``"raise"``: the first image that cannot be used ends the call. ``"skip"``: its place is ``None``,
                and a warning in the log tells its index and the reason. A function, such as ``failures.append``: as
                ``"skip"``, and called with a `SkippedImage` in place of the log.

        Returns:
            An iterator of float32 vectors (dim,), in the order of the images.
        """
        choice = check_on_error(on_error)
        return self._stream(check_images(images, "images", self._options, choice), choice, batch_size, parallel)

    def embed_to_array(
        self,
        images: ImageInput | Iterable[ImageInput],
        batch_size: int | None = None,
        parallel: int | None = None,
        *,
        on_error: OnError = "raise",
    ) -> Matrix:
        """Embed images into one array, float32 (images, dim), (0, dim) when there are none; otherwise as `embed`.

        The row of an image that was skipped holds NaN.
        """
        rows: Iterable[Vector | None] = self.embed(images, batch_size, parallel, on_error=on_error)
        if on_error != "raise":
            import numpy as np

            blank = np.full(self.embedding_size, np.nan, dtype=np.float32)
            rows = (blank if row is None else row for row in rows)
        vectors: Matrix = self._stacked(iter(rows))
        return vectors

    aembed = streamed(embed)
    aembed_to_array = awaited(embed_to_array)

    # models

    add_custom_model = Adding(ImageModel.custom, image_registry)

    @classmethod
    def image_half(cls, text_model: str, image_model: str | None = None) -> str:
        """Tell which image model lies in one space with a text model of `TextEmbedding`.

        Args:
            text_model: Name of the text half, in any case.
            image_model: The image half where one was chosen already; it is only checked.

        Returns:
            Name of the image half.

        Raises:
            InputError: The two are known to belong to different models, or no image half is known of the text half.
        """
        return image_half(text_model, image_model)

    # one call

    def _run(
        self, items: Iterable[GivenImage], use: OnError, batch_size: int, workers: int | None
    ) -> Iterator[Vector | None]:
        from onnxembed.runtime.pipeline import stream

        skips = use != "raise"
        work, limits = self._engine.work(self._options, batch_size, workers, skips=skips)
        results: Iterator[Any] = stream(items, work, limits)
        return skipping(results, use) if skips else results

    @classmethod
    def _registry(cls) -> Registry[ImageModel]:
        return image_registry

    _describe = staticmethod(describe_image)


def _describe_files(files: Files) -> ImageModel:
    from onnxembed.image.discovery import describe

    return describe(files)


def _make_engine(settings: EngineSettings[ImageModel]) -> ImageEngine:
    from onnxembed.image.engine import ImageEngine

    return ImageEngine(settings)
