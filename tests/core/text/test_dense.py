"""What a graph is fed, and what becomes of its output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from onnxembed import TextEmbedding
from onnxembed.errors import ModelError
from onnxembed.spec import PoolingType
from onnxembed.text.dense import DenseWork, Projection
from onnxembed.text.graph import PaddedTokens, TextGraph
from onnxembed.text.tokenizer import TextTokenizer, Tokens
from onnxembed.text.tokenizer_rules import TokenizerRules
from tests.fixtures.dense_graphs import HIDDEN, GraphForm, write_graph
from tests.fixtures.dense_models import TEXTS
from tests.fixtures.dense_tokenizers import SEP_ID, TokenizerForm, word_pieces, write_tokenizer

if TYPE_CHECKING:
    from tests.core.text.conftest import OpenVariant

INT32, INT64 = 6, 7
PAD = 9


class FakeSession:
    """Notes what it is fed, and gives the token ids as vectors of two numbers."""

    def __init__(self) -> None:
        self.fed: list[dict[str, np.ndarray]] = []

    def run(self, outputs: Sequence[str], feed: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        assert outputs == ["out"]
        self.fed.append(dict(feed))
        ids = feed["input_ids"].astype(np.float32)
        return [np.stack([ids, -ids], axis=-1)]


def family(
    types: dict[str, int],
    *,
    sessions: int = 1,
    left: bool = False,
    fixed: int | None = None,
    task: int | None = None,
    prompt: str = "",
    **projection: Any,
) -> tuple[DenseWork, list[FakeSession]]:
    fakes = [FakeSession() for _ in range(sessions)]
    rules = TokenizerRules(fixed or 48, "test", truncate_left=False, pad_left=left, pad_id=PAD)
    tokenizer = TextTokenizer(word_pieces(), rules, add_special_tokens=True)
    graph = TextGraph(tuple(fakes), types, tokenizer, pad_to_max_length=fixed is not None)  # type: ignore[arg-type]
    chosen: dict[str, Any] = {"poolings": (PoolingType.MEAN,), "normalize": False} | projection
    return DenseWork(graph, Projection("out", **chosen), prompt, task, truncate=True), fakes


def tokens(*ids: int, types: Sequence[int] | None = None) -> Tokens:
    return Tokens(np.array(ids, np.int32), None if types is None else np.array(types, np.int32))


ALL = {"input_ids": INT64, "attention_mask": INT64, "token_type_ids": INT64, "position_ids": INT64}


def test_feed_padded_right() -> None:
    one, (session,) = family(ALL)
    vectors = one.run([tokens(1, 2, 3), tokens(4)], 0)
    assert vectors.tolist() == [[2, -2], [4, -4]]
    (fed,) = session.fed
    assert {name: array.tolist() for name, array in fed.items()} == {
        "input_ids": [[1, 2, 3], [4, PAD, PAD]],
        "attention_mask": [[1, 1, 1], [1, 0, 0]],
        "token_type_ids": [[0, 0, 0], [0, 0, 0]],
        "position_ids": [[0, 1, 2], [0, 0, 0]],
    }
    assert {array.dtype for array in fed.values()} == {np.dtype(np.int64)}


def test_feed_padded_left() -> None:
    one, (session,) = family(ALL, left=True, poolings=(PoolingType.LAST_TOKEN,))
    vectors = one.run([tokens(1, 2, 3, types=[2, 0, 1]), tokens(4, types=[1])], 0)
    assert vectors.tolist() == [[3, -3], [4, -4]]
    assert {name: array.tolist() for name, array in session.fed[0].items()} == {
        "input_ids": [[1, 2, 3], [PAD, PAD, 4]],
        "attention_mask": [[1, 1, 1], [0, 0, 1]],
        "token_type_ids": [[2, 0, 1], [0, 0, 1]],
        "position_ids": [[0, 1, 2], [0, 0, 0]],
    }


def test_feed_has_the_declared_inputs_and_types_alone() -> None:
    one, (session,) = family({"input_ids": INT32, "attention_mask": INT64})
    one.run([tokens(1, 2)], 0)
    (fed,) = session.fed
    assert {name: array.dtype for name, array in fed.items()} == {"input_ids": np.int32, "attention_mask": np.int64}


def test_task_is_a_number_without_dimensions() -> None:
    one, (session,) = family({"input_ids": INT64, "task_id": INT64}, task=3)
    one.run([tokens(1, 2)], 0)
    assert session.fed[0]["task_id"].shape == ()
    assert session.fed[0]["task_id"] == 3


def test_fixed_length() -> None:
    one, (session,) = family({"input_ids": INT64}, fixed=5, poolings=(PoolingType.CLS,))
    assert one.costs([tokens(1)]) == [5]
    one.run([tokens(1), tokens(2, 3)], 0)
    assert session.fed[0]["input_ids"].tolist() == [[1, PAD, PAD, PAD, PAD], [2, 3, PAD, PAD, PAD]]


def test_batches_go_to_the_devices_in_turn() -> None:
    one, sessions = family({"input_ids": INT64}, sessions=2)
    for worker in range(5):
        one.run([tokens(worker)], worker)
    assert [[fed["input_ids"].item() for fed in session.fed] for session in sessions] == [[0, 2, 4], [1, 3]]


def test_prepare_puts_the_prompt_first() -> None:
    one, _ = family({"input_ids": INT64}, prompt="hello ")
    prompted = one.prepare(["world", ""], 0)
    reference = word_pieces()
    assert [item.ids.tolist() for item in prompted] == [
        reference.encode(text).ids for text in ("hello world", "hello ")
    ]
    assert one.costs(prompted) == [4, 3]
    assert one.size("abc") == 3


def test_texts_without_tokens_are_zero_and_harm_nobody() -> None:
    one, (session,) = family(ALL, poolings=(PoolingType.CLS,), normalize=True)
    vectors = one.run([tokens(), tokens(5)], 0)
    assert vectors.tolist() == [[0, 0], [np.float32(0.5**0.5), -np.float32(0.5**0.5)]]
    assert one.run([tokens()], 0).tolist() == [[0, 0]]
    assert session.fed[1]["input_ids"].tolist() == [[PAD]]


def test_shortened_vectors() -> None:
    one, _ = family({"input_ids": INT64}, dim=1, normalize=True)
    assert one.run([tokens(3)], 0).tolist() == [[1]]
    whole, _ = family({"input_ids": INT64}, dim=2, layer_norm=True)
    assert whole.run([tokens(3)], 0).tolist() == [[3, -3]]
    standard, _ = family({"input_ids": INT64}, dim=1, layer_norm=True)
    assert standard.run([tokens(3)], 0) == pytest.approx(np.array([[1]]), abs=1e-5)


def test_more_numbers_than_there_are() -> None:
    one, _ = family({"input_ids": INT64}, dim=3)
    with pytest.raises(ValueError, match=r"dim=3.*vectors of 2 numbers"):
        one.run([tokens(1)], 0)


@pytest.mark.parametrize("types", [{}, {"attention_mask": INT64}, {"input_ids": INT64, "pixel_values": 1}])
def test_graphs_that_take_no_texts(types: dict[str, int]) -> None:
    with pytest.raises(ModelError, match=r"the graph takes .*; expected input_ids.*Is this a text embedding model"):
        family(types)


def test_graphs_that_need_a_task() -> None:
    with pytest.raises(ModelError, match=r"has a task_id input.*specific_model_path="):
        family({"input_ids": INT64, "task_id": INT64})


def test_position_ids_of_a_real_graph(tmp_path: Path) -> None:
    """Fed position numbers are those that the same graph counts by itself."""
    write_tokenizer(tmp_path, TokenizerForm())
    write_graph(tmp_path / "model.onnx", GraphForm(("input_ids", "attention_mask"), seed=50))
    counted = TextEmbedding(tmp_path, pooling="MEAN").embed_to_array(TEXTS)
    fed = tmp_path / "fed"
    fed.mkdir()
    write_tokenizer(fed, TokenizerForm())
    write_graph(fed / "model.onnx", GraphForm(("input_ids", "attention_mask", "position_ids"), seed=50))
    assert np.abs(TextEmbedding(fed, pooling="MEAN").embed_to_array(TEXTS) - counted).max() <= 1e-6


# -- graphs that scale their activations at run time -----------------------------------------------------------------


QUANTIZED_COSINE = 0.999
"""How near the eight bit graph is to the same weights in float32; stated apart from the bound of float32 models."""


def quantized(folder: Path, *, quantize: bool) -> TextEmbedding:
    folder.mkdir()
    write_tokenizer(folder, TokenizerForm())
    write_graph(folder / "model.onnx", GraphForm(quantized=quantize, seed=51))
    return TextEmbedding(folder, pooling="MEAN", normalize=True)


def test_dynamic_quantisation_does_not_mix_neighbours(tmp_path: Path) -> None:
    model = quantized(tmp_path / "int8", quantize=True)
    together = model.embed_to_array(TEXTS)
    for batch_size, parallel in ((1, None), (256, 2), (3, 0)):
        assert np.array_equal(model.embed_to_array(TEXTS, batch_size, parallel), together)
    assert np.array_equal(model.embed_to_array(TEXTS[::-1]), together[::-1])
    assert np.array_equal(np.stack([next(model.embed(text)) for text in TEXTS]), together)


def test_dynamic_quantisation_is_near_the_same_weights_in_float32(tmp_path: Path) -> None:
    ours = quantized(tmp_path / "int8", quantize=True).embed_to_array(TEXTS)
    exact = quantized(tmp_path / "float32", quantize=False).embed_to_array(TEXTS)
    cosines = (ours * exact).sum(axis=1)
    assert cosines.min() >= QUANTIZED_COSINE
    assert np.abs(ours - exact).max() > 1e-5


def test_neighbours_would_matter_to_a_quantised_graph(tmp_path: Path) -> None:
    """The reason for running each text alone: in one batch the same text has another vector."""
    import onnxruntime

    quantized(tmp_path / "int8", quantize=True)
    session = onnxruntime.InferenceSession(tmp_path / "int8" / "model.onnx")
    ids = np.array([[2, SEP_ID], [30, 60]])
    zeros = np.zeros_like(ids)
    feed = {"input_ids": ids, "attention_mask": zeros + 1, "token_type_ids": zeros}
    (both,) = session.run(None, feed)
    (alone,) = session.run(None, {name: array[:1] for name, array in feed.items()})
    assert both.shape == (2, 2, HIDDEN)
    assert np.abs(both[0] - alone[0]).max() > 1e-4


def test_each_text_of_a_masked_float_graph_may_share_a_batch(
    open_variant: OpenVariant, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    run = TextGraph.run

    def counted(graph: TextGraph, outputs: Sequence[str], padded: PaddedTokens, *given: Any, **named: Any) -> Any:
        sizes.append(len(padded.ids))
        return run(graph, outputs, padded, *given, **named)

    monkeypatch.setattr(TextGraph, "run", counted)
    for name, expected in (("mean_norm", [2]), ("no_mask", [1, 1]), ("siglip", [2])):
        sizes.clear()
        open_variant(name).embed_to_array(["hello", "world"])
        assert sizes == expected, name
