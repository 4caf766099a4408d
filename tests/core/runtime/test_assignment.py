"""A provider that is registered and not used is told."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from types import SimpleNamespace

import pytest

from onnxembed.runtime.assignment import can_record, warn_of_unused

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


def session(**nodes: Sequence[str]) -> SimpleNamespace:
    """A session whose nodes went to providers, by their short names."""
    parts = [
        SimpleNamespace(
            ep_name=f"{short}ExecutionProvider",
            get_nodes=lambda operators=operators: [SimpleNamespace(op_type=operator) for operator in operators],
        )
        for short, operators in nodes.items()
    ]
    return SimpleNamespace(get_provider_graph_assignment_info=lambda: parts)


def test_a_provider_that_claims_no_node_is_named() -> None:
    with pytest.warns(RuntimeWarning, match=r"ggml was asked.*took none of the graph's 4 nodes \(MatMul x3\)"):
        warn_of_unused(session(CPU=["MatMul", "MatMul", "Add", "MatMul"]), "ggml")


def test_expensive_nodes_on_the_processor_are_told() -> None:
    with pytest.warns(RuntimeWarning, match=r"left 3 .* of the graph's 5 nodes.*\(MatMulInteger x2, Attention x1\)"):
        warn_of_unused(session(CUDA=["Add"], CPU=["MatMulInteger", "MatMulInteger", "Attention", "Shape"]), CUDA)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (session(CUDA=["MatMul"], CPU=["Shape", "ArgMax"]), CUDA),  # what is cheap may stay
        (session(CPU=["MatMul"]), CPU),
        (session(), CUDA),
        (SimpleNamespace(), CUDA),  # a release that does not tell
    ],
)
def test_silence_otherwise(given: SimpleNamespace, wanted: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_unused(given, wanted)


def test_releases_that_tell() -> None:
    assert not can_record(SimpleNamespace(InferenceSession=object))
    telling = type("Telling", (), {"get_provider_graph_assignment_info": None})
    assert can_record(SimpleNamespace(InferenceSession=telling))
