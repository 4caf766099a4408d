"""The constructor's arguments, read one by one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from onnxembed.errors import InputError, InputTypeError, ModelNotFoundError, ProviderError, UnknownModelError
from onnxembed.models.registry import dense_registry
from onnxembed.models.spec import DenseModel, Matryoshka, ModelSource, PoolingType
from onnxembed.runtime.providers import parse_request
from onnxembed.text.options import (
    check_dim,
    check_flag,
    find_model,
    parse_pooling,
    parse_prompt,
    parse_store,
    parse_task,
    require_available,
)
from tests.fixtures.dense_graphs import HIDDEN

if TYPE_CHECKING:
    from tests.core.text.conftest import FolderOf

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
JINA = "jinaai/jina-embeddings-v3"
NOMIC = "nomic-ai/nomic-embed-text-v1.5"


def test_names_are_found_in_any_case() -> None:
    model, folder = find_model(MINILM.upper(), None)
    assert (model.name, folder) == (MINILM, None)


def test_named_model_in_a_folder(folder_of: FolderOf, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder_of("mean_norm")
    for given in (path, str(path)):
        assert find_model(MINILM, given) == (dense_registry.find(MINILM), str(path))
    monkeypatch.chdir(path.parent)
    assert find_model(MINILM, path.name)[1] == str(path)
    monkeypatch.setenv("HOME", str(path.parent))
    assert find_model(MINILM, f"~/{path.name}")[1] == str(path)


def test_folder_as_the_name(folder_of: FolderOf, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder_of("mean_norm")
    monkeypatch.chdir(path.parent)
    monkeypatch.setenv("HOME", str(path.parent))
    for given in (path, str(path), f".{os.sep}{path.name}", path.name, f"~/{path.name}"):
        model, folder = find_model(given, None)
        assert (model.name, model.model_file, folder) == (str(path), "model.onnx", str(path))


def test_catalogue_comes_before_a_folder_of_the_same_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / MINILM).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert find_model(MINILM, None) == (dense_registry.find(MINILM), None)


@pytest.mark.parametrize("name", ["./nowhere", "~/nowhere-at-all", "/nowhere/at/all", Path("nowhere")])
def test_paths_to_nothing_are_missing_folders(name: str | Path) -> None:
    with pytest.raises(ModelNotFoundError, match=r"the folder '.*' does not exist; expected a folder with a model"):
        find_model(name, None)


@pytest.mark.parametrize("name", ["", "no/such-model", "\0", "x" * 5000])
def test_other_names_are_unknown(name: str) -> None:
    with pytest.raises(UnknownModelError, match="no model is named"):
        find_model(name, None)


def test_nearest_names_are_offered() -> None:
    with pytest.raises(UnknownModelError, match=r"Did you mean 'sentence-transformers/all-MiniLM-L6-v2'"):
        find_model("sentence-transformers/all-MiniML-L6-v2", None)


@pytest.mark.parametrize("name", [None, 5, b"name", ["a"]])
def test_names_are_strings_or_paths(name: Any) -> None:
    with pytest.raises(InputTypeError, match="model_name="):
        find_model(name, None)


@pytest.mark.parametrize("path", ["nowhere", "\0", "x" * 5000, Path("nowhere")])
def test_specific_folder_must_be_there(path: str | Path) -> None:
    with pytest.raises(ModelNotFoundError, match=r"specific_model_path=.* is not a folder"):
        find_model(MINILM, path)


@pytest.mark.parametrize("path", [5, b"folder"])
def test_specific_folder_is_a_path(path: Any) -> None:
    with pytest.raises(InputTypeError, match="specific_model_path="):
        find_model(MINILM, path)


@pytest.mark.parametrize("pooling", ["last_token", "LAST_TOKEN", PoolingType.LAST_TOKEN])
def test_pooling_replaces_that_of_the_description(pooling: PoolingType | str) -> None:
    assert find_model(MINILM, None, pooling)[0].pooling is PoolingType.LAST_TOKEN


def test_unknown_pooling() -> None:
    with pytest.raises(InputError, match=r"pooling='LAST' is unknown; expected one of CLS, MEAN, LAST_TOKEN, DISABLED"):
        parse_pooling("LAST")
    with pytest.raises(InputError, match="Did you mean 'MEAN'"):
        parse_pooling("maen")
    assert parse_pooling(None) is None


@pytest.mark.parametrize(("task", "number"), [("retrieval.query", 0), ("text-matching", 4), (3, 3), (None, None)])
def test_tasks_by_name_and_number(task: int | str | None, number: int | None) -> None:
    assert parse_task(dense_registry.find(JINA), task) == number


@pytest.mark.parametrize("task", [5, -1, True, "Retrieval.query", "query"])
def test_unknown_tasks(task: int | str) -> None:
    with pytest.raises(InputError, match=rf"task_id={task!r} is not a task of {JINA}; it has 'retrieval.query' \(0\)"):
        parse_task(dense_registry.find(JINA), task)


def test_near_task_is_offered() -> None:
    with pytest.raises(InputError, match=r"Did you mean 'retrieval.query'"):
        parse_task(dense_registry.find(JINA), "retrieval.querry")


def test_tasks_of_a_model_without_any() -> None:
    with pytest.raises(InputError, match=f"task_id=0: {MINILM} has no tasks; leave task_id out"):
        parse_task(dense_registry.find(MINILM), 0)


def test_dims_of_the_catalogue() -> None:
    nomic = dense_registry.find(NOMIC)
    assert check_dim(nomic, None, size_known=True) is None
    assert check_dim(nomic, 768, size_known=True) == 768
    assert check_dim(nomic, 256, size_known=True) == 256
    with pytest.raises(InputError, match="allows 768, 512, 256, 128, 64"):
        check_dim(nomic, 100, size_known=True)
    with pytest.raises(InputError, match="have 768 numbers; pass at most that"):
        check_dim(nomic, 1024, size_known=True)
    with pytest.raises(InputError, match="dim must be >= 1"):
        check_dim(nomic, 0, size_known=True)
    with pytest.raises(InputTypeError, match="expected an integer"):
        check_dim(nomic, 256.0, size_known=True)  # type: ignore[arg-type]


def test_dims_of_models_without_them() -> None:
    minilm = dense_registry.find(MINILM)
    assert check_dim(minilm, 384, size_known=True) == 384
    with pytest.raises(InputError, match=rf"dim=128: {MINILM} is not trained for shortened vectors"):
        check_dim(minilm, 128, size_known=True)


def test_dims_of_a_model_that_allows_any() -> None:
    model = DenseModel("m", (ModelSource(hf="a/b"),), HIDDEN, matryoshka=Matryoshka())
    assert check_dim(model, 5, size_known=True) == 5
    with pytest.raises(InputError, match="pass at most that"):
        check_dim(model, HIDDEN + 1, size_known=True)
    assert check_dim(model, HIDDEN + 1, size_known=False) == HIDDEN + 1  # the files decide


def test_prompts_are_verbatim() -> None:
    assert parse_prompt(None, "query: ", "prompt") == "query: "
    assert parse_prompt("", "query: ", "prompt") == ""
    assert parse_prompt(" a\n", "query: ", "prompt") == " a\n"
    with pytest.raises(InputTypeError, match=r"query_prompt=5: expected a string; None is the model's own prompt"):
        parse_prompt(5, "", "query_prompt")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="lone surrogate"):
        parse_prompt("\udc00", "", "query_prompt")


def test_store() -> None:
    store = parse_store(Path("cache"), True, "v1.0", None)
    assert (store.cache_dir, store.local_files_only, store.revision) == ("cache", True, "v1.0")
    for argument, options in {
        "cache_dir": (5, False, None),
        "revision": (None, False, 5),
        "local_files_only": (None, "yes", None),
    }.items():
        with pytest.raises(InputTypeError, match=f"{argument}="):
            parse_store(*options, None)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"revision='../x' is not the name of a branch"):
        parse_store(None, False, "../x", None)


def test_providers_are_looked_for_at_once() -> None:
    request = parse_request(["CPUExecutionProvider"], "auto", None)
    assert require_available(request) is request
    with pytest.raises(ProviderError, match=r"'CPUExecutionprovider' is not available.*Did you mean 'CPUExecution"):
        require_available(parse_request(["CPUExecutionprovider"], "auto", None))


def test_flags() -> None:
    assert check_flag(True, "truncate") is True
    assert check_flag(False, "truncate") is False
    for value in (None, 1, "yes"):
        with pytest.raises(InputTypeError, match=r"truncate=.*expected True or False"):
            check_flag(value, "truncate")  # type: ignore[arg-type]
