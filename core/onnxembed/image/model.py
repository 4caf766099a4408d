"""`ImageEmbedding`: the image models as users meet them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from onnxembed.api.inputs import check_count, check_flag
from onnxembed.api.options import engine_options, engine_settings, find_model
from onnxembed.api.settings import EngineSettings
from onnxembed.api.shared import EngineHandle
from onnxembed.errors import InputError, InputTypeError
from onnxembed.image.given import as_images
from onnxembed.image.known import describe_image, image_half, image_registry
from onnxembed.image.limits import ImageLimits, check_limits
from onnxembed.image.spec import IMAGE_POOLINGS, ImageModel
from onnxembed.runtime.providers import Device
from onnxembed.runtime.session import OptionValue
from onnxembed.spec import ModelSource, PoolingType
from onnxembed.suggest import nearest

if TYPE_CHECKING:
    from typing import BinaryIO

    import numpy as np
    from PIL.Image import Image

    from onnxembed.image.engine import ImageEngine

    Vector = np.ndarray[tuple[int], np.dtype[np.float32]]
    Matrix = np.ndarray[tuple[int, int], np.dtype[np.float32]]
    ImageInput = str | os.PathLike[str] | bytes | BinaryIO | Image | np.ndarray[Any, np.dtype[np.uint8]]

T = TypeVar("T")

_LIMITS = ImageLimits()
# Bytes of the arrays and other images that a window holds, as callers gave them.
_WINDOW_BYTES = 128 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Call:
    """A call, checked; the model is not loaded yet."""

    images: Iterable[object]
    batch_size: int
    parallel: int | None


class ImageEmbedding:
    """Image embeddings with an ONNX model.

    An image may be given as a path, encoded bytes, a binary file object, a data URI, a PIL image, or a uint8 array of
    shape (height, width) or (height, width, channels); and as a URL, where ``allow_urls`` is set. Images are turned
    upright by their EXIF orientation, and what is transparent is laid on white. Of animations the first frame is taken.

    Vectors of models with a ``text_model`` lie in one space with those of `TextEmbedding` of that name.

    Names, methods and parameters are those that users of fastembed know; those after ``lazy_load`` are new. Objects are
    immutable, safe to share between threads, usable after a fork, and small when pickled: only settings travel, and the
    model is opened again where it is used. Two objects that need the same weights share them within a process.

    Args:
        model_name: A name of `list_supported_models`, in any case, or the path of a folder with a graph and a
            ``preprocessor_config.json``.
        cache_dir: Where models are kept. ``None``: ``ONNXEMBED_CACHE``, then ``FASTEMBED_CACHE_PATH``, then the
            standard Hugging Face cache.
        threads: Processors that one inference uses; ``None`` for all that this process may use.
        providers: ONNX Runtime execution providers, best first: names, or pairs of a name and its options. One that is
            not available is an error, unless ``"CPUExecutionProvider"`` is listed after it.
        cuda: ``True`` requires CUDA, ``False`` the processor; ``Device.AUTO`` takes CUDA where ONNX Runtime has it.
        device_ids: CUDA devices to spread batches over.
        lazy_load: Whether files are looked for and loaded on first use instead of here.
        local_files_only: Whether nothing may be downloaded.
        specific_model_path: A folder that holds the files of ``model_name``; no other place is looked at.
        revision: Branch, tag or commit of the Hub repository.
        normalize: Whether vectors are scaled to length 1; ``None`` for what the catalogue says of the model.
        allow_urls: Whether strings that begin with ``http://`` or ``https://`` are fetched; addresses that are not on
            the public internet are refused.
        max_pixels: Highest width times height of an image, checked before it is decoded.
        max_bytes: Highest size of an encoded image, in bytes.
        timeout_seconds: Longest time that fetching one URL may take, redirects included.
        enable_cpu_mem_arena: Whether ONNX Runtime keeps freed memory for later runs.
        session_options: Further attributes of ``onnxruntime.SessionOptions``, or configuration entries.

    Raises:
        UnknownModelError: The name is not known; the nearest ones are offered.
        ModelNotFoundError: No source could give the files, or a folder holds no model.
        InputError: A value is out of range.
        InputTypeError: A value has the wrong type.
        ProviderError: A provider or device is not available.
    """

    def __init__(
        self,
        model_name: str | os.PathLike[str] = "Qdrant/clip-ViT-B-32-vision",
        cache_dir: str | os.PathLike[str] | None = None,
        threads: int | None = None,
        providers: Sequence[str | tuple[str, Mapping[str, Any]]] | None = None,
        cuda: bool | Device | str = Device.AUTO,
        device_ids: Sequence[int] | None = None,
        lazy_load: bool = False,
        *,
        local_files_only: bool = False,
        specific_model_path: str | os.PathLike[str] | None = None,
        revision: str | None = None,
        normalize: bool | None = None,
        allow_urls: bool = False,
        max_pixels: int = _LIMITS.max_pixels,
        max_bytes: int = _LIMITS.max_bytes,
        timeout_seconds: float = _LIMITS.timeout_seconds,
        enable_cpu_mem_arena: bool | None = None,
        session_options: Mapping[str, OptionValue] | None = None,
    ) -> None:
        model, folder = find_model(image_registry, model_name, specific_model_path, _describe)
        engine = engine_settings(
            model,
            folder,
            cache_dir=cache_dir,
            threads=threads,
            providers=providers,
            cuda=cuda,
            device_ids=device_ids,
            local_files_only=local_files_only,
            revision=revision,
            max_length=None,
            enable_cpu_mem_arena=enable_cpu_mem_arena,
            session_options=session_options,
        )
        self._normalize = None if normalize is None else check_flag(normalize, "normalize")
        self._limits = check_limits(ImageLimits(max_pixels, max_bytes, allow_urls, timeout_seconds))
        self._handle: EngineHandle[EngineSettings[ImageModel], ImageEngine] = EngineHandle(engine, _make_engine)
        if not lazy_load:
            self._engine.load()

    def __copy__(self) -> ImageEmbedding:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> ImageEmbedding:
        return self

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.model_name!r})"

    @property
    def _engine(self) -> ImageEngine:
        """This process's engine for these settings."""
        return self._handle.get()

    # what the model is

    @property
    def model_name(self) -> str:
        """The model's name as the catalogue spells it, or its folder."""
        return self._handle.settings.model.name

    @property
    def embedding_size(self) -> int:
        """Numbers of each vector. Loads the weights only for a folder that does not say."""
        settings = self._handle.settings
        model, folder = settings.model, settings.store.specific_model_path
        # A folder opened under the name of a catalogue model may hold a smaller stand-in; one opened by itself told its
        # size.
        described_itself = folder is None or folder == model.name
        return model.dim if described_itself and model.dim else self._engine.dim

    @property
    def max_concurrency(self) -> int:
        """How many calls of the asynchronous methods run at once."""
        return self._engine.pool.max_concurrency

    @property
    def loaded(self) -> bool:
        """Whether the weights are in this process's memory."""
        return self._engine.loaded

    @property
    def description(self) -> dict[str, object]:
        """What is known of the model as it is used here, as plain data; finds the files, loads no weights if it can.

        The entries of `list_supported_models`, with the effective ``dim`` and ``normalize``, and ``source`` for where
        the files were found.
        """
        model = self._handle.settings.model
        return {
            **describe_image(model),
            "dim": self.embedding_size,
            "normalize": self._normalized,
            "source": self._engine.folder.source,
        }

    @property
    def options(self) -> dict[str, Any]:
        """The constructor's arguments that would make this object again, ``lazy_load`` aside; defaults filled in."""
        shared = engine_options(self._handle.settings)
        del shared["max_length"]  # of texts
        return {**shared, "normalize": self._normalize, **asdict(self._limits)}

    @property
    def fingerprint(self) -> str:
        """32 hexadecimal digits that change whenever the vectors may: made of the files and of all options that count.

        Finds, and if need be downloads, the files; loads no weights.
        """
        from onnxembed.hub.fingerprint import folder_fingerprint

        model = self._handle.settings.model
        further = (*model.additional_files, model.processor_file)
        folder = folder_fingerprint(self._engine.folder.path, model.model_file, further)
        options = (model.pooling.value, model.output, self._normalized)
        return hashlib.sha256(f"{folder}\0{options!r}".encode()).hexdigest()[:32]

    @property
    def _normalized(self) -> bool:
        return self._handle.settings.model.normalize if self._normalize is None else self._normalize

    # embedding

    def embed(
        self, images: ImageInput | Iterable[ImageInput], batch_size: int = 16, parallel: int | None = None
    ) -> Iterator[Vector]:
        """Embed images.

        Arguments and the types of a list's items are checked at the call; a generator's items as they are read, and
        what a file holds when its turn comes. Images are decoded and prepared while others run; arrays and PIL images
        must not be changed until their vectors are there. The result of an image does not depend on its neighbours.

        Args:
            images: One image, or any iterable of images; a generator may be endless. An array is one image.
            batch_size: Most images in a batch; of large ones fewer run at once.
            parallel: Batches run at once. ``None`` for one a device, each using ``threads`` processors; 0 for one a
                usable processor.

        Returns:
            An iterator of float32 vectors (dim,), in the order of the images.
        """
        return self._stream(_check_call(images, batch_size, parallel))

    def embed_to_array(
        self, images: ImageInput | Iterable[ImageInput], batch_size: int = 16, parallel: int | None = None
    ) -> Matrix:
        """Embed images into one array.

        Args:
            images: As for `embed`.
            batch_size: As for `embed`.
            parallel: As for `embed`.

        Returns:
            float32 (images, dim); (0, dim) when there are none.
        """
        return self._collect(_check_call(images, batch_size, parallel))

    # the same without blocking an event loop

    def aembed(
        self, images: ImageInput | Iterable[ImageInput], batch_size: int = 16, parallel: int | None = None
    ) -> AsyncIterator[Vector]:
        """Asynchronous twin of `embed`: runs in the model's own small pool, with the caller's context variables.

        Args:
            images: As for `embed`.
            batch_size: As for `embed`.
            parallel: As for `embed`.

        Returns:
            An asynchronous iterator of float32 vectors (dim,).
        """
        return self._engine.pool.iterate(self._lazy_stream(_check_call(images, batch_size, parallel)))

    async def aembed_to_array(
        self, images: ImageInput | Iterable[ImageInput], batch_size: int = 16, parallel: int | None = None
    ) -> Matrix:
        """Asynchronous twin of `embed_to_array`.

        Args:
            images: As for `embed`.
            batch_size: As for `embed`.
            parallel: As for `embed`.

        Returns:
            float32 (images, dim).
        """
        call = _check_call(images, batch_size, parallel)
        return await self.run_async(lambda: self._collect(call))

    async def run_async(self, function: Callable[[], T]) -> T:
        """Await a blocking call in the model's own pool, at most `max_concurrency` at once.

        The caller's context variables are copied. Cancelling drops a call that has not begun; one under way finishes.

        Args:
            function: The call.

        Returns:
            What it returns.
        """
        return await self._engine.pool.run(function)

    # models

    @classmethod
    def list_supported_models(cls) -> list[dict[str, object]]:
        """Tell what models there are, those added by `add_custom_model` included.

        Returns:
            A description of each, as plain data.
        """
        return [describe_image(model) for model in image_registry.models()]

    @classmethod
    def image_half(cls, text_model: str, image_model: str | None = None) -> str:
        """Tell which image model lies in one space with a text model of `TextEmbedding`.

        Args:
            text_model: Name of the text half, in any case.
            image_model: The image half where one was chosen already; it is only checked.

        Returns:
            Name of the image half.
        """
        return image_half(text_model, image_model)

    @classmethod
    def get_embedding_size(cls, model_name: str) -> int:
        """Tell how many numbers the vectors of a model have, without its files.

        Args:
            model_name: Its name, in any case.

        Returns:
            The number.
        """
        return image_registry.find(model_name).dim

    @classmethod
    def add_custom_model(
        cls,
        model: str,
        sources: ModelSource,
        dim: int,
        model_file: str = "model.onnx",
        description: str = "",
        license: str = "",  # noqa: A002  # the name that users know
        size_in_gb: float = 0.0,
        additional_files: Sequence[str] | None = None,
        output_name: str | None = None,
        *,
        pooling: PoolingType | str = PoolingType.DISABLED,
        normalization: bool = True,
        text_model: str | None = None,
    ) -> None:
        """Add a model for this process; embeddings made from it carry its description to other processes.

        Its files must hold a ``preprocessor_config.json``, which says how images are prepared.

        Args:
            model: Its name; no other model may have it, case aside.
            sources: Where its files are.
            dim: Numbers of a vector.
            model_file: The graph, relative to the model's folder.
            description: One line for people.
            license: Licence of the weights.
            size_in_gb: Download size.
            additional_files: Further files that must be there.
            output_name: Name of the graph output to take; ``None`` for the first.
            pooling: ``CLS`` for the first of several vectors an image, ``MEAN`` for their mean, ``DISABLED`` where the
                output is one vector an image.
            normalization: Whether vectors are scaled to length 1.
            text_model: The model of `TextEmbedding` whose vectors lie in the same space.

        Raises:
            InputTypeError: If ``sources`` is no `ModelSource`.
        """
        if not isinstance(sources, ModelSource):
            raise InputTypeError(f"sources={sources!r}: expected a ModelSource, such as ModelSource(hf='org/name')")
        image_registry.add(
            ImageModel(
                name=model,
                sources=(sources,),
                dim=dim,
                model_file=model_file,
                additional_files=tuple(additional_files or ()),
                pooling=_parse_pooling(pooling),
                normalize=check_flag(normalization, "normalization"),
                output=0 if output_name is None else output_name,
                text_model=text_model,
                license=license,
                size_in_gb=size_in_gb,
                description=description,
            )
        )

    # one call

    def _stream(self, call: _Call) -> Iterator[Vector]:
        """Load the model if need be, and begin."""
        from onnxembed.api.engine import nothing, start

        if nothing(call.images):
            return iter(())
        engine = self._engine
        at_once = engine.at_once(call.parallel)
        return start(
            engine,
            engine.family(self._limits, normalize=self._normalize, at_once=at_once),
            call.images,
            batch_size=call.batch_size,
            parallel=None if call.parallel is None else at_once + 1,
            budget=None,
            window_items=(at_once + 1) * call.batch_size,
            window_size=_WINDOW_BYTES,
        )

    def _lazy_stream(self, call: _Call) -> Iterator[Vector]:
        """The same, but the model is loaded by whoever takes the first step."""
        yield from self._stream(call)

    def _collect(self, call: _Call) -> Matrix:
        """All vectors of a call in one array."""
        import numpy as np

        vectors = list(self._stream(call))
        if not vectors:
            return np.zeros((0, self.embedding_size), dtype=np.float32)
        return np.stack(vectors)


def _check_call(images: object, batch_size: int, parallel: int | None) -> _Call:
    check_count(batch_size, "batch_size", 1)
    if parallel is not None:
        check_count(parallel, "parallel", 0)
    return _Call(as_images(images, "images"), batch_size, parallel)


def _parse_pooling(pooling: PoolingType | str) -> PoolingType:
    if not isinstance(pooling, str):
        raise InputTypeError(f"pooling={pooling!r}: expected a PoolingType")
    chosen = pooling.upper()
    names = [kind.value for kind in IMAGE_POOLINGS]
    if chosen not in names:
        raise InputError(f"pooling={pooling!r}: expected one of {', '.join(names)} for images.{nearest(chosen, names)}")
    return PoolingType(chosen)


def _describe(folder: Path) -> ImageModel:
    from onnxembed.image.discovery import describe_image_folder

    return describe_image_folder(folder)


def _make_engine(settings: EngineSettings[ImageModel]) -> ImageEngine:
    from onnxembed.image.engine import ImageEngine

    return ImageEngine(settings)
