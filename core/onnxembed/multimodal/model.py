"""`LateInteractionMultimodalEmbedding`, the public class: one vector per token of texts and pictures."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, overload

from onnxembed.api.asynchronous import awaited, streamed
from onnxembed.api.custom import Adding
from onnxembed.api.find import find_model
from onnxembed.api.inputs import Checked, check_count, check_flag, check_texts, in_chunks
from onnxembed.api.model import constructor
from onnxembed.api.settings import EngineSettings
from onnxembed.api.vector_model import VectorModel
from onnxembed.catalog.registry import Registry
from onnxembed.image.failures import OnError, check_on_error, skipping
from onnxembed.image.inputs import check_images, taken
from onnxembed.multimodal.known import describe_multimodal, multimodal_registry
from onnxembed.multimodal.options import MultimodalOptions
from onnxembed.multimodal.spec import MultimodalModel
from onnxembed.runtime.progress import Counting

if TYPE_CHECKING:
    from typing import BinaryIO

    import numpy as np

    from onnxembed.hub.files import Files
    from onnxembed.image.model import ImageInput
    from onnxembed.multimodal.engine import MultimodalEngine

    Vectors = np.ndarray[tuple[int, int], np.dtype[np.float32]]


@dataclass(frozen=True, slots=True)
class _Pictures:
    """Says that the items of a call are pictures, and what happens to bad ones."""

    on_error: OnError


class LateInteractionMultimodalEmbedding(VectorModel[MultimodalOptions, MultimodalModel, "MultimodalEngine"]):
    """One vector per token of texts and of pictures (ColPali and similar models) with an ONNX model.

    `maxsim` compares the vectors of a text with those of a picture. Names, methods and parameters are those that users
    of fastembed know; options after ``lazy_load`` are keywords. Objects are immutable, safe to share between threads,
    usable after a fork, and small when pickled. Two objects that need the same weights share them within a process. The
    options are those of `MultimodalOptions`.
    """

    _sized_by_config = True

    @constructor(MultimodalOptions)
    def __init__(self, options: MultimodalOptions) -> None:
        model, folder, by_files = find_model(multimodal_registry, options, _describe_files)
        self._open(model, folder, options, _make_engine, by_files)

    @property
    def fingerprint(self) -> str:
        """32 hexadecimal digits that change whenever the vectors may: made of the files and of all options that count.

        Finds, and if need be downloads, the files; loads no weights.
        """
        described = replace(self._settings.model, name="", sources=(), description="")
        return self._digest((described, self._options.max_length, self._options.truncate))

    # texts

    def embed_text(
        self, documents: str | Iterable[str], batch_size: int | None = None, parallel: int | None = None
    ) -> Iterator[Vectors]:
        """Embed texts as queries, the only form of text that these models know.

        Arguments and lists are checked at the call; a generator's items as they are read. The result of a text does not
        depend on its neighbours; rows of padding are never given.

        Args:
            documents: One text, or any iterable of texts; a generator may be endless.
            batch_size: Most texts in a batch; ``None`` leaves it to ``token_budget``. Where the graph wants a
                blank picture beside each text, the positions of these count, so such batches are small.
            parallel: Batches run at once. ``None`` for one per device, each using ``threads`` processors; 0 for one per
                usable processor.

        Returns:
            An iterator of float32 arrays (tokens, dim), in the order of the texts.
        """
        return self._stream(check_texts(documents, "documents"), None, batch_size, parallel)

    def embed_query(
        self, query: str | Iterable[str], batch_size: int | None = None, parallel: int | None = None
    ) -> Iterator[Vectors]:
        """Embed one query, or any iterable of queries; the same as `embed_text`."""
        return self._stream(check_texts(query, "query"), None, batch_size, parallel)

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
        total = 0
        for chunk in in_chunks(check_texts(texts, "texts").items, batch_size):
            queries = [self._engine.conventions.query(text) for text in chunk] if extended else chunk
            total += self._engine.tokenizer.count(queries)
        return total

    # pictures

    @overload
    def embed_image(
        self,
        images: ImageInput | Iterable[ImageInput],
        batch_size: int | None = None,
        parallel: int | None = None,
        *,
        on_error: Literal["raise"] = "raise",
    ) -> Iterator[Vectors]: ...

    @overload
    def embed_image(
        self,
        images: ImageInput | Iterable[ImageInput],
        batch_size: int | None = None,
        parallel: int | None = None,
        *,
        on_error: OnError,
    ) -> Iterator[Vectors | None]: ...

    def embed_image(
        self,
        images: ImageInput | Iterable[ImageInput],
        batch_size: int | None = None,
        parallel: int | None = None,
        *,
        on_error: OnError = "raise",
    ) -> Iterator[Vectors | None]:
        """Embed pictures, such as those of pages. The result of a picture does not depend on its neighbours.

        Args:
            images: One picture or any iterable of pictures, each a path, bytes, a binary file object, a ``data:`` or
                ``file:`` URI, a URL with ``allow_urls``, a PIL image, or a uint8 array of shape (height, width) or
                (height, width, channels). What an iterator hands over is copied as it is read.
            batch_size: Most pictures in a batch; ``None`` leaves it to ``token_budget``. Only pictures cut alike
                run together. On a processor larger batches are not faster, and a picture takes much memory.
            parallel: Batches run at once. ``None`` for one per device, 0 for one per usable processor.
            on_error: ``"raise"``: the first picture that cannot be used ends the call. ``"skip"``: its place is
                ``None``, and a warning in the log tells its index and the reason. A function, such as
                ``failures.append``: as ``"skip"``, and called with a `SkippedImage` in place of the log.

        Returns:
            An iterator of float32 arrays (tokens, dim), in the order of the pictures: the vectors of the image tokens
            and of the prompt around them.
        """
        choice = check_on_error(on_error)
        items = check_images(images, "images", self._options, choice)
        return self._stream(items, _Pictures(choice), batch_size, parallel, Counting("Embedding", "image"))

    @overload
    def embed_pdf(
        self,
        source: str | os.PathLike[str] | bytes | BinaryIO,
        dpi: float = 150,
        pages: Sequence[int] | None = None,
        batch_size: int | None = None,
        parallel: int | None = None,
        *,
        password: str | None = None,
        on_error: Literal["raise"] = "raise",
    ) -> Iterator[Vectors]: ...

    @overload
    def embed_pdf(
        self,
        source: str | os.PathLike[str] | bytes | BinaryIO,
        dpi: float = 150,
        pages: Sequence[int] | None = None,
        batch_size: int | None = None,
        parallel: int | None = None,
        *,
        password: str | None = None,
        on_error: OnError,
    ) -> Iterator[Vectors | None]: ...

    def embed_pdf(
        self,
        source: str | os.PathLike[str] | bytes | BinaryIO,
        dpi: float = 150,
        pages: Sequence[int] | None = None,
        batch_size: int | None = None,
        parallel: int | None = None,
        *,
        password: str | None = None,
        on_error: OnError = "raise",
    ) -> Iterator[Vectors | None]:
        """Embed the pages of a PDF, drawn one by one as they are needed. Needs pypdfium2 (``onnxembed[pdf]``).

        What is filled into the fields of forms is drawn, too.

        Args:
            source: The path of the file or its ``file:`` URI, its bytes, or a binary file object, of which at most
                ``max_bytes`` are read.
            dpi: Pixels per inch; A4 has 1240 x 1754 pixels at 150.
            pages: Numbers of the pages, counted from 0; ``None`` for all.
            batch_size: Most pages in a batch; ``None`` leaves it to ``token_budget``.
            parallel: Batches run at once.
            password: What opens a protected document.
            on_error: Like that of `embed_image`, for pages that cannot be drawn or used. A document that cannot be
                opened is always an error.

        Returns:
            An iterator of float32 arrays (tokens, dim), in the order of the pages.
        """
        from onnxembed.multimodal.pdf import pdf_pages

        choice = check_on_error(on_error)
        drawn = pdf_pages(source, dpi, pages, self._options, password)
        checked = Checked(taken(drawn.attempts(), self._options), empty=not drawn.numbers, count=len(drawn.numbers))
        return self._stream(checked, _Pictures(choice), batch_size, parallel, Counting("Embedding", "page"))

    aembed_text = streamed(embed_text)
    aembed_query = streamed(embed_query)
    atoken_count = awaited(token_count)
    aembed_image = streamed(embed_image)
    aembed_pdf = streamed(embed_pdf)

    # models

    add_custom_model = Adding(MultimodalModel.custom, multimodal_registry)

    # one call

    def _run(
        self, items: Iterable[Any], use: _Pictures | None, batch_size: int, workers: int | None
    ) -> Iterator[Vectors | None]:
        from onnxembed.runtime.pipeline import stream

        if use is None:
            return stream(items, *self._engine.text_work(self._options, batch_size, workers))
        skips = use.on_error != "raise"
        work, limits = self._engine.page_work(self._options, batch_size, workers, skips=skips)
        results: Iterator[Any] = stream(items, work, limits)
        return skipping(results, use.on_error) if skips else results

    @classmethod
    def _registry(cls) -> Registry[MultimodalModel]:
        return multimodal_registry

    _describe = staticmethod(describe_multimodal)


def _describe_files(files: Files) -> MultimodalModel:
    from onnxembed.multimodal.discovery import describe

    return describe(files)


def _make_engine(settings: EngineSettings[MultimodalModel]) -> MultimodalEngine:
    from onnxembed.multimodal.engine import MultimodalEngine

    return MultimodalEngine(settings)
