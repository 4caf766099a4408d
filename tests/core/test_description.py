"""`describe`: what was found of a model, and where, with nothing large fetched."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from onnxembed import ModelDescription, TextEmbedding, describe
from onnxembed.errors import InputError, ModelNotFoundError, UnknownModelError, UnsupportedModelError
from tests.fixtures.hub_server import HubServer, hub_server
from tests.fixtures.hub_shapes import (
    contents,
    graph_beside_weights,
    javascript_set,
    pickles,
    publish_kinds,
    shards,
    static,
    weights,
)
from tests.fixtures.model_rows import ROWS, read_row, write_row

__all__ = ["hub_server"]

NAME = "someone/some-model"


@pytest.fixture
def hub(hub_server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HubServer:
    monkeypatch.setenv("HF_ENDPOINT", hub_server.url)
    monkeypatch.setenv("ONNXEMBED_CACHE", str(tmp_path / "cache"))
    return hub_server


def said(found: ModelDescription) -> set[tuple[str, str, object]]:
    return {(fact.file, fact.key, fact.value if not isinstance(fact.value, list) else ()) for fact in found.facts}


def test_a_repository(hub: HubServer, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    graph_beside_weights(folder)
    commit = hub.add_repo(NAME, contents(folder))
    found = describe(NAME)

    assert (found.name, found.found_in, found.revision) == (NAME, "repository", commit)
    assert (found.kind, found.model_class, found.architecture) == ("dense", "TextEmbedding", "bert BertModel")
    graph = "onnx/model.onnx"
    assert (found.made_from, found.variant, found.variants, found.limit) == ("weights", "fp32", (graph,), 48)
    (why,) = [fact for fact in found.facts if fact.decides == "made_from"]
    assert str(why.value).startswith("a graph compiled of the weights is used: for 'bert' it is 1.")
    asked = describe(NAME, model_file=graph)
    assert (asked.made_from, asked.variants) == ("graph", ())
    assert found.stages == ("Transformer", "Pooling (1_Pooling)", "Normalize (2_Normalize)")
    assert found.settings["pooling"] in ("MEAN", ["MEAN"])
    assert found.settings["prompts"] is not None
    assert ("modules.json", "1.type", "Pooling (1_Pooling)") in said(found)
    assert ("config.json", "model_type", "bert") in said(found)
    assert ("sentence_bert_config.json", "max_seq_length", 48) in said(found)
    assert "sentence_bert_config.json" in {fact.file for fact in found.facts if fact.decides == "limit"}
    # Nothing large came; what is still to come is said with its size.
    assert all(name.endswith(".json") for name in hub.fetched(NAME))
    sizes = {file.name: file.size for file in found.files}
    assert sizes["model.safetensors"] == (folder / "model.safetensors").stat().st_size
    assert graph not in sizes
    lacking = {file.name for file in found.files if not file.here}
    assert {"model.safetensors", "tokenizer.json"} <= lacking
    assert found.bytes_to_fetch == sum((folder / name).stat().st_size for name in lacking)
    TextEmbedding(NAME)
    again = describe(NAME, local_files_only=True)
    assert again.bytes_to_fetch == 0
    assert all(file.here for file in again.files)


def test_weights_say_which_keys_the_compiler_reads(tmp_path: Path) -> None:
    weights(tmp_path)
    found = describe(tmp_path)
    assert (found.found_in, found.revision, found.made_from) == ("folder", None, "weights")
    assert {("config.json", "hidden_size", 32), ("config.json", "hidden_act", "gelu")} <= said(found)
    assert found.bytes_to_fetch == 0
    assert "model.safetensors" in {file.name for file in found.files}


def test_a_folder_whose_weights_cannot_be_compiled_is_refused_as_on_opening(tmp_path: Path) -> None:
    weights(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"a_key_of_tomorrow": 5}))
    for opening in (describe, TextEmbedding):
        with pytest.raises(UnsupportedModelError, match=r"config\.json: the key 'a_key_of_tomorrow' \(value 5\)"):
            opening(tmp_path)
    assert describe(tmp_path, accept_unknown=("a_key_of_tomorrow",)).made_from == "weights"


def test_what_is_said_of_pictures_is_a_fact(tmp_path: Path) -> None:
    row = read_row(ROWS / "vit-pooler.json")
    found = describe(write_row(row, tmp_path))
    facts = {(fact.file, fact.key) for fact in found.facts}
    assert {("preprocessor_config.json", "image_processor_type"), ("preprocessor_config.json", "size")} <= facts


def test_shards_and_tables(tmp_path: Path) -> None:
    for name, write, made_from in (("shards", shards, "weights"), ("static", static, "table")):
        folder = tmp_path / name
        folder.mkdir()
        write(folder)
        (folder / "onnx" / "model.onnx").unlink(missing_ok=True)  # senseless bytes
        found = describe(folder)
        assert found.made_from == made_from
        large = {file.name for file in found.files if ".safetensors" in file.name}
        assert large == {path.name for path in folder.glob("model*.safetensors*")}


def test_a_variant(tmp_path: Path) -> None:
    javascript_set(tmp_path)
    found = describe(tmp_path, variant="q4")
    assert found.variant == "q4"
    assert "onnx/model.onnx" in found.variants
    assert "onnx/model_q4.onnx" not in found.variants


def test_a_row_of_the_catalogue_asks_for_nothing_offline() -> None:
    found = describe("cross-encoder/ms-marco-MiniLM-L-6-v2")
    assert (found.name, found.kind, found.found_in) == ("Xenova/ms-marco-MiniLM-L-6-v2", "rerank", "catalogue")
    assert {file.name for file in found.files} == {"onnx/model.onnx", "tokenizer.json"}
    assert all(file.size is None and not file.here for file in found.files)
    assert ("the catalogue", "activation", "raw") in said(found)
    assert describe("Qdrant/bm25").made_from == "nothing"


def test_a_row_of_the_catalogue_and_its_repository(hub: HubServer, tmp_path: Path) -> None:
    publish_kinds(hub, tmp_path, {"Xenova/ms-marco-MiniLM-L-6-v2": "rerank"})
    found = describe("cross-encoder/ms-marco-MiniLM-L-6-v2")
    assert (found.name, found.found_in) == ("Xenova/ms-marco-MiniLM-L-6-v2", "catalogue")
    assert all(file.size is not None for file in found.files)
    assert "onnx/model.onnx" not in hub.fetched(found.name)
    with pytest.raises(ModelNotFoundError, match="has no variant 'q4'"):
        describe("Xenova/ms-marco-MiniLM-L-6-v2", variant="q4")


def test_it_is_plain_data(tmp_path: Path) -> None:
    weights(tmp_path)
    found = describe(str(tmp_path))
    plain = found.as_dict()
    assert json.loads(json.dumps(plain)) == plain
    assert plain["kind"] == "dense"
    assert plain["bytes_to_fetch"] == 0


def test_what_cannot_be_described(hub: HubServer, tmp_path: Path) -> None:
    folder = tmp_path / "pickles"
    folder.mkdir()
    pickles(folder)
    hub.add_repo(NAME, contents(folder))
    with pytest.raises(UnsupportedModelError, match="pickled weights"):
        describe(NAME)
    with pytest.raises(UnknownModelError, match="there is no such repository"):
        describe("org/none")
    with pytest.raises(ModelNotFoundError, match="does not exist"):
        describe("./nowhere")
    with pytest.raises(InputError, match="kind='denze' is unknown"):
        describe(NAME, "denze")
