"""Late-interaction graphs of every kind: with token types, without a mask, padded on the left, with linear layers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from onnxembed.api.inputs import check_texts
from onnxembed.errors import InputTypeError, ModelError
from onnxembed.late_interaction.colbert import ColbertWork, TokenHead
from onnxembed.late_interaction.model import LateInteractionTextEmbedding
from onnxembed.late_interaction.tokens import Marking, MarkingTokenizer
from onnxembed.testing import FakeSession
from onnxembed.text.graph import TextGraph
from onnxembed.text.stages import DenseLayer
from onnxembed.text.tokenizer import load_tokenizer
from onnxembed.text.vector_stage import Activation
from tests.fixtures.dense_graphs import GraphForm, write_graph
from tests.fixtures.dense_tokenizers import CLS_ID, SEP_ID, TokenizerForm, word_pieces, write_tokenizer
from tests.fixtures.late_interaction_models import LIMIT, write_files_of_tokenizer, write_token_graph

BOUND = 1e-5
NAME = "colbert-ir/colbertv2.0"
TEXTS = ("hello world", "", "the quick, brown fox.", "a", "hello " * 36)


def vectors_of(path: Path, **feed: list[int]) -> np.ndarray:
    """What the graph gives for one text, by itself."""
    session = onnxruntime.InferenceSession(path)
    (output,) = session.run(None, {name: np.array([values]) for name, values in feed.items()})
    vectors: np.ndarray = np.asarray(output)[0]
    return vectors


def ids_of(text: str, marker: int) -> list[int]:
    tokenizer = word_pieces()
    tokenizer.enable_truncation(LIMIT - 1)
    ids = tokenizer.encode(text).ids
    return [ids[0], marker, *ids[1:]]


def unit(rows: np.ndarray) -> np.ndarray:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


@pytest.mark.parametrize("first_type", [0, 2])
def test_graph_with_token_types(first_type: int, tmp_path: Path) -> None:
    """fastembed fails there, since its types lack the marker's column."""
    write_tokenizer(tmp_path, TokenizerForm(max_length=LIMIT, first_type=first_type))
    inputs = ("input_ids", "attention_mask", "token_type_ids")
    write_token_graph(tmp_path / "model.onnx", seed=11, inputs=inputs)
    model = LateInteractionTextEmbedding(NAME, specific_model_path=tmp_path)
    punctuation = {word_pieces().token_to_id(mark) for mark in ".,"}
    for text, document, query in zip(TEXTS, model.embed(TEXTS), model.query_embed(TEXTS), strict=True):
        ids = ids_of(text, 2)
        feed = {"attention_mask": [1] * len(ids), "token_type_ids": [first_type, *[0] * (len(ids) - 1)]}
        rows = unit(vectors_of(tmp_path / "model.onnx", input_ids=ids, **feed))
        # The first piece of a character that the vocabulary lacks is the unknown token.
        keep = [number not in punctuation | {1} for number in ids]
        assert np.abs(document - rows[keep]).max() <= BOUND
        ids = ids_of(text, 1)
        missing = max(0, 32 - len(ids))
        feed = {
            "attention_mask": [1] * len(ids) + [0] * missing,
            "token_type_ids": [first_type, *[0] * (len(ids) - 1 + missing)],
        }
        rows = vectors_of(tmp_path / "model.onnx", input_ids=ids + [4] * missing, **feed)
        assert np.abs(query - rows).max() <= BOUND


def test_graph_without_a_mask_never_sees_padding(tmp_path: Path) -> None:
    """fastembed fails there with a KeyError."""
    write_files_of_tokenizer(tmp_path, "wordpiece")
    write_token_graph(tmp_path / "model.onnx", seed=12, inputs=("input_ids",))
    model = LateInteractionTextEmbedding(NAME, specific_model_path=tmp_path, token_budget=10_000)
    queries = list(model.query_embed(TEXTS))
    for text, query in zip(TEXTS, queries, strict=True):
        ids = ids_of(text, 1)
        rows = vectors_of(tmp_path / "model.onnx", input_ids=ids + [4] * (32 - len(ids)))
        assert np.abs(query - rows).max() <= BOUND
    documents = list(model.embed(TEXTS))
    assert (
        np.abs(documents[0] - unit(vectors_of(tmp_path / "model.onnx", input_ids=ids_of(TEXTS[0], 2)))).max() <= BOUND
    )


def fake_work(folder: Path, compute: Any, *, left: bool, marking: Marking) -> tuple[ColbertWork, FakeSession]:
    write_files_of_tokenizer(folder, "wordpiece")
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text(encoding="utf-8")) | {"padding_side": "left" if left else "right"}
    path.write_text(json.dumps(config), encoding="utf-8")
    tokenizer = load_tokenizer(folder, None)
    session = FakeSession(compute, ("out",))
    graph = TextGraph((session,), {"input_ids": 7, "attention_mask": 7}, tokenizer)  # type: ignore[arg-type]
    head = TokenHead("out", (), normalize=False)
    return ColbertWork(graph, MarkingTokenizer(tokenizer, marking), head, truncate=True), session


def echo(feed: Any) -> dict[str, np.ndarray]:
    """Each position's id is its vector."""
    return {"out": feed["input_ids"][:, :, None].astype(np.float16)}


@pytest.mark.parametrize("left", [True, False])
def test_rows_and_masks_on_either_side_of_padding(left: bool, tmp_path: Path) -> None:
    marking = Marking(marker=60, length=6, filler=4, attend=False, skipped=np.array([SEP_ID], dtype=np.int32))
    work, session = fake_work(tmp_path, echo, left=left, marking=marking)
    prepared = work.prepare(["a", "hello world hello world hello"], 0)
    assert work.costs(prepared) == [6, 8]
    short, long = work.run(prepared, 0)
    letter, hello = word_pieces().token_to_id("a"), word_pieces().token_to_id("hello")
    assert short[:, 0].tolist() == [CLS_ID, 60, letter, 4, 4]
    assert long[:3, 0].tolist() == [CLS_ID, 60, hello]
    assert len(long) == 7
    assert short.dtype == np.float32
    mask = session.calls[0]["attention_mask"][0].tolist()
    assert mask == ([0, 0, 1, 1, 1, 1, 0, 0] if left else [1, 1, 1, 1, 0, 0, 0, 0])
    assert session.calls[0]["attention_mask"][1].tolist() == 8 * [1]


def test_text_of_which_nothing_is_kept(tmp_path: Path) -> None:
    marking = Marking(None, None, 0, attend=False, skipped=np.arange(200, dtype=np.int32))
    work, _ = fake_work(tmp_path, echo, left=False, marking=marking)
    first, second = work.run(work.prepare(["a", "hello"], 0), 0)
    assert first.shape == second.shape == (0, 1)


def test_only_strings_are_taken(tmp_path: Path) -> None:
    work, _ = fake_work(tmp_path, echo, left=False, marking=Marking(None, None, 0, False, np.zeros(0, np.int32)))
    assert work.size("four") == 4
    assert check_texts("a", "texts").items == ("a",)
    with pytest.raises(InputTypeError, match="text 3 is an int"):
        check_texts(["a", "b", "c", 5], "texts")


def test_head_projects_then_scales() -> None:
    layers = (
        DenseLayer(np.array([[1, 0], [0, 2], [1, 1]], np.float32), None, Activation.IDENTITY),
        DenseLayer(np.array([[1, 0, 0], [0, 1, 0]], np.float32), np.array([2, 0], np.float32), Activation.IDENTITY),
    )
    states = np.array([[1, 2], [-2, 0]], np.float16)
    raw = TokenHead("out", layers, normalize=False).apply(states)
    assert raw.dtype == np.float32
    assert raw.tolist() == [[3, 4], [0, 0]]
    scaled = TokenHead("out", layers, normalize=True).apply(states)
    assert scaled == pytest.approx(np.array([[0.6, 0.8], [0, 0]]), abs=1e-7)


def test_graph_of_pooled_vectors_is_refused(tmp_path: Path) -> None:
    write_files_of_tokenizer(tmp_path, "wordpiece")
    write_graph(tmp_path / "model.onnx", GraphForm(output="sentence", seed=13))
    with pytest.raises(
        ModelError, match=r"gives no vector per token: its outputs are sentence_embedding \['batch', 16\]"
    ):
        LateInteractionTextEmbedding(NAME, specific_model_path=tmp_path)
