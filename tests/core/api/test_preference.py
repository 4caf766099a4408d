"""Where files hold both a graph and weights: which is used, decided by the files alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from onnxembed import TextEmbedding, describe
from onnxembed.api.preference import preference
from onnxembed.compile.measured import BETTER
from onnxembed.hub.files import FolderFiles
from onnxembed.text.spec import DenseModel
from tests.fixtures.hub_shapes import TEXTS, graph_beside_weights
from tests.fixtures.small_models import write_bert_folder

RESULTS = Path(__file__).parents[3] / "benchmarks" / "results" / "shipped-amd-epyc.json"
GRAPH = "onnx/model.onnx"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    graph_beside_weights(folder)
    return folder


def why(folder: Path) -> tuple[str, str]:
    """What a folder's model is made from, and why."""
    found = describe(folder)
    reasons = [str(fact.value) for fact in found.facts if fact.decides == "made_from"]
    return found.made_from, " ".join(reasons)


def test_weights_that_are_known_to_be_better(folder: Path, tmp_path: Path) -> None:
    made_from, reason = why(folder)
    assert made_from == "weights"
    assert reason.startswith(f"a graph compiled of the weights is used: for 'bert' it is {BETTER['bert']}")
    compiled = TextEmbedding(folder, cache_dir=tmp_path)
    by_name = TextEmbedding(folder, cache_dir=tmp_path, model_file=GRAPH)
    for shipped in (by_name, TextEmbedding(folder, cache_dir=tmp_path, variant="fp32")):
        difference = np.abs(shipped.embed_to_array(TEXTS) - compiled.embed_to_array(TEXTS)).max()
        assert difference < 1e-6
        assert shipped.fingerprint != compiled.fingerprint


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("model_type", "xlnet", "nothing says that one compiled of 'xlnet' is better"),
        ("auto_map", {"AutoModel": "own.Model"}, "nothing says"),
        ("hidden_act", "none", "the weights beside it cannot be compiled"),
    ],
)
def test_a_graph_whose_weights_are_not_known_to_be_better(folder: Path, key: str, value: object, reason: str) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, key: value}))
    made_from, said = why(folder)
    assert made_from == "graph"
    assert reason in said


@pytest.mark.parametrize("share", [0.5, 2.0])
def test_weights_of_another_size_are_other_numbers(folder: Path, share: float) -> None:
    size = (folder / GRAPH).stat().st_size
    (folder / "model.safetensors").write_bytes(bytes(int(size * share)))
    assert why(folder) == ("graph", "the shipped graph is used: the weights beside it are not of about the same size")


def test_one_of_them_is_no_choice(tmp_path: Path) -> None:
    write_bert_folder(tmp_path)
    assert why(tmp_path) == ("weights", "")
    (tmp_path / "model.safetensors").rename(tmp_path / "model.bin")
    assert preference(FolderFiles(tmp_path), GRAPH, DenseModel, lambda: True) is None


def test_what_decides_was_measured() -> None:
    """No batch is slower by more than the noise of a busy machine, all together are faster, and vectors are equal."""
    measured = json.loads(RESULTS.read_text())["models"]
    for name, figures in BETTER.items():
        found = measured["deberta-v3" if name == "deberta-v2" else name]
        speeds = found["times_as_fast"]
        assert (figures.short, figures.long) == (round(speeds["1x8"], 2), round(speeds["1x256"], 2))
        assert figures.difference == found["largest_difference"] < 1e-6
        assert min(speeds.values()) >= 0.97
        assert np.exp(np.mean(np.log(list(speeds.values())))) > 1.02
