"""Every form of late-interaction model gives the vectors of fastembed 0.9.1.

The golden file is made by ``tests/golden/make_late_interaction.py`` with the same folders.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnxembed.late_interaction.known import late_interaction_registry
from onnxembed.late_interaction.model import LateInteractionTextEmbedding
from onnxembed.late_interaction.tokens import marking_tokenizer
from onnxembed.text.tokenizer import load_tokenizer
from tests.fixtures.late_interaction_models import DIM, DOCUMENTS, FORMS, LIMIT, QUERIES, write_form

GOLDEN: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "golden" / "late_interaction.json").read_text(encoding="utf-8")
)
NAMES = [form.name for form in FORMS]
BOUND = 1e-5
Open = Callable[..., LateInteractionTextEmbedding]


@pytest.fixture(scope="module")
def open_form(tmp_path_factory: pytest.TempPathFactory) -> Open:
    root = tmp_path_factory.mktemp("forms")
    folders = {form.name: write_form(root / str(number), form) for number, form in enumerate(FORMS)}
    return lambda name, **options: LateInteractionTextEmbedding(
        name, specific_model_path=folders[name], local_files_only=True, **options
    )


def golden(name: str, side: str) -> list[np.ndarray]:
    return [np.array(rows, dtype=np.float64).reshape(-1, DIM) for rows in GOLDEN["forms"][name][side]]


def compare(ours: Iterable[np.ndarray], theirs: list[np.ndarray]) -> None:
    arrays = list(ours)
    assert [array.shape for array in arrays] == [array.shape for array in theirs]
    assert all(array.dtype == np.float32 for array in arrays)
    assert max(np.abs(one - other).max() for one, other in zip(arrays, theirs, strict=True)) <= BOUND


def test_golden_file_holds_these_forms() -> None:
    assert list(GOLDEN["forms"]) == NAMES
    assert GOLDEN["made_with"] == {"fastembed": "0.9.1"}
    for name in NAMES:
        assert len(golden(name, "documents")) == len(DOCUMENTS)
        assert len(golden(name, "queries")) == len(QUERIES)
    # The forms differ: filled or not, unit length or not, punctuation kept or not.
    assert [len(golden(name, "queries")[0]) for name in NAMES] == [32, 32, 32, 7, 5]
    lengths = [float(np.linalg.norm(golden(name, "queries")[0], axis=1).max()) for name in NAMES]
    assert min(lengths[:3]) > 1.1
    assert lengths[3:] == pytest.approx([1, 1], abs=1e-5)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("batch_size", "parallel", "token_budget"), [(256, None, None), (1, None, None), (2, 2, 60), (256, 0, 100_000)]
)
def test_vectors_equal_those_of_fastembed(
    name: str, batch_size: int, parallel: int | None, token_budget: int | None, open_form: Open
) -> None:
    model = open_form(name, token_budget=token_budget)
    compare(model.embed(iter(DOCUMENTS), batch_size, parallel), golden(name, "documents"))
    compare(model.passage_embed(DOCUMENTS, batch_size, parallel), golden(name, "documents"))
    compare(model.query_embed(iter(QUERIES), batch_size, parallel), golden(name, "queries"))


@pytest.mark.parametrize("name", NAMES)
def test_neither_order_nor_neighbours_change_a_vector(name: str, open_form: Open) -> None:
    model = open_form(name, token_budget=100_000)
    for embed, texts, side in (
        (model.embed, DOCUMENTS, "documents"),
        (model.query_embed, QUERIES, "queries"),
    ):
        order = list(range(len(texts))) * 3
        random.Random(4).shuffle(order)
        expected = golden(name, side)
        compare(embed([texts[position] for position in order]), [expected[position] for position in order])
        compare((next(embed(text)) for text in texts), expected)
        compare(embed([texts[0]] * 5), [expected[0]] * 5)


@pytest.mark.parametrize("name", NAMES)
def test_token_counts_equal_those_of_fastembed(name: str, open_form: Open) -> None:
    model = open_form(name, lazy_load=True)
    counts = GOLDEN["forms"][name]["counts"]
    for batch_size in (1024, 3):
        for is_doc, texts, key in ((True, DOCUMENTS, "documents"), (False, QUERIES, "queries")):
            assert model.token_count(texts, batch_size, is_doc) == counts[key]
            assert model.token_count(texts, batch_size, is_doc, True) == counts[f"{key}_extended"]
    assert model.max_length == (LIMIT if "lightonai" not in name else LIMIT + 1)


@pytest.mark.parametrize("name", NAMES)
def test_documents_leave_out_what_fastembed_leaves_out(name: str, open_form: Open) -> None:
    base = load_tokenizer(Path(open_form(name, lazy_load=True).options["specific_model_path"]), None)
    model = late_interaction_registry.find(name)
    documents, queries = (
        marking_tokenizer([base], model, "document", chosen=False),
        marking_tokenizer([base], model, "query", chosen=False),
    )
    assert set(documents.marking.skipped.tolist()) - {0, 1} == set(GOLDEN["forms"][name]["skipped"]) - {0, 1}
    assert queries.marking.skipped.size == 0


@pytest.mark.parametrize("name", NAMES)
def test_every_row_has_its_token(name: str, open_form: Open) -> None:
    model = open_form(name)
    for texts, input_type, key in ((DOCUMENTS, "document", "documents"), (QUERIES, "query", "queries")):
        told = list(model.tokens(texts, input_type))  # type: ignore[arg-type]
        assert [len(tokens) for tokens in told] == [len(rows) for rows in golden(name, key)]


def test_vectors_are_the_callers_own(open_form: Open) -> None:
    model = open_form(NAMES[0])
    first, second = model.embed(["hello world", "hello world"])
    first[:] = 7
    assert np.abs(second - golden(NAMES[0], "documents")[0]).max() <= BOUND
    assert first.base is None
