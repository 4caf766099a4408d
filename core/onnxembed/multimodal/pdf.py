"""The pages of a PDF as pictures, drawn one by one by pypdfium2 where it is installed."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from onnxembed.api.inputs import check_count, check_number, describe_type
from onnxembed.errors import InputError, InputTypeError, MissingExtraError
from onnxembed.image import sources
from onnxembed.image.limits import ImageLimits
from onnxembed.runtime.cancellation import checkpoint
from onnxembed.runtime.per_process import PerProcess

if TYPE_CHECKING:
    from PIL.Image import Image

_POINTS_PER_INCH = 72
_HIGHEST_DPI = 2400.0
# The library under pypdfium2 is not made for several threads, whatever document each of them reads. A document may be
# closed by the collector of garbage in the thread that draws another.
_LOCK = PerProcess(threading.RLock)


@dataclass(frozen=True, slots=True)
class PdfPages:
    """Pages of a document that is there and can be opened.

    Attributes:
        source: The path of the file, or its bytes.
        scale: Pixels per point.
        numbers: The pages, counted from 0.
        max_pixels: Highest width times height of a drawn page.
        password: What opens the document, if anything is needed.
    """

    source: Path | bytes = field(repr=False)
    scale: float
    numbers: tuple[int, ...]
    max_pixels: int
    password: str | None = field(default=None, repr=False)

    def __iter__(self) -> Iterator[Image]:
        """Draw the pages, pictures in RGB, each when it is asked for."""
        for page in self.attempts():
            if isinstance(page, InputError):
                raise page
            yield page

    def attempts(self) -> Iterator[Image | InputError]:
        """Draw the pages as when iterated, with an error in the place of each that cannot be drawn."""
        with _opened(self.source, self.password) as document:
            for number in self.numbers:
                checkpoint()
                try:
                    drawn: Image | InputError = self._draw(document, number)
                except InputError as error:
                    drawn = error
                yield drawn

    def _draw(self, document: Any, number: int) -> Image:
        with _LOCK.get():
            try:
                return self._drawn(document, number)
            except (InputError, MemoryError):
                raise
            except Exception as error:  # a damaged page fails in the words of pypdfium2, ctypes or Pillow
                raise InputError(
                    f"page {number} cannot be drawn: {str(error) or type(error).__name__}; leave it out with pages=, "
                    "or save the document anew"
                ) from error

    def _drawn(self, document: Any, number: int) -> Image:
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


def pdf_pages(
    source: object,
    dpi: object,
    pages: Sequence[int] | None,
    limits: ImageLimits,
    password: object = None,
) -> PdfPages:
    """Check what pages are asked for (``None`` for all), at so many pixels per inch; none is drawn yet.

    A document that cannot be read, or a page that it lacks, is an `InputError`; without pypdfium2, a MissingExtraError.
    """
    scale = check_number(dpi, "dpi", 1.0, _HIGHEST_DPI) / _POINTS_PER_INCH
    secret = _check_password(password)
    _check_numbers(pages)
    document = _read(source, limits)
    with _opened(document, secret) as opened:
        count = len(opened)
    for number in pages or ():
        if number >= count:
            raise InputError(f"page {number} does not exist: the PDF has {count} pages, counted from 0")
    return PdfPages(document, scale, tuple(range(count) if pages is None else pages), limits.max_pixels, secret)


def _check_password(password: object) -> str | None:
    """Refuse what is no password; messages never show it."""
    if password is not None and not isinstance(password, str):
        raise InputTypeError(f"password is {describe_type(password)}; expected str or None")
    try:
        unusable = password is not None and b"\0" in password.encode()
    except UnicodeEncodeError:
        unusable = True
    if unusable:
        raise InputError("password holds a character that no password of a PDF can; expected Unicode text without NUL")
    return password


def _check_numbers(pages: object) -> None:
    if pages is None:
        return
    if isinstance(pages, (str, bytes)) or not isinstance(pages, Sequence):
        raise InputTypeError(f"pages={pages!r}: expected a list of numbers counted from 0, or None for all")
    for number in pages:
        check_count(number, "page", 0)


def _read(source: object, limits: ImageLimits) -> Path | bytes:
    """The path of a document that is there, or its bytes; a file object is read at once."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        return bytes(source)
    if isinstance(source, (str, os.PathLike)):
        described = sources.describe(source)
        name = f"the PDF {described}" if described[0] in "'\"" else f"the PDF ({described})"
        path = sources.local_path(source)
        if path is None:
            return sources.read(source, name, limits)
        path = os.path.expanduser(path)  # noqa: PTH111  # a name that no Path can hold is refused below
        sources.check_file(path, name, "a PDF", ": pass the files in that folder one by one")
        return Path(path)
    if sources.is_file_object(source):
        return sources.read(source, f"the PDF ({sources.describe(source)})", limits)
    raise InputTypeError(
        f"the PDF is a {type(source).__name__}; expected the path of a file, its bytes, or a binary file object"
    )


@contextmanager
def _opened(source: Path | bytes, password: str | None) -> Iterator[Any]:
    """A document with its forms, closed in the end."""
    library = _library()
    name = "the PDF" if isinstance(source, bytes) else f"the PDF {str(source)!r}"
    with _LOCK.get():
        document = _document(library, source, password, name)
    try:
        yield document
    finally:
        with _LOCK.get():
            document.close()


def _document(library: ModuleType, source: Path | bytes, password: str | None, name: str) -> Any:
    try:
        document = library.PdfDocument(source, password=password)
    except FileNotFoundError as error:
        raise InputError(f"{name} does not exist; check the path") from error
    except library.PdfiumError as error:
        if "assword" not in str(error):
            raise InputError(f"{name} cannot be opened: {error}; it is damaged, or no PDF") from error
        if password is None:
            raise InputError(f"{name} is protected by a password; pass password=") from error
        raise InputError(f"{name} is protected by another password than the one given; check password=") from error
    try:
        # Before any page is touched: what is filled into fields is no part of the page, and drawn by them.
        document.init_forms()
    except library.PdfiumError as error:
        document.close()
        raise InputError(f"{name} has forms that cannot be opened: {error}; save it anew") from error
    return document


def _library() -> ModuleType:
    try:
        import pypdfium2
    except ImportError as error:
        raise MissingExtraError(
            "drawing the pages of a PDF needs pypdfium2: install onnxembed[pdf], or draw the pages yourself and pass "
            "them to embed_image"
        ) from error
    module: ModuleType = pypdfium2
    return module
