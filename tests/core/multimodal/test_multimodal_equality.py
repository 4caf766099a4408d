"""Both multimodal kinds of fastembed 0.9.1 give its vectors, and ColQwen2 those that transformers' inputs lead to.

The golden file is made by ``tests/golden/make_multimodal.py`` with the same folders.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnxembed.api import graph_file
from onnxembed.formats.onnx_graph import inspect_graph
from onnxembed.multimodal.colpali import ColPali
from onnxembed.multimodal.colqwen2 import ColQwen2
from onnxembed.multimodal.graph import MultimodalGraph
from onnxembed.multimodal.model import LateInteractionMultimodalEmbedding
from onnxembed.text.graph import PaddedTokens
from onnxembed.text.tokenizer import load_tokenizer
from tests.fixtures.graph_runs import run_graph
from tests.fixtures.images import golden_bound
from tests.fixtures.multimodal_models import (
    COLMODERNVBERT,
    COLPALI,
    COLQWEN2,
    DIM,
    QUERIES,
    Form,
    pictures,
)
from tests.fixtures.spies import spied

FormFolder = Callable[[Form], Path]
KINDS = (COLPALI, COLMODERNVBERT, COLQWEN2)
BOUND = golden_bound(1e-5, old_pillow=0.01)


def opened(folder: Path, kind: str, **options: Any) -> LateInteractionMultimodalEmbedding:
    """The catalogue's model with the files of a folder; of ColQwen2, which is in no catalogue, the folder itself."""
    if kind == COLQWEN2:
        return LateInteractionMultimodalEmbedding(folder, **options)
    return LateInteractionMultimodalEmbedding(kind, specific_model_path=folder, **options)


def compare(ours: Iterable[np.ndarray], theirs: Sequence[dict[str, Any]], bound: float = BOUND) -> None:
    arrays = list(ours)
    assert [list(array.shape) for array in arrays] == [expected["shape"] for expected in theirs]
    weights = np.cos(np.arange(DIM))
    for array, expected in zip(arrays, theirs, strict=True):
        assert array.dtype == np.float32
        assert np.abs(array[:, 0] - expected["first"]).max() <= bound
        assert np.abs(array @ weights - expected["sums"]).max() <= 5 * bound


def test_golden_file_can_tell_differences(golden: dict[str, Any]) -> None:
    assert golden["made_with"]["fastembed"] == "0.9.1"
    for kind in KINDS:
        texts, images = golden[kind]["texts"], golden[kind]["images"]
        assert len(texts) == len(QUERIES)
        assert len(images) == len(pictures())
        # Rows differ from each other, and pictures too, in which order they may have equal shapes.
        assert np.std(texts[0]["sums"]) > 0.1
        for one, other in pairwise(images):
            assert one["shape"] != other["shape"] or np.abs(np.subtract(one["sums"], other["sums"])).max() > 0.01
    assert {tuple(image["shape"]) for image in golden[COLPALI]["images"]} == {(1030, DIM)}
    assert len({image["shape"][0] for image in golden[COLMODERNVBERT]["images"]}) >= 3
    assert len({image["shape"][0] for image in golden[COLQWEN2]["images"]}) >= 3


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("batch_size", "parallel", "token_budget"), [(256, None, None), (1, None, 100_000), (4, 2, 100_000), (3, 0, 2500)]
)
def test_vectors_equal_those_of_the_peers(
    kind: str,
    batch_size: int,
    parallel: int | None,
    token_budget: int | None,
    golden: dict[str, Any],
    form_folder: FormFolder,
) -> None:
    model = opened(form_folder(Form(kind)), kind, token_budget=token_budget)
    compare(model.embed_text(iter(QUERIES), batch_size, parallel), golden[kind]["texts"])
    compare(model.embed_query(QUERIES, batch_size, parallel), golden[kind]["texts"])
    compare(model.embed_image(iter(pictures()), batch_size, parallel), golden[kind]["images"])


@pytest.mark.parametrize("budget", [None, 100_000])
def test_pictures_that_are_not_split(budget: int | None, golden: dict[str, Any], form_folder: FormFolder) -> None:
    model = opened(form_folder(Form(COLMODERNVBERT, split=False)), COLMODERNVBERT, token_budget=budget)
    expected = golden["Qdrant/colmodernvbert, not split"]["images"]
    assert len({image["shape"][0] for image in expected}) == 1
    compare(model.embed_image(pictures(), 4), expected)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("pixels", "lone"), [("one", False), ("tied", True)])
def test_graphs_made_for_one_item(
    kind: str, pixels: str, lone: bool, golden: dict[str, Any], form_folder: FormFolder
) -> None:
    model = opened(form_folder(Form(kind, pixels=pixels, lone=lone)), kind, token_budget=100_000)
    compare(model.embed_text(QUERIES), golden[kind]["texts"])
    compare(model.embed_image(pictures(), 4), golden[kind]["images"])


@pytest.mark.parametrize("kind", KINDS)
def test_neither_order_nor_neighbours_change_a_vector(
    kind: str, golden: dict[str, Any], form_folder: FormFolder
) -> None:
    model = opened(form_folder(Form(kind)), kind, token_budget=100_000)
    kinds: tuple[tuple[Callable[[list[Any]], Iterator[np.ndarray]], list[Any], str], ...] = (
        (model.embed_text, list(QUERIES), "texts"),
        (lambda images: model.embed_image(images, 16), pictures(), "images"),
    )
    for embed, items, key in kinds:
        order = list(range(len(items))) * 2
        random.Random(4).shuffle(order)
        expected = golden[kind][key]
        compare(embed([items[position] for position in order]), [expected[position] for position in order])
        compare((next(embed([item])) for item in items), expected)
        compare(embed([items[0]] * 3), [expected[0]] * 3)


@pytest.mark.parametrize("kind", [COLPALI, COLMODERNVBERT])
def test_token_counts_equal_those_of_fastembed(kind: str, golden: dict[str, Any], form_folder: FormFolder) -> None:
    model = opened(form_folder(Form(kind)), kind, lazy_load=True, threads=3)  # of its own, for it shares no engine
    for batch_size in (1024, 2):
        counts = [model.token_count(QUERIES, batch_size, extended) for extended in (False, True)]
        assert counts == golden[kind]["counts"]
    assert model.token_count([]) == 0
    assert not model.loaded


def test_fastembed_gives_rows_of_padding_where_they_are_left_out_here(
    golden: dict[str, Any], form_folder: FormFolder
) -> None:
    """fastembed's ColPali pads all queries of a batch to one number of rows; here each has its own tokens alone."""
    longest = max(expected["shape"][0] for expected in golden[COLPALI]["texts"])
    assert {shape[0] for shape in golden[COLPALI]["shapes_together"]} == {longest}
    model = opened(form_folder(Form(COLPALI)), COLPALI, token_budget=1_000_000)
    shapes = [rows.shape[0] for rows in model.embed_text(QUERIES)]
    assert shapes == [expected["shape"][0] for expected in golden[COLPALI]["texts"]]
    assert len(set(shapes)) > 3


@pytest.mark.parametrize("kind", KINDS)
def test_padding_before_the_text_changes_nothing(kind: str, golden: dict[str, Any], form_folder: FormFolder) -> None:
    """fastembed's ColPali writes its marker over the first two columns, which are padding then; here over the text."""
    model = opened(form_folder(Form(kind, left=True)), kind, token_budget=1_000_000)
    compare(model.embed_text(QUERIES), golden[kind]["texts"])
    compare(model.embed_image(pictures()), golden[kind]["images"])


@pytest.mark.parametrize(
    ("kind", "pixels"), [(COLPALI, "free"), (COLPALI, "default"), (COLQWEN2, "free"), (COLQWEN2, "flat")]
)
def test_blank_pictures_in_every_form(
    kind: str, pixels: str, golden: dict[str, Any], form_folder: FormFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = opened(form_folder(Form(kind, pixels=pixels)), kind, token_budget=100_000)
    fed: list[tuple[int, ...]] = []
    conventions = ColPali if kind == COLPALI else ColQwen2
    blank = conventions.blank

    def watched(self: Any, count: int) -> Any:
        made = blank(self, count)
        fed.append(made["pixel_values"].shape)
        return made

    monkeypatch.setattr(conventions, "blank", watched)
    compare(model.embed_text(QUERIES), golden[kind]["texts"])
    one = {COLPALI: (1, 3, 448, 448), COLQWEN2: (1, 4, 1176) if pixels == "free" else (4, 1176)}[kind]
    assert set(fed) == (set() if pixels == "default" else {one})
    compare(model.embed_image(pictures(), 4), golden[kind]["images"])


def test_texts_with_a_blank_picture_each_run_few_at_a_time(
    form_folder: FormFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """fastembed feeds a blank picture a query, 256 at once; here their 1,024 positions each count."""
    sizes: list[int] = []
    monkeypatch.setattr(ColPali, "blank", spied(ColPali.blank, lambda conventions, count: sizes.append(count)))
    for threads, budget, most in ((1, None, 1), (2, None, 1), (16, None, 3), (4, 5000, 4)):
        model = opened(form_folder(Form(COLPALI)), COLPALI, threads=threads, token_budget=budget)
        sizes.clear()
        assert len(list(model.embed_text(["hello world"] * 7))) == 7
        assert max(sizes) == most
        assert sum(sizes) == 7


def test_texts_without_a_picture_input(form_folder: FormFolder) -> None:
    model = opened(form_folder(Form(COLPALI, pixels="none")), COLPALI, token_budget=100_000)
    alone = [next(model.embed_text(text)) for text in QUERIES]
    for one, other in zip(alone, model.embed_text(QUERIES), strict=True):
        assert np.abs(one - other).max() <= BOUND


def test_graph_without_a_mask_runs_texts_alone(golden: dict[str, Any], form_folder: FormFolder) -> None:
    model = opened(form_folder(Form(COLPALI, masked=False)), COLPALI, token_budget=100_000)
    compare(model.embed_text(QUERIES), golden[COLPALI]["texts"])


@pytest.mark.parametrize("kind", KINDS)
def test_half_precision_comes_back_as_float32(kind: str, golden: dict[str, Any], form_folder: FormFolder) -> None:
    model = opened(form_folder(Form(kind, half=True)), kind)
    compare(model.embed_text(QUERIES), golden[kind]["texts"], 2e-3)
    compare(model.embed_image(pictures()), golden[kind]["images"], 2e-3)


def test_dynamically_quantised_graphs_run_items_alone(form_folder: FormFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    batches: list[int] = []
    run = MultimodalGraph.run

    def watched(self: MultimodalGraph, padded: PaddedTokens, *others: Any) -> np.ndarray:
        batches.append(len(padded.ids))
        return run(self, padded, *others)

    monkeypatch.setattr(MultimodalGraph, "run", watched)
    folder = form_folder(Form(COLQWEN2))
    facts = inspect_graph(folder / "model.onnx")
    quantised = facts.operators | {("", "DynamicQuantizeLinear")}
    for threads, operators, most in ((3, facts.operators, 3), (2, quantised, 1)):  # of other threads: another engine
        told = replace(facts, operators=operators)
        monkeypatch.setattr(graph_file, "inspect_graph", lambda _, told=told: told)
        model = opened(folder, COLQWEN2, token_budget=100_000, threads=threads)
        batches.clear()
        assert len(list(model.embed_text(["hello"] * 3))) == len(list(model.embed_image([pictures()[0]] * 3, 3))) == 3
        assert max(batches) == most
        assert sum(batches) == 6


def test_ids_of_colqwen2_equal_those_of_its_processor(golden: dict[str, Any], form_folder: FormFolder) -> None:
    folder = form_folder(Form(COLQWEN2))
    tokenizer = load_tokenizer(folder, None)
    conventions = ColQwen2(folder, tokenizer, flat=False)
    queries = [conventions.query(text) for text in QUERIES]
    assert [tokens.ids.tolist() for tokens in tokenizer.encode(queries, 0, truncate=True)] == golden[COLQWEN2][
        "text_ids"
    ]
    assert [conventions.page(image).ids.tolist() for image in pictures()] == golden[COLQWEN2]["image_ids"]
    pad = tokenizer.backend.token_to_id("<|endoftext|>")
    assert [ids.count(pad) for ids in golden[COLQWEN2]["text_ids"]] == [10] * len(QUERIES)


def test_limit_of_queries_does_not_cut_prompts_of_pictures(golden: dict[str, Any], form_folder: FormFolder) -> None:
    for kind in KINDS:
        model = opened(form_folder(Form(kind)), kind, max_length=12)
        compare(model.embed_image(pictures()), golden[kind]["images"])
        assert [len(rows) for rows in model.embed_text(["hello world " * 9])] == [12]


def test_marker_of_a_query_cut_to_one_token(form_folder: FormFolder) -> None:
    (rows,) = opened(form_folder(Form(COLPALI)), COLPALI, max_length=2).embed_text("hello")
    folder = form_folder(Form(COLPALI))
    feed = {
        "input_ids": np.array([[2, 5098]]),
        "attention_mask": np.ones((1, 2), np.int64),
        "pixel_values": np.zeros((1, 3, 448, 448), np.float32),
    }
    assert np.abs(rows - run_graph(folder / "model.onnx", feed)["vectors"][0]).max() <= BOUND


def test_vectors_are_the_callers_own(form_folder: FormFolder) -> None:
    model = opened(form_folder(Form(COLMODERNVBERT)), COLMODERNVBERT)
    for rows in (*model.embed_text(["a", "a"]), *model.embed_image([pictures()[0]] * 2)):
        assert rows.base is None
        assert rows.flags.writeable
