"""`LateInteractionMultimodalEmbedding`: texts and pictures, one vector a token, as users meet it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from onnxembed.api.inputs import as_texts, check_count, check_flag, check_text
from onnxembed.api.options import engine_options, engine_settings, find_model
from onnxembed.api.settings import EngineSettings
from onnxembed.api.shared import EngineHandle
from onnxembed.errors import InputError, InputTypeError
from onnxembed.image.given import as_images
from onnxembed.image.limits import ImageLimits, check_limits
from onnxembed.multimodal.known import describe_multimodal, multimodal_registry
from onnxembed.multimodal.spec import MultimodalKind, MultimodalModel
from onnxembed.runtime.providers import Device
from onnxembed.runtime.session import OptionValue
from onnxembed.spec import ModelSource
from onnxembed.suggest import nearest
from onnxembed.text.tokenizer_rules import check_max_length

if TYPE_CHECKING:
    import numpy as np

    from onnxembed.image.model import ImageInput
    from onnxembed.multimodal.engine import MultimodalEngine

    Vectors = np.ndarray[tuple[int, int], np.dtype[np.float32]]

T = TypeVar("T")

_LIMITS = ImageLimits()


@dataclass(frozen=True, slots=True)
class _Call:
    """A call, checked; the model is not loaded yet."""

    items: Iterable[object]
    pictures: bool
    batch_size: int
    parallel: int | None


class LateInteractionMultimodalEmbedding:
    """One vector a token of texts and of pictures (ColPali and its kin) with an ONNX model.

    `maxsim` compares the vectors of a text with those of a picture. Names, methods and parameters are those that users
    of fastembed know; those after ``lazy_load`` are new. Objects are immutable, safe to share between threads, usable
    after a fork, and small when pickled. Two objects that need the same weights share them within a process.

    Args:
        model_name: A name of `list_supported_models`, in any case, or the path of a folder with a model's files.
        cache_dir: Where models are kept. ``None``: ``ONNXEMBED_CACHE``, then ``FASTEMBED_CACHE_PATH``, then the
            standard Hugging Face cache.
        threads: Processors that one inference uses; ``None`` for all that this process may use.
        providers: ONNX Runtime execution providers, best first: names, or pairs of a name and its options.
        cuda: ``True`` requires CUDA, ``False`` the processor; ``Device.AUTO`` takes CUDA where ONNX Runtime has it.
        device_ids: CUDA devices to spread batches over.
        lazy_load: Whether files are looked for and loaded on first use instead of here.
        local_files_only: Whether nothing may be downloaded.
        specific_model_path: A folder that holds the files of ``model_name``; no other place is looked at.
        revision: Branch, tag or commit of the Hub repository.
        max_length: Tokens that a query is cut to, prompt and augmentation included; ``None`` for what the files say.
        truncate: Whether longer texts are cut, with one warning in the log per model; otherwise they are refused.
        enable_cpu_mem_arena: Whether ONNX Runtime keeps freed memory for later runs.
        session_options: Further attributes of ``onnxruntime.SessionOptions``, or configuration entries.
        token_budget: Positions of a batch, image tokens included; a larger item runs alone. ``None``: 256 for each
            processor in use.
        allow_urls: Whether pictures may be given as URLs, which are fetched from public addresses only.
        max_pixels: Highest width times height of a picture, checked before it is decoded.
        max_bytes: Highest encoded size of a picture.
        timeout_seconds: Longest time that fetching one URL may take.

    Raises:
        UnknownModelError: The name is not known; the nearest ones are offered.
        ModelNotFoundError: No source could give the files, or a folder holds no model.
        UnsupportedModelError: A folder does not say of what kind its model is.
        InputError: A value is out of range.
        InputTypeError: A value has the wrong type.
        ProviderError: A provider or device is not available.
    """

    def __init__(
        self,
        model_name: str | os.PathLike[str],
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
        max_length: int | None = None,
        truncate: bool = True,
        enable_cpu_mem_arena: bool | None = None,
        session_options: Mapping[str, OptionValue] | None = None,
        token_budget: int | None = None,
        allow_urls: bool = _LIMITS.allow_urls,
        max_pixels: int = _LIMITS.max_pixels,
        max_bytes: int = _LIMITS.max_bytes,
        timeout_seconds: float = _LIMITS.timeout_seconds,
    ) -> None:
        model, folder = find_model(multimodal_registry, model_name, specific_model_path, _describe)
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
            max_length=check_max_length(max_length),
            enable_cpu_mem_arena=enable_cpu_mem_arena,
            session_options=session_options,
        )
        self._truncate = check_flag(truncate, "truncate")
        self._token_budget = None if token_budget is None else check_count(token_budget, "token_budget", 1)
        self._limits = check_limits(ImageLimits(max_pixels, max_bytes, allow_urls, timeout_seconds))
        self._handle: EngineHandle[EngineSettings[MultimodalModel], MultimodalEngine]
        self._handle = EngineHandle(engine, _make_engine)
        if not lazy_load:
            self._engine.load()

    def __copy__(self) -> LateInteractionMultimodalEmbedding:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> LateInteractionMultimodalEmbedding:
        return self

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.model_name!r})"

    @property
    def _engine(self) -> MultimodalEngine:
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
        # A folder opened under the name of a catalogue model may hold a smaller stand-in.
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
    def options(self) -> dict[str, Any]:
        """The constructor's arguments that would make this object again, ``lazy_load`` aside; defaults filled in."""
        return {
            **engine_options(self._handle.settings),
            "truncate": self._truncate,
            "token_budget": self._token_budget,
            "allow_urls": self._limits.allow_urls,
            "max_pixels": self._limits.max_pixels,
            "max_bytes": self._limits.max_bytes,
            "timeout_seconds": self._limits.timeout_seconds,
        }

    # texts

    def embed_text(
        self, documents: str | Iterable[str], batch_size: int = 256, parallel: int | None = None
    ) -> Iterator[Vectors]:
        """Embed texts as queries, the only form of text that these models know.

        Arguments and lists are checked at the call; a generator's items as they are read. The result of a text does not
        depend on its neighbours; rows of padding are never given.

        Args:
            documents: One text, or any iterable of texts; a generator may be endless.
            batch_size: Most texts in a batch; batches are also bounded by ``token_budget``. Where the graph wants a
                blank picture beside each text, the positions of these count, so such batches are small.
            parallel: Batches run at once. ``None`` for one a device, each using ``threads`` processors; 0 for one a
                usable processor.

        Returns:
            An iterator of float32 arrays (tokens, dim), in the order of the texts.
        """
        return self._stream(_text_call(documents, "documents", batch_size, parallel))

    def embed_query(
        self, query: str | Iterable[str], batch_size: int = 256, parallel: int | None = None
    ) -> Iterator[Vectors]:
        """Embed queries; the same as `embed_text`.

        Args:
            query: One query, or any iterable of queries.
            batch_size: As for `embed_text`.
            parallel: As for `embed_text`.

        Returns:
            An iterator of float32 arrays (tokens, dim), in the order of the queries.
        """
        return self._stream(_text_call(query, "query", batch_size, parallel))

    def token_count(self, texts: str | Iterable[str], batch_size: int = 1024, include_extension: bool = False) -> int:
        """Count tokens, special tokens included and each text cut to the limit; loads no weights.

        Args:
            texts: One text, or any iterable of texts.
            batch_size: Texts counted at once.
            include_extension: Whether the prompt and the tokens that augment a query count too.

        Returns:
            The sum; 0 for no texts.
        """
        check_count(batch_size, "batch_size", 1)
        extended = check_flag(include_extension, "include_extension")
        checked = (check_text(text, index) for index, text in enumerate(as_texts(texts, "texts")))
        total = 0
        while chunk := list(islice(checked, batch_size)):
            if extended:
                chunk = [self._engine.conventions.query(text) for text in chunk]
            total += self._engine.tokenizer.count(chunk)
        return total

    # pictures

    def embed_image(
        self, images: ImageInput | Iterable[ImageInput], batch_size: int = 2, parallel: int | None = None
    ) -> Iterator[Vectors]:
        """Embed pictures, such as those of pages. The result of a picture does not depend on its neighbours.

        Args:
            images: One picture or any iterable of pictures, each a path, bytes, a binary file object, a data URI, a URL
                with ``allow_urls``, a PIL image, or a uint8 array of shape (height, width) or (height, width,
                channels).
            batch_size: Most pictures in a batch; batches are also bounded by ``token_budget``. Only pictures cut alike
                run together. On a processor larger batches are not faster, and a picture takes much memory.
            parallel: As for `embed_text`.

        Returns:
            An iterator of float32 arrays (tokens, dim), in the order of the pictures: the vectors of the image tokens
            and of the prompt around them.
        """
        return self._stream(_image_call(images, batch_size, parallel))

    def embed_pdf(
        self,
        source: str | os.PathLike[str] | bytes,
        dpi: float = 150,
        pages: Sequence[int] | None = None,
        batch_size: int = 2,
        parallel: int | None = None,
    ) -> Iterator[Vectors]:
        """Embed the pages of a PDF, drawn one by one as they are needed. Needs pypdfium2 (``onnxembed[pdf]``).

        Args:
            source: The path of the file, or its bytes.
            dpi: Pixels an inch; A4 has 1240 x 1754 pixels at 150.
            pages: Numbers of the pages, counted from 0; ``None`` for all.
            batch_size: As for `embed_image`.
            parallel: As for `embed_text`.

        Returns:
            An iterator of float32 arrays (tokens, dim), in the order of the pages.
        """
        from onnxembed.multimodal.pdf import pdf_pages

        _check_counts(batch_size, parallel)
        return self._stream(_Call(pdf_pages(source, dpi, pages, self._limits.max_pixels), True, batch_size, parallel))

    # the same without blocking an event loop

    def aembed_text(
        self, documents: str | Iterable[str], batch_size: int = 256, parallel: int | None = None
    ) -> AsyncIterator[Vectors]:
        """Asynchronous twin of `embed_text`: runs in the model's own small pool, with the caller's context variables.

        Args:
            documents: As for `embed_text`.
            batch_size: As for `embed_text`.
            parallel: As for `embed_text`.

        Returns:
            An asynchronous iterator of float32 arrays (tokens, dim).
        """
        return self._iterate(_text_call(documents, "documents", batch_size, parallel))

    def aembed_query(
        self, query: str | Iterable[str], batch_size: int = 256, parallel: int | None = None
    ) -> AsyncIterator[Vectors]:
        """Asynchronous twin of `embed_query`.

        Args:
            query: As for `embed_query`.
            batch_size: As for `embed_text`.
            parallel: As for `embed_text`.

        Returns:
            An asynchronous iterator of float32 arrays (tokens, dim).
        """
        return self._iterate(_text_call(query, "query", batch_size, parallel))

    def aembed_image(
        self, images: ImageInput | Iterable[ImageInput], batch_size: int = 2, parallel: int | None = None
    ) -> AsyncIterator[Vectors]:
        """Asynchronous twin of `embed_image`.

        Args:
            images: As for `embed_image`.
            batch_size: As for `embed_image`.
            parallel: As for `embed_text`.

        Returns:
            An asynchronous iterator of float32 arrays (tokens, dim).
        """
        return self._iterate(_image_call(images, batch_size, parallel))

    async def run_async(self, function: Callable[[], T]) -> T:
        """Await a blocking call in the model's own pool, at most `max_concurrency` at once.

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
        return [describe_multimodal(model) for model in multimodal_registry.models()]

    @classmethod
    def get_embedding_size(cls, model_name: str) -> int:
        """Tell how many numbers the vectors of a model have, without its files.

        Args:
            model_name: Its name, in any case.

        Returns:
            The number.
        """
        return multimodal_registry.find(model_name).dim

    @classmethod
    def add_custom_model(
        cls,
        model: str,
        sources: ModelSource,
        dim: int = 128,
        model_file: str = "model.onnx",
        description: str = "",
        license: str = "",  # noqa: A002  # the name that users know
        size_in_gb: float = 0.0,
        additional_files: Sequence[str] | None = None,
        output_name: str | None = None,
        *,
        kind: MultimodalKind | str,
        max_tokens: int | None = None,
    ) -> None:
        """Add a model for this process; embeddings made from it carry its description to other processes.

        Args:
            model: Its name; no other model may have it, case aside.
            sources: Where its files are.
            dim: Numbers of a vector.
            model_file: The graph, relative to the model's folder.
            description: One line for people.
            license: Licence of the weights.
            size_in_gb: Download size.
            additional_files: Further files that must be there.
            output_name: Name of the graph output to take; ``None`` for the first one of three axes.
            kind: ``"COLPALI"``, ``"COLMODERNVBERT"`` or ``"COLQWEN2"``: how texts and pictures are prepared.
            max_tokens: The limit its authors state.

        Raises:
            InputTypeError: If ``sources`` is no `ModelSource`.
        """
        if not isinstance(sources, ModelSource):
            raise InputTypeError(f"sources={sources!r}: expected a ModelSource, such as ModelSource(hf='org/name')")
        multimodal_registry.add(
            MultimodalModel(
                name=model,
                sources=(sources,),
                kind=_parse_kind(kind),
                dim=dim,
                model_file=model_file,
                additional_files=tuple(additional_files or ()),
                output=output_name,
                max_tokens=max_tokens,
                license=license,
                size_in_gb=size_in_gb,
                description=description,
            )
        )

    # one call

    def _stream(self, call: _Call) -> Iterator[Vectors]:
        """Load the model if need be, and begin."""
        from onnxembed.api.engine import nothing, start

        if nothing(call.items):
            return iter(())
        engine = self._engine
        if call.pictures:
            return engine.stream_pages(
                call.items,
                self._limits,
                batch_size=call.batch_size,
                parallel=call.parallel,
                budget=self._token_budget,
            )
        return start(
            engine,
            engine.queries(truncate=self._truncate),
            call.items,
            batch_size=call.batch_size,
            parallel=call.parallel,
            budget=self._token_budget,
        )

    def _iterate(self, call: _Call) -> AsyncIterator[Vectors]:
        """The same off the event loop; the model is loaded by whoever takes the first step."""

        def lazily() -> Iterator[Vectors]:
            yield from self._stream(call)

        return self._engine.pool.iterate(lazily())


def _text_call(texts: object, name: str, batch_size: int, parallel: int | None) -> _Call:
    _check_counts(batch_size, parallel)
    return _Call(as_texts(texts, name), False, batch_size, parallel)


def _image_call(images: object, batch_size: int, parallel: int | None) -> _Call:
    _check_counts(batch_size, parallel)
    return _Call(as_images(images, "images"), True, batch_size, parallel)


def _check_counts(batch_size: int, parallel: int | None) -> None:
    check_count(batch_size, "batch_size", 1)
    if parallel is not None:
        check_count(parallel, "parallel", 0)


def _parse_kind(kind: MultimodalKind | str) -> MultimodalKind:
    try:
        return MultimodalKind(str(kind).upper())
    except ValueError:
        names = list(MultimodalKind)
        raise InputError(
            f"kind={kind!r} is unknown; expected one of {', '.join(names)}.{nearest(str(kind).upper(), names)}"
        ) from None


def _describe(folder: Path) -> MultimodalModel:
    from onnxembed.multimodal.discovery import describe_multimodal_folder

    return describe_multimodal_folder(folder)


def _make_engine(settings: EngineSettings[MultimodalModel]) -> MultimodalEngine:
    from onnxembed.multimodal.engine import MultimodalEngine

    return MultimodalEngine(settings)
