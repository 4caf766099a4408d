"""A folder's own files describe the model in it."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from onnxembed.errors import ModelError, ModelNotFoundError, UnsafeModelError, UnsupportedModelError
from onnxembed.hub.files import FolderFiles
from onnxembed.spec import PoolingType
from onnxembed.text.discovery import describe
from onnxembed.text.spec import Matryoshka, Prompts
from tests.fixtures.dense_graphs import HIDDEN, GraphForm, write_graph
from tests.fixtures.dense_models import write_safetensors, write_static
from tests.fixtures.dense_tokenizers import write_tokenizer
from tests.fixtures.small_models import write_bert_folder

TRANSFORMER = {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}
POOLING = {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}
NORMALIZE = {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"}


def write(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A graph that gives token vectors, and a tokenizer."""
    write_tokenizer(tmp_path)
    write_graph(tmp_path / "onnx" / "model.onnx", GraphForm())
    return tmp_path


def test_sentence_transformers_folder(folder: Path) -> None:
    write(folder / "modules.json", [TRANSFORMER, POOLING, NORMALIZE])
    write(folder / "1_Pooling" / "config.json", {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False})
    write(folder / "config_sentence_transformers.json", {"prompts": {"query": "q: ", "document": "d: "}})
    model = describe(FolderFiles(folder))
    assert (model.name, model.model_file, model.dim) == (str(folder), "onnx/model.onnx", HIDDEN)
    assert (model.pooling, model.normalize, model.static) == (PoolingType.MEAN, True, False)
    assert model.prompts == Prompts("q: ", "d: ")
    assert model.matryoshka == Matryoshka()


@pytest.mark.parametrize(
    ("config", "pooling"),
    [
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, PoolingType.CLS),
        ({"pooling_mode_mean_tokens": True}, PoolingType.MEAN),
        ({"pooling_mode_lasttoken": True}, PoolingType.LAST_TOKEN),
        ({"pooling_mode": "lasttoken"}, PoolingType.LAST_TOKEN),
        ({"pooling_mode": "cls", "pooling_mode_mean_tokens": True}, PoolingType.CLS),
        ({"pooling_mode": ["cls"], "pooling_mode_mean_tokens": True}, PoolingType.CLS),
        ({"pooling_mode_max_tokens": True}, PoolingType.MAX),
        ({"pooling_mode_mean_sqrt_len_tokens": True}, PoolingType.MEAN_SQRT_LEN),
        ({"pooling_mode": "weightedmean"}, PoolingType.WEIGHTED_MEAN),
        ({"pooling_mode_mean_tokens": False}, PoolingType.MEAN),
        ({"word_embedding_dimension": 8}, PoolingType.MEAN),
    ],
)
def test_pooling(config: dict[str, Any], pooling: PoolingType, folder: Path) -> None:
    write(folder / "1_Pooling" / "config.json", config)
    model = describe(FolderFiles(folder))
    assert (model.pooling, model.normalize) == (pooling, False)


def test_pooling_lies_where_the_modules_say(folder: Path) -> None:
    write(folder / "modules.json", [TRANSFORMER, POOLING | {"path": "pooled/"}])
    write(folder / "pooled" / "config.json", {"pooling_mode_cls_token": True})
    write(folder / "1_Pooling" / "config.json", {"pooling_mode_mean_tokens": True})
    assert describe(FolderFiles(folder)).pooling is PoolingType.CLS


@pytest.mark.parametrize("path", ["../elsewhere", "/etc", "a/../../b", "C:\\x"])
def test_stages_outside_the_folder_are_refused(path: str, folder: Path) -> None:
    write(folder / "modules.json", [TRANSFORMER, POOLING | {"path": path}])
    with pytest.raises(UnsafeModelError, match="does not name a file inside the model's folder"):
        describe(FolderFiles(folder))


@pytest.mark.parametrize(
    ("config", "poolings"),
    [
        ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True}, (PoolingType.CLS, PoolingType.MEAN)),
        ({"pooling_mode": ["mean", "cls"]}, (PoolingType.MEAN, PoolingType.CLS)),
    ],
)
def test_several_poolings_are_joined(config: dict[str, Any], poolings: tuple[PoolingType, ...], folder: Path) -> None:
    write(folder / "1_Pooling" / "config.json", config)
    assert describe(FolderFiles(folder)).poolings == poolings
    assert describe(FolderFiles(folder), PoolingType.MAX).poolings == (PoolingType.MAX,)


@pytest.mark.parametrize("config", [{"pooling_mode": "median"}, {"pooling_mode": ["cls", "median"]}])
def test_other_poolings_are_refused_unless_one_is_chosen(config: dict[str, Any], folder: Path) -> None:
    write(folder / "1_Pooling" / "config.json", config)
    with pytest.raises(
        UnsupportedModelError, match=r"a pooling that is not supported.*Pass pooling= to choose another"
    ):
        describe(FolderFiles(folder))


def test_mean_is_assumed_with_a_warning(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert describe(FolderFiles(folder)).pooling is PoolingType.MEAN
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("onnxembed.models", logging.WARNING)
    assert "does not say how it pools; mean pooling is assumed" in record.getMessage()


def test_no_warning_when_pooling_is_chosen(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert describe(FolderFiles(folder), PoolingType.LAST_TOKEN).pooling is PoolingType.LAST_TOKEN
    assert not caplog.records


def test_graphs_that_pool_by_themselves(folder: Path) -> None:
    write_graph(folder / "onnx" / "model.onnx", GraphForm(output="sentence"))
    write(folder / "modules.json", [TRANSFORMER, POOLING, NORMALIZE])
    write(folder / "1_Pooling" / "config.json", {"pooling_mode_mean_tokens": True})
    model = describe(FolderFiles(folder))
    assert (model.pooling, model.normalize, model.dim) == (PoolingType.DISABLED, True, HIDDEN)


def test_outputs_without_a_shape_are_taken_for_token_vectors(folder: Path) -> None:
    path = folder / "onnx" / "model.onnx"
    graph = onnx.load(path)
    graph.graph.output[0].type.tensor_type.ClearField("shape")
    onnx.save(graph, path)
    write(folder / "config.json", {"hidden_size": 12})
    model = describe(FolderFiles(folder))
    assert (model.pooling, model.dim) == (PoolingType.MEAN, 12)


@pytest.mark.parametrize(
    ("layouts", "chosen"),
    [
        (["model.onnx"], "model.onnx"),
        (["model_optimized.onnx", "model.onnx"], "model.onnx"),
        (["model_optimized.onnx", "onnx/model_optimized.onnx"], "onnx/model_optimized.onnx"),
    ],
)
def test_graphs_are_found_in_the_usual_places(layouts: list[str], chosen: str, tmp_path: Path) -> None:
    write_tokenizer(tmp_path)
    for layout in layouts:
        write_graph(tmp_path / layout, GraphForm())
    assert describe(FolderFiles(tmp_path)).model_file == chosen


def test_weights_without_a_graph(tmp_path: Path) -> None:
    write_bert_folder(tmp_path, hidden=32)
    write(tmp_path / "1_Pooling" / "config.json", {"pooling_mode_cls_token": True})
    model = describe(FolderFiles(tmp_path))
    assert (model.model_file, model.dim, model.pooling) == ("onnx/model.onnx", 32, PoolingType.CLS)


@pytest.mark.parametrize(
    ("config", "modules", "normalize"),
    [
        ({"model_type": "model2vec", "hidden_dim": 16, "normalize": True}, None, True),
        ({"model_type": "model2vec", "hidden_dim": 16, "normalize": False}, None, False),
        ({}, [{"path": ".", "type": "sentence_transformers.models.StaticEmbedding"}, NORMALIZE], True),
    ],
)
@pytest.mark.parametrize("graph_too", [False, True])
def test_static_models(
    config: dict[str, Any], modules: list[Any] | None, normalize: bool, graph_too: bool, tmp_path: Path
) -> None:
    write_static(tmp_path, "words")
    write(tmp_path / "config.json", config)
    if modules is not None:
        write(tmp_path / "modules.json", modules)
    if graph_too:
        write_graph(tmp_path / "onnx" / "model.onnx", GraphForm())
    model = describe(FolderFiles(tmp_path))
    assert (model.static, model.model_file, model.normalize) == (True, "model.safetensors", normalize)
    assert model.dim == config.get("hidden_dim", 0)


@pytest.mark.parametrize("size", ["many", -4, None, [8]])
def test_sizes_that_are_none(size: object, tmp_path: Path) -> None:
    write_static(tmp_path, "words")
    write(tmp_path / "config.json", {"model_type": "model2vec", "hidden_dim": size})
    if size is None:
        assert describe(FolderFiles(tmp_path)).dim == 0
        return
    with pytest.raises(ModelError, match=r"config\.json: hidden_dim is .*, expected a whole number"):
        describe(FolderFiles(tmp_path))


@pytest.mark.parametrize(
    ("prompts", "expected"),
    [
        ({"query": "q", "passage": "p"}, Prompts("q", "p")),
        ({"query": "q", "corpus": "c"}, Prompts("q", "c")),
        ({"document": "d", "passage": "p"}, Prompts("", "d")),
        ({"document": None, "passage": "p"}, Prompts("", "p")),
        (None, Prompts()),
    ],
)
def test_prompts(prompts: object, expected: Prompts, folder: Path) -> None:
    write(folder / "config_sentence_transformers.json", {"prompts": prompts})
    assert describe(FolderFiles(folder)).prompts == expected


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"prompts": {"query": 5}}, r"prompts\.query is 5, expected text"),
        ({"prompts": "text"}, "prompts is 'text', expected an object"),
        ({"prompts": {"a": "b"}, "default_prompt_name": "c"}, r"default_prompt_name is 'c', expected one of .*\(a\)"),
    ],
)
def test_prompts_that_are_none(settings: object, message: str, folder: Path) -> None:
    write(folder / "config_sentence_transformers.json", settings)
    with pytest.raises(ModelError, match=message):
        describe(FolderFiles(folder))


def test_unknown_stages_are_refused(folder: Path) -> None:
    write(folder / "modules.json", [TRANSFORMER, POOLING, {"path": "2_Dense", "type": "x.Dense"}])
    with pytest.raises(UnsupportedModelError, match=r"lists the stages x\.Dense, which are not supported"):
        describe(FolderFiles(folder))


@pytest.mark.parametrize("modules", [{"a": 1}, "odd", ["odd"], [TRANSFORMER, 5]])
def test_modules_that_are_no_list_of_stages(modules: object, folder: Path) -> None:
    write(folder / "modules.json", modules)
    with pytest.raises(ModelError, match=r"modules\.json is no list of stages"):
        describe(FolderFiles(folder))


@pytest.mark.parametrize("kind", [None, 5, ["a"]])
def test_stages_without_a_class(kind: object, folder: Path) -> None:
    write(folder / "modules.json", [TRANSFORMER, {"path": "1_Pooling", "type": kind}])
    with pytest.raises(ModelError, match=r"modules\.json, stage 1: type is .*, expected text"):
        describe(FolderFiles(folder))


def test_folders_without_a_model(tmp_path: Path) -> None:
    write_tokenizer(tmp_path)
    with pytest.raises(ModelNotFoundError, match=r"holds no model: expected one of onnx/model.onnx.*model.safetensors"):
        describe(FolderFiles(tmp_path))


def test_folders_without_a_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ModelNotFoundError, match=r"holds no tokenizer.json; expected the model's fast tokenizer"):
        describe(FolderFiles(folder))


def test_damaged_metadata(folder: Path) -> None:
    (folder / "modules.json").write_bytes(b"[{")
    with pytest.raises(ModelError, match=r"modules.json is not valid JSON in UTF-8"):
        describe(FolderFiles(folder))


def test_descriptions_follow_the_folder(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    moved = tmp_path_factory.mktemp("moved") / "model"
    shutil.copytree(folder, moved)
    first, second = describe(FolderFiles(folder), PoolingType.MEAN), describe(FolderFiles(moved), PoolingType.MEAN)
    assert first != second
    assert (first.dim, first.model_file) == (second.dim, second.model_file)
    write_safetensors(moved / "model.safetensors", {"x": np.zeros(1, np.float32)})
    assert describe(FolderFiles(moved), PoolingType.MEAN) == second  # a graph comes before weights
