"""The stages of ``modules.json`` under their old and new names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from onnxembed.errors import ModelError, UnsafeModelError, UnsupportedModelError
from onnxembed.hub.files import FolderFiles
from onnxembed.metadata.prompts import read_prompts
from onnxembed.metadata.stages import finish_stages, read_stages, require_known


def files(folder: Path, *entries: Mapping[str, object]) -> FolderFiles:
    (folder / "modules.json").write_text(json.dumps(entries), encoding="utf-8")
    return FolderFiles(folder)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("sentence_transformers.models.Pooling", "Pooling"),
        ("sentence_transformers.sentence_transformer.modules.pooling.Pooling", "Pooling"),
        ("sentence_transformers.base.modules.dense.Dense", "Dense"),
        ("sentence_transformers.sparse_encoder.models.SpladePooling", "SpladePooling"),
        ("pylate.models.Dense.Dense", "Dense"),
        ("custom_st.Transformer", "custom_st.Transformer"),
        ("my_sentence_transformers.models.Pooling", "my_sentence_transformers.models.Pooling"),
        ("Pooling", "Pooling"),
        ("sentence_transformers", "sentence_transformers"),
    ],
)
def test_kinds(name: str, kind: str, tmp_path: Path) -> None:
    (stage,) = read_stages(files(tmp_path, {"type": name, "path": "1_Pooling/"}))
    assert (stage.kind, stage.path, stage.file("config.json")) == (kind, "1_Pooling", "1_Pooling/config.json")


def test_order_and_the_models_own_folder(tmp_path: Path) -> None:
    named = [("A", "."), ("B", "b"), ("C", "")]
    entries = [{"type": f"sentence_transformers.models.{kind}", "path": path} for kind, path in named]
    stages = read_stages(files(tmp_path, *entries))
    assert [(stage.kind, stage.path) for stage in stages] == [("A", ""), ("B", "b"), ("C", "")]


@pytest.mark.parametrize("path", ["../x", "/x", "a/../../x", "a\\b", "C:x"])
def test_stages_outside_the_folder(path: str, tmp_path: Path) -> None:
    with pytest.raises(UnsafeModelError, match="does not name a file inside the model's folder"):
        read_stages(files(tmp_path, {"type": "sentence_transformers.models.Pooling", "path": path}))


def test_what_entries_say_beside_it(tmp_path: Path) -> None:
    entry = {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer", "kwargs": ["task"]}
    folder = files(tmp_path, entry)
    finish_stages(folder, read_stages(folder))
    folder = files(tmp_path, entry | {"odd": 1})
    with pytest.raises(UnsupportedModelError, match=r"modules\.json, stage 0: the key 'odd' \(value 1\)"):
        finish_stages(folder, read_stages(folder))
    folder.accept_unknown = ("odd",)
    finish_stages(folder, read_stages(folder))
    with pytest.raises(UnsupportedModelError, match=r"lists the stages Transformer, .* supported are Dense, Pooling"):
        require_known(folder, read_stages(folder), {"Pooling", "Dense"})


def test_prompts(tmp_path: Path) -> None:
    texts = {"query": "q: ", "passage": "p: ", "other": "o: ", "empty": None}
    stored = {"prompts": texts, "default_prompt_name": "other"}
    (tmp_path / "settings.json").write_text(json.dumps(stored), encoding="utf-8")
    prompts = read_prompts(FolderFiles(tmp_path).facts("settings.json"))
    assert prompts.by_name == (("query", "q: "), ("passage", "p: "), ("other", "o: "))
    assert (prompts.query, prompts.document, prompts.default) == ("q: ", "p: ", "o: ")
    (tmp_path / "settings.json").write_text(json.dumps(stored | {"default_prompt_name": "empty"}), encoding="utf-8")
    assert read_prompts(FolderFiles(tmp_path).facts("settings.json")).default == ""
    (tmp_path / "settings.json").write_text(json.dumps(stored | {"default_prompt_name": "none"}), encoding="utf-8")
    with pytest.raises(ModelError, match="default_prompt_name is 'none', expected one of its prompts"):
        read_prompts(FolderFiles(tmp_path).facts("settings.json"))
