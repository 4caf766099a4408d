from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from onnxembed.compile import compile_model
from onnxembed.errors import InputError, ModelError
from onnxembed.formats.safetensors import SafetensorsFile
from onnxembed.spec import GraphHead
from tests.fixtures.graph_runs import Feed, run_graph, token_batch
from tests.fixtures.model_rows import ROWS, read_row, write_row

LENGTHS = (5, 1, 12)
IDS = (261, 7, 262)


def reranker(name: str, folder: Path) -> Path:
    return write_row(read_row(ROWS / f"decoder-{name}-yes-no.json"), folder)


def tokens() -> Feed:
    feed = token_batch(LENGTHS, vocab=320)
    del feed["token_type_ids"]
    return feed


def token_logits(folder: Path, ids: tuple[int, ...] = IDS) -> NDArray[Any]:
    compile_model(folder, folder / "logits.onnx", head=GraphHead.TOKEN_LOGITS, tokens=ids)
    return run_graph(folder / "logits.onnx", tokens())["logits"]


@pytest.mark.parametrize(
    ("name", "decoder"), [("qwen3", "model.embed_tokens.weight"), ("qwen2", "lm_head.weight")], ids=["tied", "apart"]
)
def test_the_last_token_times_the_rows_of_the_decoder(tmp_path: Path, name: str, decoder: str) -> None:
    folder = reranker(name, tmp_path)
    compile_model(folder, folder / "vectors.onnx")
    states = run_graph(folder / "vectors.onnx", tokens())["last_hidden_state"]
    with SafetensorsFile(folder / "model.safetensors") as weights:
        rows = weights.tensor(decoder)[list(IDS)]
    expected = states[np.arange(3), np.array(LENGTHS) - 1] @ rows.T
    np.testing.assert_allclose(token_logits(folder), expected, atol=1e-5)


def test_a_decoder_that_is_there_is_taken_though_the_words_are_tied(tmp_path: Path) -> None:
    # Transformers 5 ties only what is missing or equal.
    apart = token_logits(reranker("qwen2", tmp_path))
    config = json.loads((tmp_path / "config.json").read_text()) | {"tie_word_embeddings": True}
    (tmp_path / "config.json").write_text(json.dumps(config))
    np.testing.assert_array_equal(token_logits(tmp_path), apart)


def test_their_order_is_that_of_the_ids(tmp_path: Path) -> None:
    folder = reranker("qwen3", tmp_path)
    np.testing.assert_allclose(token_logits(folder, IDS[::-1]), token_logits(folder)[:, ::-1], atol=1e-6)
    np.testing.assert_allclose(token_logits(folder, IDS[1:2]), token_logits(folder)[:, 1:2], atol=1e-6)


def test_the_rest_of_the_decoder_stays_out_of_the_graph(tmp_path: Path) -> None:
    folder = reranker("qwen2", tmp_path)
    token_logits(folder)
    with SafetensorsFile(folder / "model.safetensors") as weights:
        used = sum(np.prod(weights.shape(name)) for name in weights.names if name != "lm_head.weight")
        decoder = np.prod(weights.shape("lm_head.weight"))
    assert (folder / "logits.onnx").stat().st_size < 4 * (used + decoder)


@pytest.mark.parametrize("ids", [(), (320,), (1, -1)])
def test_ids_outside_the_vocabulary_are_an_error(tmp_path: Path, ids: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="expected at least one id below 320, the vocabulary"):
        token_logits(reranker("qwen3", tmp_path), ids)


def test_ids_go_with_this_head_only(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"tokens=\(1,\) with head=vectors; they go with head=GraphHead.TOKEN_LOGITS"):
        compile_model(reranker("qwen3", tmp_path), tmp_path / "graph.onnx", tokens=(1,))


def test_a_decoder_that_is_neither_tied_nor_there_is_an_error(tmp_path: Path) -> None:
    folder = reranker("qwen3", tmp_path)
    config = json.loads((folder / "config.json").read_text()) | {"tie_word_embeddings": False}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=r"missing: lm_head\.weight"):
        token_logits(folder)
