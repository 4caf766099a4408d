"""`onnxembed models`: the catalogue as a table and as JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

import onnxembed
from onnxembed.cli.main import main
from onnxembed.cli.models import COLUMNS, KINDS


def listed(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, Any]]:
    assert main(["models", *words, "--json"]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    found: list[dict[str, Any]] = json.loads(shown.out)
    return found


def table(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    assert main(["models", *words]) == 0
    return capsys.readouterr().out.splitlines()


def test_kinds_are_all_the_classes_that_list_models() -> None:
    classes = {name for name in onnxembed.__all__ if hasattr(getattr(onnxembed, name), "list_supported_models")}
    classes.remove("M3Embedding")  # its models are dense ones with two heads more
    assert sorted(KINDS.values()) == sorted(classes)


def test_every_known_model_is_there_once(capsys: pytest.CaptureFixture[str]) -> None:
    expected = [
        (kind, entry["model"])
        for kind, name in KINDS.items()
        for entry in getattr(onnxembed, name).list_supported_models()
    ]
    found = [(model["kind"], model["model"]) for model in listed(capsys)]
    assert found == expected
    assert len(found) >= 70
    assert len(table(capsys)) == len(found) + 1


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    (model,) = listed(capsys, "all-minilm-l6-v2", "--kind", "dense")
    assert model == {
        "kind": "dense",
        "model": "sentence-transformers/all-MiniLM-L6-v2",
        "dim": 384,
        "size_in_GB": 0.09,
        "license": "apache-2.0",
        "languages": ["english"],
    }
    assert tuple(model) == COLUMNS
    facts = {"dim": None, "size_in_GB": 0.01, "license": "apache-2.0", "languages": ["multilingual"]}
    assert {"kind": "sparse", "model": "Qdrant/bm25", **facts} in listed(capsys, "--kind", "sparse")


def test_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert table(capsys, "minilm-l6-v2") == [
        "kind    model                                    dim  size_in_GB  license     languages",
        "dense   sentence-transformers/all-MiniLM-L6-v2   384        0.09  apache-2.0  english",
        "sparse  Qdrant/bm42-all-minilm-l6-v2-attentions             0.09  apache-2.0  english",
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_filter_by_kind(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = listed(capsys, "--kind", kind)
    assert {model["kind"] for model in found} == {kind}
    assert len(found) == len(getattr(onnxembed, KINDS[kind]).list_supported_models())


def test_other_filters(capsys: pytest.CaptureFixture[str]) -> None:
    everything = listed(capsys)
    assert listed(capsys, "--dim", "384") == [model for model in everything if model["dim"] == 384]
    small = listed(capsys, "--max-size", "0.09")
    assert small == [model for model in everything if model["size_in_GB"] <= 0.09]
    assert 5 < len(small) < len(everything)
    assert listed(capsys, "--license", "MIT") == [model for model in everything if model["license"] == "mit"]
    assert listed(capsys, "bge", "--dim", "384", "--license", "mit", "--max-size", "0.1") == [
        {"kind": "dense", "model": "BAAI/bge-small-en-v1.5", "dim": 384, "size_in_GB": 0.067, "license": "mit"}
        | {"languages": ["english"]}
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--dim", "0"), "--dim 0: --dim must be >= 1"),
        (("--max-size", "-1"), "--max-size -1.0: expected a number at least 0"),
        (("--max-size", "nan"), "--max-size nan: expected a number at least 0"),
        (("--language", "klingon"), "--language klingon: the table names arabic, chinese, "),
    ],
)
def test_filters_that_no_model_can_pass(
    words: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", *words]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(f"onnxembed models: {message}")


def test_filter_by_language(capsys: pytest.CaptureFixture[str]) -> None:
    everything = listed(capsys)
    german = listed(capsys, "--language", "German")
    assert {tuple(model["languages"]) for model in german} == {("english", "german"), ("multilingual",)}
    assert listed(capsys, "--language", "multilingual") == [
        model for model in everything if model["languages"] == ["multilingual"]
    ]
    assert len(listed(capsys, "--language", "english")) > 50
    # Every model that reads texts says which.
    assert {model["kind"] for model in everything if not model["languages"]} == {"image"}


def test_no_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert listed(capsys, "no such model") == []
    assert table(capsys, "no such model") == ["kind  model  dim  size_in_GB  license  languages"]
