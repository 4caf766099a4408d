"""The pages of a PDF as pictures, drawn one by one by pypdfium2 where it is installed."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

from onnxembed.api.inputs import check_count, check_number
from onnxembed.errors import InputError, InputTypeError
from onnxembed.runtime.per_process import PerProcess

if TYPE_CHECKING:
    from PIL.Image import Image

_POINTS_PER_INCH = 72
_HIGHEST_DPI = 2400.0
# The library under pypdfium2 is not made for several threads, whatever document each of them reads.
_LOCK = PerProcess(threading.Lock)


@dataclass(frozen=True, slots=True)
class PdfPages:
    """Pages of a document that is there and can be opened.

    Attributes:
        source: The path of the file, or its bytes.
        scale: Pixels per point.
        numbers: The pages, counted from 0.
        max_pixels: Highest width times height of a drawn page.
    """

    source: str | bytes
    scale: float
    numbers: tuple[int, ...]
    max_pixels: int

    def __iter__(self) -> Iterator[Image]:
        """Draw the pages, pictures in RGB, each when it is asked for."""
        with _opened(self.source) as document:
            for number in self.numbers:
                yield self._draw(document, number)

    def _draw(self, document: Any, number: int) -> Image:
        with _LOCK.get():
            page = document[number]
            try:
                width, height = (side * self.scale for side in page.get_size())
                if width * height > self.max_pixels:
                    raise InputError(
                        f"page {number} would have {width:.0f} x {height:.0f} pixels, more than the limit of "
                        f"{self.max_pixels}; lower dpi, or raise max_pixels if the document can be trusted"
                    )
                bitmap = page.render(scale=self.scale)
                try:
                    picture: Image = bitmap.to_pil().convert("RGB")
                finally:
                    bitmap.close()
            finally:
                page.close()
        return picture


def pdf_pages(source: object, dpi: object, pages: Sequence[int] | None, max_pixels: int) -> PdfPages:
    """Check what pages are asked for (``None`` for all), at so many pixels per inch; none is drawn yet.

    A document that cannot be read, or a page that it lacks, is an `InputError`; without pypdfium2 it is an ImportError.
    """
    scale = check_number(dpi, "dpi", 1.0, _HIGHEST_DPI) / _POINTS_PER_INCH
    if isinstance(source, (bytes, bytearray, memoryview)):
        document: str | bytes = bytes(source)
    elif isinstance(source, (str, os.PathLike)):
        document = os.fsdecode(source)
    else:
        raise InputTypeError(f"the PDF is a {type(source).__name__}; expected the path of a file, or its bytes")
    with _opened(document) as opened:
        count = len(opened)
    if pages is None:
        return PdfPages(document, scale, tuple(range(count)), max_pixels)
    if isinstance(pages, (str, bytes)) or not isinstance(pages, Sequence):
        raise InputTypeError(f"pages={pages!r}: expected a list of numbers counted from 0, or None for all")
    for number in pages:
        if check_count(number, "page", 0) >= count:
            raise InputError(f"page {number} does not exist: the PDF has {count} pages, counted from 0")
    return PdfPages(document, scale, tuple(pages), max_pixels)


@contextmanager
def _opened(source: str | bytes) -> Iterator[Any]:
    """A document, closed in the end."""
    library = _library()
    name = "the PDF" if isinstance(source, bytes) else f"the PDF {source!r}"
    with _LOCK.get():
        try:
            document = library.PdfDocument(source)
        except FileNotFoundError as error:
            raise InputError(f"{name} does not exist; check the path") from error
        except library.PdfiumError as error:
            raise InputError(
                f"{name} cannot be opened: {error}; it is damaged, protected by a password, or no PDF"
            ) from error
    try:
        yield document
    finally:
        with _LOCK.get():
            document.close()


def _library() -> ModuleType:
    try:
        import pypdfium2
    except ImportError as error:
        raise ImportError(
            "drawing the pages of a PDF needs pypdfium2: install onnxembed[pdf], or draw the pages yourself and pass "
            "them to embed_image"
        ) from error
    module: ModuleType = pypdfium2
    return module
