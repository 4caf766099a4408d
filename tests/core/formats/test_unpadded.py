"""Attention that holds no scores, where no text of a batch is padded and all are long."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from onnxembed.compile import compile_model
from onnxembed.formats.unpadded import LEAST_LENGTH, unpadded
from onnxembed.runtime.provider_traits import Operators
from onnxembed.spec import PoolingType
from tests.fixtures.graph_runs import run_graph, token_batch
from tests.fixtures.small_models import write_bert_folder

VOCABULARY = 90


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bert")
    write_bert_folder(folder, hidden=64, positions=LEAST_LENGTH + 64)
    compile_model(
        folder,
        folder / "model.onnx",
        pooling=PoolingType.MEAN,
        single_file=False,
        operators=Operators.STANDARD_ATTENTION,
    )
    return folder / "model.onnx"


def test_every_attention_has_both_ways_on_the_same_weights(graph: Path) -> None:
    chosen = unpadded(graph.read_bytes())
    assert chosen is not None
    before, after = onnx.load(graph, load_external_data=False), onnx.load_from_string(chosen)
    attentions = [node for node in before.graph.node if node.op_type == "Attention"]
    choices = [node for node in after.graph.node if node.op_type == "If"]
    assert len(attentions) == len(choices) == 2
    assert not [node for node in after.graph.node if node.op_type == "Attention"]
    for attention, choice in zip(attentions, choices, strict=True):
        assert list(choice.output) == list(attention.output)
        branches = {attribute.name: attribute.g for attribute in choice.attribute}
        assert list(branches["then_branch"].node[0].input) == list(attention.input)[:3]
        assert branches["then_branch"].node[0].op_type == "MultiHeadAttention"
        assert list(branches["else_branch"].node[0].input) == list(attention.input)
        assert not any(branch.initializer for branch in branches.values())
    stored = {tensor.name for tensor in before.graph.initializer}
    assert {tensor.name for tensor in after.graph.initializer} - stored == {"unpadded.from"}


@pytest.mark.parametrize(
    "lengths",
    [[LEAST_LENGTH], [LEAST_LENGTH + 9] * 3, [LEAST_LENGTH + 1, LEAST_LENGTH], [LEAST_LENGTH - 1] * 2, [7, 5]],
)
def test_the_vectors_stay(graph: Path, lengths: list[int]) -> None:
    feed = token_batch(lengths, vocab=VOCABULARY)
    expected = run_graph(graph, feed)
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(graph.parent))
    session = onnxruntime.InferenceSession(unpadded(graph.read_bytes()), options, providers=["CPUExecutionProvider"])
    for name, value in zip(expected, session.run(list(expected), feed), strict=True):
        tokens = feed["attention_mask"] > 0 if value.ndim == 3 else slice(None)
        bound = 1e-6 if name == "sentence_embedding" else 5e-6
        np.testing.assert_allclose(value[tokens], expected[name][tokens], atol=bound, rtol=0)
        if min(lengths) < LEAST_LENGTH or len(set(lengths)) > 1:
            assert np.array_equal(value[tokens], expected[name][tokens]), "as without a choice"


def test_a_graph_without_attention_by_lengths_is_left_alone(tmp_path: Path) -> None:
    nodes = [onnx.helper.make_node("Relu", ["x"], ["y"])]
    value = onnx.helper.make_tensor_value_info
    body = onnx.helper.make_graph(nodes, "test", [value("x", 1, [2])], [value("y", 1, [2])])
    assert unpadded(onnx.helper.make_model(body).SerializeToString()) is None
