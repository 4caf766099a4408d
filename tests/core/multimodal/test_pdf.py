"""Pages of a PDF as pictures."""

from __future__ import annotations

import base64
import io
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnxembed import SkippedImage
from onnxembed.errors import InputError, InputTypeError
from onnxembed.image.limits import ImageLimits
from onnxembed.multimodal.model import LateInteractionMultimodalEmbedding
from onnxembed.multimodal.pdf import pdf_pages
from tests.fixtures.images import encoded, levels
from tests.fixtures.images import picture as drawing
from tests.fixtures.multimodal_models import COLQWEN2, Form
from tests.fixtures.pdfs import form, pdf, protected
from tests.fixtures.spies import spied

RED, BLUE, GREEN = (1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.0, 1.0, 0.0)
DOCUMENT = pdf((72, 36, RED), (36, 72, BLUE), (144, 144, GREEN))
MANY_PIXELS = ImageLimits(max_pixels=10_000_000)


def test_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pypdfium2", None)
    with pytest.raises(ImportError, match=r"install onnxembed\[pdf\]"):
        pdf_pages(DOCUMENT, 150, None, MANY_PIXELS)


def test_arguments_are_checked_before_the_library_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pypdfium2", None)
    with pytest.raises(InputError, match="dpi=0: expected a number from 1 to 2400"):
        pdf_pages(DOCUMENT, 0, None, MANY_PIXELS)
    with pytest.raises(InputTypeError, match="the PDF is a int; expected the path"):
        pdf_pages(5, 150, None, MANY_PIXELS)


def test_pages_are_drawn_in_their_colours_and_sizes(tmp_path: Path) -> None:
    pytest.importorskip("pypdfium2")
    path = tmp_path / "pages.pdf"
    path.write_bytes(DOCUMENT)
    for source in (DOCUMENT, path, str(path), bytearray(DOCUMENT)):
        pictures = list(pdf_pages(source, 144, None, MANY_PIXELS))
        assert [picture.size for picture in pictures] == [(144, 72), (72, 144), (288, 288)]
        assert all(picture.mode == "RGB" for picture in pictures)
        for picture, colour in zip(pictures, (RED, BLUE, GREEN), strict=True):
            assert (np.asarray(picture) == np.array(colour) * 255).all()
    chosen = list(pdf_pages(DOCUMENT, 72, [2, 0, 2], MANY_PIXELS))
    assert [picture.size for picture in chosen] == [(144, 144), (72, 36), (144, 144)]


def test_pages_are_drawn_when_they_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    pdfium = pytest.importorskip("pypdfium2")
    drawn: list[int] = []
    get = pdfium.PdfDocument.get_page
    monkeypatch.setattr(pdfium.PdfDocument, "get_page", spied(get, lambda document, number: drawn.append(number)))
    pages = iter(pdf_pages(DOCUMENT, 72, None, MANY_PIXELS))
    assert drawn == []
    next(pages)
    assert drawn == [0]
    pages.close()  # type: ignore[attr-defined]
    assert drawn == [0]


def test_refusals(tmp_path: Path) -> None:
    pytest.importorskip("pypdfium2")
    with pytest.raises(InputError, match=r"page 3 does not exist: the PDF has 3 pages, counted from 0"):
        pdf_pages(DOCUMENT, 150, [0, 3], MANY_PIXELS)
    with pytest.raises(InputError, match="page must be >= 0"):
        pdf_pages(DOCUMENT, 150, [-1], MANY_PIXELS)
    with pytest.raises(InputTypeError, match="pages='12'"):
        pdf_pages(DOCUMENT, 150, "12", MANY_PIXELS)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="cannot be opened"):
        pdf_pages(b"no PDF", 150, None, MANY_PIXELS)
    with pytest.raises(InputError, match="does not exist; check the path"):
        pdf_pages(tmp_path / "absent.pdf", 150, None, MANY_PIXELS)
    pages = iter(pdf_pages(DOCUMENT, 144, None, ImageLimits(max_pixels=144 * 72)))
    assert next(pages).size == (144, 72)
    assert next(pages).size == (72, 144)
    with pytest.raises(InputError, match="page 2 would have 288 x 288 pixels, more than the limit of 10368"):
        next(pages)


async def test_asynchronous_twin_draws_the_same_pages(form_folder: Callable[[Form], Path]) -> None:
    pytest.importorskip("pypdfium2")
    model = LateInteractionMultimodalEmbedding(form_folder(Form(COLQWEN2)))
    pages = [rows async for rows in model.aembed_pdf(DOCUMENT, 144, [2, 0])]
    for one, other in zip(pages, model.embed_pdf(DOCUMENT, 144, [2, 0]), strict=True):
        assert np.abs(one - other).max() <= 1e-5
    with pytest.raises(InputError, match="page 3 does not exist"):
        model.aembed_pdf(DOCUMENT, pages=[3])


def test_no_pages_need_no_model() -> None:
    pytest.importorskip("pypdfium2")
    model = LateInteractionMultimodalEmbedding("Qdrant/colpali-v1.3-fp16", lazy_load=True, local_files_only=True)
    assert list(model.embed_pdf(DOCUMENT, pages=[])) == []


def test_embedded_pages_equal_their_pictures(form_folder: Callable[[Form], Path]) -> None:
    pytest.importorskip("pypdfium2")
    model = LateInteractionMultimodalEmbedding(form_folder(Form(COLQWEN2)))
    pictures = list(pdf_pages(DOCUMENT, 144, [1, 2], MANY_PIXELS))
    for one, other in zip(model.embed_pdf(DOCUMENT, 144, [1, 2]), model.embed_image(pictures), strict=True):
        assert np.abs(one - other).max() <= 1e-5
    assert len(list(model.embed_pdf(DOCUMENT, batch_size=1))) == 3
    with pytest.raises(InputError, match="batch_size must be >= 1"):
        model.embed_pdf(DOCUMENT, batch_size=0)


def darkest(data: bytes) -> int:
    (page,) = pdf_pages(data, 72, None, MANY_PIXELS)
    return int(np.asarray(page.convert("L")).min())


def test_what_is_filled_into_forms_is_drawn() -> None:
    pytest.importorskip("pypdfium2")
    (page,) = pdf_pages(form("1 0 0 rg 0 0 180 80 re f"), 72, None, MANY_PIXELS)
    assert page.getpixel((100, 50)) == (255, 0, 0)
    assert page.getpixel((5, 5)) == (255, 255, 255)


@pytest.mark.parametrize("needs_appearances", [False, True])
def test_fields_without_an_appearance_are_drawn(needs_appearances: bool) -> None:
    pytest.importorskip("pypdfium2")
    assert darkest(form(None, needs_appearances=needs_appearances)) < 100
    assert darkest(form(None, value="", needs_appearances=needs_appearances)) == 255


def test_passwords(tmp_path: Path) -> None:
    pytest.importorskip("pypdfium2")
    data = protected("open sesame")
    path = tmp_path / "secret.pdf"
    path.write_bytes(data)
    for source in (data, path):
        (page,) = pdf_pages(source, 72, None, MANY_PIXELS, "open sesame")
        assert page.size == (72, 36)
        with pytest.raises(InputError, match=r"the PDF.* is protected by a password; pass password="):
            pdf_pages(source, 72, None, MANY_PIXELS)
        with pytest.raises(InputError, match=r"protected by another password than the one given") as caught:
            pdf_pages(source, 72, None, MANY_PIXELS, "Alibaba")
        assert "Alibaba" not in str(caught.value)
    assert len(list(pdf_pages(DOCUMENT, 72, None, MANY_PIXELS, "not needed"))) == 3
    assert "sesame" not in repr(pdf_pages(data, 72, None, MANY_PIXELS, "open sesame"))


@pytest.mark.parametrize(
    ("password", "error"),
    [(b"open", InputTypeError), (5, InputTypeError), ("a\0b", InputError), ("\ud800", InputError)],
)
def test_bad_passwords(password: object, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"^password ") as caught:
        pdf_pages(DOCUMENT, 72, None, MANY_PIXELS, password)
    assert repr(password) not in str(caught.value)


def test_file_objects_and_uris(tmp_path: Path) -> None:
    pytest.importorskip("pypdfium2")
    path = tmp_path / "a page.pdf"
    path.write_bytes(DOCUMENT)
    written = io.BytesIO()
    written.write(DOCUMENT)
    with path.open("rb") as file:
        uri = "data:application/pdf;base64," + base64.b64encode(DOCUMENT).decode()
        for source in (file, file, written, io.BytesIO(DOCUMENT), path.as_uri(), uri, memoryview(DOCUMENT)):
            assert len(list(pdf_pages(source, 36, None, MANY_PIXELS))) == 3
    small = ImageLimits(max_bytes=100)
    with pytest.raises(InputError, match=r"the PDF \(a BytesIO\) has more than 100 bytes"):
        pdf_pages(io.BytesIO(DOCUMENT), 36, None, small)
    assert len(list(pdf_pages(path, 36, None, small))) == 3  # is not read whole
    with pytest.raises(InputTypeError, match="gives str instead of bytes"):
        pdf_pages(io.StringIO("a"), 36, None, MANY_PIXELS)


def test_what_is_no_document(tmp_path: Path) -> None:
    pytest.importorskip("pypdfium2")
    for source in (tmp_path, str(tmp_path), tmp_path.as_uri()):
        with pytest.raises(InputError, match="is a directory; expected a PDF: pass the files in that folder one by"):
            pdf_pages(source, 36, None, MANY_PIXELS)
    with pytest.raises(InputError, match=r"the PDF \(a string\) is a PDF in base64 and was taken for a path"):
        pdf_pages(base64.b64encode(DOCUMENT).decode(), 36, None, MANY_PIXELS)
    with pytest.raises(InputError, match="cannot be read"):
        pdf_pages("a\0b.pdf", 36, None, MANY_PIXELS)
    with pytest.raises(InputError, match="URLs are not fetched unless asked for"):
        pdf_pages("https://example.com/a.pdf", 36, None, MANY_PIXELS)


def test_a_page_that_cannot_be_drawn_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    library = pytest.importorskip("pypdfium2")

    def fail(*_: object, **__: object) -> None:
        raise library.PdfiumError("Failed to load page.")

    pages = pdf_pages(DOCUMENT, 72, None, MANY_PIXELS)
    monkeypatch.setattr(library.PdfDocument, "get_page", fail)
    with pytest.raises(InputError, match=r"page 0 cannot be drawn: Failed to load page\.; leave it out"):
        list(pages)


async def test_pages_are_skipped(form_folder: Callable[[Form], Path], caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("pypdfium2")
    model = LateInteractionMultimodalEmbedding(form_folder(Form(COLQWEN2)), max_pixels=72 * 36)
    failures: list[SkippedImage] = []
    with pytest.raises(InputError, match="page 2 would have 144 x 144 pixels"):
        list(model.embed_pdf(DOCUMENT, 72))
    got = list(model.embed_pdf(DOCUMENT, 72, [2, 0, 2, 1], on_error=failures.append))
    assert [rows is None for rows in got] == [True, False, True, False]
    assert [failure.index for failure in failures] == [0, 2]
    assert str(failures[0].error).startswith("page 2 would have 144 x 144 pixels")
    with caplog.at_level(logging.WARNING, "onnxembed"):
        twin = [rows is None async for rows in model.aembed_pdf(DOCUMENT, 72, on_error="skip")]
    assert twin == [False, False, True]
    assert [record.getMessage()[:20] for record in caplog.records] == ["skipped: page 2 would"[:20]]
    with pytest.raises(InputError, match="cannot be opened"):
        model.embed_pdf(b"no PDF", on_error="skip")
    with pytest.raises(InputError, match="on_error='never'"):
        model.embed_pdf(DOCUMENT, on_error="never")  # type: ignore[call-overload]


async def test_pictures_are_skipped(form_folder: Callable[[Form], Path]) -> None:
    model = LateInteractionMultimodalEmbedding(form_folder(Form(COLQWEN2)))
    good = encoded(drawing(64, 48))
    given: list[Any] = [b"no picture", good, None, drawing(4000, 4), good]
    failures: list[SkippedImage] = []
    (expected,) = model.embed_image(good)
    for batch_size in (1, 2, 5):
        failures.clear()
        got = list(model.embed_image(given, batch_size, on_error=failures.append))
        assert [rows is None for rows in got] == [True, False, True, True, False]
        assert [failure.index for failure in failures] == [0, 2, 3]
        assert str(failures[2].error).startswith("image 3: an image of 4000 x 4 pixels")
        for rows in (got[1], got[4]):
            assert rows is not None
            assert np.abs(rows - expected).max() <= 1e-5
    assert [rows is None async for rows in model.aembed_image(given, on_error="skip")] == [
        True,
        False,
        True,
        True,
        False,
    ]


def test_pages_of_an_iterator_equal_their_list(form_folder: Callable[[Form], Path]) -> None:
    model = LateInteractionMultimodalEmbedding(form_folder(Form(COLQWEN2)))
    frames = [levels(64, 48, seed=number) for number in range(5)]

    def refilled() -> Iterator[np.ndarray]:
        buffer = np.empty_like(frames[0])
        for frame in frames:
            buffer[:] = frame
            yield buffer

    for one, other in zip(model.embed_image(refilled()), model.embed_image(frames), strict=True):
        assert np.abs(one - other).max() <= 1e-5
