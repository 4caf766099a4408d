"""The arguments that every facade has, read one by one."""

from __future__ import annotations

import os
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from onnxembed.api.find import find_model as find
from onnxembed.api.inputs import check_flag
from onnxembed.api.options import EngineOptions, option_docs
from onnxembed.api.settings import engine_settings, require_available
from onnxembed.errors import InputError, InputTypeError, ModelNotFoundError, ProviderError, UnknownModelError
from onnxembed.runtime.providers import parse_request
from onnxembed.text.discovery import describe
from onnxembed.text.known import dense_registry
from onnxembed.text.spec import DenseModel

if TYPE_CHECKING:
    from tests.core.conftest import FolderOf

MINILM = "sentence-transformers/all-MiniLM-L6-v2"


def find_model(name: object, folder: object) -> tuple[DenseModel, str | None]:
    options = EngineOptions("a")
    object.__setattr__(options, "model_name", name)  # values that the options themselves refuse
    object.__setattr__(options, "specific_model_path", folder)
    return find(dense_registry, options, describe)[:2]


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


def test_store() -> None:
    model = dense_registry.find(MINILM)
    options = EngineOptions(MINILM, Path("cache"), local_files_only=True, revision="v1.0")
    store = engine_settings(model, None, options).store
    assert (store.cache_dir, store.local_files_only, store.revision) == ("cache", True, "v1.0")
    given: Any
    for given in ({"cache_dir": 5}, {"revision": 5}, {"local_files_only": "yes"}):
        with pytest.raises(InputTypeError, match=f"{next(iter(given))}="):
            EngineOptions(MINILM, **given)
    with pytest.raises(InputError, match=r"revision='../x' is not the name of a branch"):
        engine_settings(model, None, EngineOptions(MINILM, revision="../x"))


def test_options_are_documented() -> None:
    docs = option_docs(EngineOptions)
    assert set(docs) == {field.name for field in fields(EngineOptions)}
    assert docs["local_files_only"] == "Whether nothing may be downloaded."


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
            check_flag(value, "truncate")
