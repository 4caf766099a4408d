"""Which graph is chosen among the names that repositories have."""

from __future__ import annotations

from pathlib import Path

import pytest

from onnxembed.errors import InputError, ModelNotFoundError
from onnxembed.hub.choice import choose, shipped_graphs
from onnxembed.hub.files import FolderFiles

STEMS = ("model", "text_model")


def folder(place: Path, *names: str) -> FolderFiles:
    for name in names:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(b"x")
    return FolderFiles(place)


@pytest.mark.parametrize(
    ("name", "stem", "variant"),
    [
        ("onnx/model.onnx", "model", "fp32"),
        ("onnx/model_fp32.onnx", "model", "fp32"),
        ("model_fp16.onnx", "model", "fp16"),
        ("onnx/vision_model_q4f16.onnx", "vision_model", "q4f16"),
        ("onnx/model_qint8_avx512_vnni.onnx", "model", "qint8_avx512_vnni"),
        ("onnx/model_O4.onnx", "model", "O4"),
        ("model_optimized.onnx", "model", "optimized"),
        ("all-small-v1.onnx", "all-small-v1", "fp32"),
        ("model_v2.onnx", "model_v2", "fp32"),
    ],
)
def test_what_names_say(name: str, stem: str, variant: str, tmp_path: Path) -> None:
    (graph,) = shipped_graphs(folder(tmp_path, name))
    assert (graph.name, graph.stem, graph.variant) == (name, stem, variant)


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (("model.onnx", "onnx/model.onnx", "model.safetensors"), "onnx/model.onnx"),
        (("model.onnx", "onnx/text_model.onnx"), "model.onnx"),
        (("onnx/text_model.onnx", "onnx/vision_model.onnx"), "onnx/text_model.onnx"),
        (("model_optimized.onnx", "model.safetensors"), "model.safetensors"),
        (("onnx/model_int8.onnx", "model.safetensors"), "model.safetensors"),
        (("odd.onnx", "onnx/model_int8.onnx"), "odd.onnx"),
        (("onnx/model_int8.onnx", "onnx/model_fp16.onnx", "onnx/model_q4.onnx"), "onnx/model_fp16.onnx"),
        (("onnx/model_qint8_arm64.onnx", "onnx/model_O3.onnx"), "onnx/model_O3.onnx"),
        (("onnx/model_qint8_arm64.onnx",), "onnx/model_qint8_arm64.onnx"),
        (("deep/down/model.onnx",), None),
        (("pytorch_model.bin",), None),
    ],
)
def test_without_a_choice(names: tuple[str, ...], chosen: str | None, tmp_path: Path) -> None:
    assert choose(folder(tmp_path, *names), STEMS) == chosen


def test_weights_that_cannot_be_used_leave_graphs_in_less_precision(tmp_path: Path) -> None:
    files = folder(tmp_path, "model.safetensors", "onnx/model_int8.onnx")
    assert choose(files, STEMS, compiles=lambda: False) == "onnx/model_int8.onnx"


def test_choices(tmp_path: Path) -> None:
    files = folder(tmp_path, "onnx/model.onnx", "onnx/model_O2.onnx", "deep/down/model.onnx", "model.safetensors")
    assert choose(files, STEMS, variant="o2") == "onnx/model_O2.onnx"
    assert choose(files, STEMS, variant="fp32") == "onnx/model.onnx"
    assert choose(files, STEMS, model_file="deep/down/model.onnx") == "deep/down/model.onnx"
    assert choose(files, STEMS, model_file="model.safetensors") == "model.safetensors"
    with pytest.raises(ModelNotFoundError, match=r"has no variant 'q4'; it holds .*model_O2.onnx \(variant 'O2'\)"):
        choose(files, STEMS, variant="q4")
    with pytest.raises(ModelNotFoundError, match=r"has no file 'model\.onnx'; it holds deep/down/model\.onnx"):
        choose(files, STEMS, model_file="model.onnx")
    with pytest.raises(InputError, match="two choices of one thing"):
        choose(files, STEMS, model_file="model.onnx", variant="q4")


def test_several_graphs_of_unknown_names_want_a_choice(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match=r"holds several graphs, .*: one\.onnx, two\.onnx; pass model_file="):
        choose(folder(tmp_path, "one.onnx", "two.onnx"), STEMS)
