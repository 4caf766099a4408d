"""`onnxembed cache`: list, verify and prune, as lines and as JSON."""

from __future__ import annotations

import gc
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from onnxembed.care.download import download_model
from onnxembed.cli.main import main
from tests.fixtures.hub_server import HubServer
from tests.fixtures.hub_shapes import contents
from tests.fixtures.small_models import write_bert_folder

NAME = "someone/some-model"


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("filled")
    write_bert_folder(folder / "published")
    with HubServer() as hub, pytest.MonkeyPatch.context() as patch:
        patch.delenv("HF_HUB_OFFLINE", raising=False)
        patch.setenv("HF_ENDPOINT", hub.url)
        hub.add_repo(NAME, contents(folder / "published"))
        download_model(NAME, cache_dir=folder / "cache", compiled=True)
    gc.collect()  # what this process still has open counts as held
    return folder / "cache"


@pytest.fixture
def cache(filled: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(filled, tmp_path / "cache", symlinks=True))


def lines(capsys: pytest.CaptureFixture[str], cache: Path, *words: str, status: int = 0) -> list[str]:
    assert main(["cache", *words, "--cache-dir", str(cache)]) == status
    return capsys.readouterr().out.splitlines()


def as_json(capsys: pytest.CaptureFixture[str], cache: Path, *words: str, status: int = 0) -> Any:
    return json.loads("\n".join(lines(capsys, cache, *words, "--json", status=status)))


def test_list(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where, heads, model, graph_heads, graph, total = lines(capsys, cache, "list")
    assert where == f"cache: {cache}"
    assert heads.split() == ["model", "kind", "MB", "last", "used", "commits"]
    assert model.split()[:2] == [NAME, "dense"]
    assert model.endswith("(main)")
    assert graph_heads.startswith("compiled graph of")
    assert graph.split()[:2] == [NAME, "fp32"]
    assert graph.endswith("onnxembed 0.1.0")
    assert total.startswith("1 models, ")
    found = as_json(capsys, cache, "list")
    assert found["models"][0]["model"] == NAME
    assert found["compiled"][0]["current"] is True
    assert found["leftovers"] == []


def test_list_of_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert lines(capsys, tmp_path / "no", "list")[-1].startswith("0 models, 0.0 MB; 0 compiled graphs")


def test_verify(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert lines(capsys, cache, "verify", NAME)[-1].endswith("0 with a problem")
    path = next(cache.glob("models--*/snapshots/*/tokenizer.json")).resolve()
    path.write_bytes(path.read_bytes() + b" ")
    found = as_json(capsys, cache, "verify", status=1)
    assert [problem["of"] for problem in found["problems"]] == [NAME]
    assert main(["cache", "verify", "--cache-dir", str(cache)]) == 1
    shown = capsys.readouterr()
    assert "tokenizer.json: " in shown.out
    assert f"'onnxembed cache prune {NAME}' removes the model" in shown.err


def test_prune(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert lines(capsys, cache, "prune") == ["0 removed, 0.0 MB"]
    planned = as_json(capsys, cache, "prune", NAME, "--dry-run")
    assert [item["outcome"] for item in planned["items"]] == ["would go", "would go"]
    assert list(cache.glob("models--*"))
    done = lines(capsys, cache, "prune", NAME)
    assert done[0].startswith(f"removed: model {NAME}, ")
    assert done[-1].startswith("2 removed, ")
    assert not list(cache.glob("models--*"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("list", "--dry-run"), "belong to 'onnxembed cache prune'"),
        (("list", NAME), "lists everything"),
        (("verify", "someone/nothing"), "no repository 'someone/nothing'"),
        (("prune", "someone/some-modle"), f"Did you mean '{NAME}'?"),
        (("prune", "--older-than", "-1"), "0 or more"),
    ],
)
def test_errors_are_one_line(
    words: tuple[str, ...], message: str, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["cache", *words, "--cache-dir", str(cache)]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert len(shown.err.splitlines()) == 1
    assert message in shown.err


@pytest.mark.parametrize("action", ["list", "verify", "prune"])
def test_a_file_is_no_cache(action: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert main(["cache", action, "--cache-dir", str(tmp_path / "file")]) == 1
    assert "is no folder; name one with --cache-dir" in capsys.readouterr().err
