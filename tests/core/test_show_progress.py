"""`show_progress` of every class: what its bar counts, the same results, and silence where nobody asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnxembed import (
    ImageEmbedding,
    LateInteractionMultimodalEmbedding,
    LateInteractionTextEmbedding,
    M3Embedding,
    SparseTextEmbedding,
    TextCrossEncoder,
    TextEmbedding,
)
from onnxembed.errors import InputTypeError
from tests.fixtures.images import levels
from tests.fixtures.model_rows import ROWS, read_row, write_row
from tests.fixtures.multimodal_models import COLPALI, Form, write_form
from tests.fixtures.pdfs import pdf
from tests.fixtures.small_models import write_bert_folder
from tests.fixtures.text_models import small_clip, small_cross_encoder, small_model

TEXTS = ["one text", "another text", "words"]
PAGE = (20, 30, (0.5, 0.2, 0.1))
PAIRS = [("one", text) for text in TEXTS]


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_row(read_row(ROWS / "bge-m3-dense.json"), tmp_path_factory.mktemp("m3") / "model"))


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_form(tmp_path_factory.mktemp("pages") / "model", Form(COLPALI))


def checked(
    make: Callable[[bool | None], Any], use: Callable[[Any], Any], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Compare a call that shows its progress with one that does not."""
    quiet = use(make(None))
    assert capsys.readouterr() == ("", "")
    loud = use(make(True))
    found = capsys.readouterr()
    assert found.out == ""
    assert said in found.err
    assert use(make(False)) == quiet == loud
    assert capsys.readouterr() == ("", "")


def listed(results: Any) -> list[Any]:
    return [np.asarray(one).tolist() for one in results]


def test_dense(capsys: pytest.CaptureFixture[str]) -> None:
    def make(show: bool | None) -> TextEmbedding:
        return TextEmbedding(small_model(), show_progress=show)

    for use in (
        lambda model: listed(model.embed(TEXTS)),
        lambda model: listed(model.query_embed(TEXTS)),
        lambda model: listed(model.embed_to_array(TEXTS)),
        lambda model: listed(model.embed(TEXTS, output_precision="binary")),
    ):
        checked(make, use, "Embedding: 100%|██████████| 3/3 [", capsys)
    checked(make, lambda model: listed(model.embed(iter(TEXTS))), "Embedding: 3text [", capsys)
    assert listed(make(True).embed("one text"))
    assert capsys.readouterr() == ("", "")


def test_asynchronous(capsys: pytest.CaptureFixture[str]) -> None:
    async def use(model: TextEmbedding) -> list[Any]:
        return [vector.tolist() async for vector in model.aembed(TEXTS)]

    checked(
        lambda show: TextEmbedding(small_model(), show_progress=show),
        lambda model: asyncio.run(use(model)),
        "3/3",
        capsys,
    )


def test_other_texts(three: str, capsys: pytest.CaptureFixture[str]) -> None:
    checked(
        lambda show: SparseTextEmbedding("Qdrant/bm25", show_progress=show),
        lambda model: [one.as_dict() for one in model.embed(TEXTS)],
        "Embedding: 100%|██████████| 3/3 [",
        capsys,
    )
    checked(
        lambda show: LateInteractionTextEmbedding(three, show_progress=show),
        lambda model: listed(model.embed(TEXTS)),
        "3/3",
        capsys,
    )
    checked(
        lambda show: M3Embedding(three, show_progress=show),
        lambda model: [one.dense.tolist() for one in model.embed(TEXTS)],
        "3/3",
        capsys,
    )


def test_fit(capsys: pytest.CaptureFixture[str]) -> None:
    checked(
        lambda show: SparseTextEmbedding("Qdrant/bm25", show_progress=show),
        lambda model: model.fit(TEXTS).statistics,
        "Measuring: 100%|██████████| 3/3 [",
        capsys,
    )


def test_reranking(capsys: pytest.CaptureFixture[str]) -> None:
    def make(show: bool | None) -> TextCrossEncoder:
        return TextCrossEncoder(small_cross_encoder(), show_progress=show)

    for use in (
        lambda model: list(model.rerank("one", TEXTS)),
        lambda model: list(model.rerank_pairs(PAIRS)),
        lambda model: model.rank("one", TEXTS),
        lambda model: model.rank_many(["one", "two"], [TEXTS[:1], TEXTS[:2]]),
    ):
        checked(make, use, "Scoring: 100%|██████████| 3/3 [", capsys)


def test_images_and_pages(pages: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pictures = [levels(40, 30, seed=number) for number in range(3)]
    checked(
        lambda show: ImageEmbedding(small_clip()[1], show_progress=show),
        lambda model: listed(model.embed(pictures)),
        "3/3 [00:00<00:00,",
        capsys,
    )

    def make(show: bool | None) -> LateInteractionMultimodalEmbedding:
        name = "Qdrant/colpali-v1.3-fp16"
        return LateInteractionMultimodalEmbedding(name, specific_model_path=pages, show_progress=show)

    checked(make, lambda model: listed(model.embed_image(pictures[:2])), "image/s]", capsys)
    checked(make, lambda model: listed(model.embed_text(TEXTS)), "text/s]", capsys)
    checked(make, lambda model: listed(model.embed_pdf(pdf(PAGE, PAGE))), "2/2 [", capsys)


def test_compiling(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = []
    for name, show in (("quiet", None), ("loud", True)):
        folders.append(tmp_path / name)
        write_bert_folder(folders[-1], seed=len(folders))
        TextEmbedding(folders[-1], cache_dir=tmp_path / "cache", show_progress=show)
        said = capsys.readouterr().err
        assert ("Compiling: 100%" in said) == bool(show)
        assert ("tensor/s]" in said) == bool(show)


def test_it_decides_nothing() -> None:
    quiet, loud = (TextEmbedding(small_model(), show_progress=show) for show in (None, True))
    assert quiet.fingerprint == loud.fingerprint
    assert loud.loaded
    assert loud.options["show_progress"] is True
    with pytest.raises(InputTypeError, match="show_progress='yes' is a str; expected True or False"):
        TextEmbedding(small_model(), show_progress="yes")  # type: ignore[arg-type]
