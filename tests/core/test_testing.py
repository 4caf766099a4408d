"""The fake session, and a work of models that runs on it."""

from pathlib import Path

import numpy as np

from onnxembed.spec import PoolingType
from onnxembed.testing import FakeSession
from onnxembed.text.dense import DenseWork, Projection
from onnxembed.text.graph import TextGraph
from onnxembed.text.tokenizer import load_tokenizer
from tests.fixtures.small_models import write_bert_folder


def test_it_computes_and_remembers() -> None:
    session = FakeSession(lambda feed: {"twice": feed["x"] * 2, "square": feed["x"] ** 2}, ["twice", "square"])
    x = np.array([3.0])
    square, twice = session.run(["square", "twice"], {"x": x})
    assert (square[0], twice[0]) == (9.0, 6.0)
    assert session.calls == [{"x": x}]
    assert session.providers == ("CPUExecutionProvider",)
    assert session.outputs == ("twice", "square")


def test_a_work_runs_on_it(tmp_path: Path) -> None:
    """A graph that gives each token its position: the mean of n tokens is (n - 1) / 2, whatever the padding."""
    write_bert_folder(tmp_path)

    def positions(feed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        batch, width = feed["input_ids"].shape
        return {"out": np.broadcast_to(np.arange(width, dtype=np.float32)[None, :, None], (batch, width, 1))}

    session = FakeSession(positions, ["out"])  # type: ignore[arg-type]
    graph = TextGraph((session,), {"input_ids": 7, "attention_mask": 7}, load_tokenizer(tmp_path, None))  # type: ignore[arg-type]
    work = DenseWork(graph, Projection("out", (PoolingType.MEAN,), normalize=False), "", None, truncate=True)
    tokens = work.prepare(["hello", "hello hello hello"], 0)
    vectors = work.run(tokens, 0)
    np.testing.assert_allclose(vectors[:, 0], [(len(one.ids) - 1) / 2 for one in tokens])
    assert set(session.calls[0]) == {"input_ids", "attention_mask"}
    assert session.calls[0]["attention_mask"].sum() == sum(len(one.ids) for one in tokens)
