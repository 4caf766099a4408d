"""Pages of a PDF as pictures."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from onnxembed.errors import InputError, InputTypeError
from onnxembed.multimodal import pdf as pdf_module
from onnxembed.multimodal.model import LateInteractionMultimodalEmbedding
from onnxembed.multimodal.pdf import pdf_pages
from tests.fixtures.multimodal_models import COLQWEN2, Form
from tests.fixtures.pdfs import pdf

RED, BLUE, GREEN = (1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.0, 1.0, 0.0)
DOCUMENT = pdf((72, 36, RED), (36, 72, BLUE), (144, 144, GREEN))
MANY_PIXELS = 10_000_000


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
    pytest.importorskip("pypdfium2")
    drawn: list[int] = []
    draw = pdf_module.PdfPages._draw
    monkeypatch.setattr(
        pdf_module.PdfPages,
        "_draw",
        lambda self, document, number: drawn.append(number) or draw(self, document, number),
    )
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
    pages = iter(pdf_pages(DOCUMENT, 144, None, 144 * 72))
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
