"""`onnxembed download`: a cache filled ahead, as lines and as JSON; what could not be had is said at the end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from onnxembed import TextEmbedding
from onnxembed.cli.main import main
from tests.fixtures.hub_server import HubServer, hub_server
from tests.fixtures.hub_shapes import contents
from tests.fixtures.small_models import write_bert_folder

__all__ = ["hub_server"]

NAME = "someone/some-model"


@pytest.fixture
def hub(hub_server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HubServer:
    monkeypatch.setenv("HF_ENDPOINT", hub_server.url)
    write_bert_folder(tmp_path / "published")
    hub_server.add_repo(NAME, contents(tmp_path / "published"))
    return hub_server


def test_lines_and_json(hub: HubServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cache = str(tmp_path / "cache")
    assert main(["download", "Qdrant/bm25", NAME, "--cache-dir", cache, "--compile"]) == 0
    shown = capsys.readouterr()
    bm25, model, where = shown.out.splitlines()
    assert bm25 == "Qdrant/bm25: no files are needed"
    assert model.startswith(f"{NAME}: 5 files, 0.1 MB, from hub {NAME}@")
    assert where == f"in {cache}; without a network: cache_dir= a copy of it, and HF_HUB_OFFLINE=1"
    assert shown.err.splitlines()[:2] == ["fetching Qdrant/bm25 ...", f"fetching {NAME} ..."]
    assert list((tmp_path / "cache" / "onnxembed" / "compiled").iterdir())
    hub.forget_requests()
    assert main(["download", NAME, "--cache-dir", cache, "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["model"], found["model_class"], found["in_cache"]) == (NAME, "TextEmbedding", True)
    assert {"tokenizer.json", "model.safetensors", "config.json"} <= {file["name"] for file in found["files"]}
    assert hub.requests == []
    TextEmbedding(NAME, cache_dir=cache, local_files_only=True)


def test_one_that_cannot_be_had(hub: HubServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["download", "someone/nothing", NAME, "--cache-dir", str(tmp_path / "cache")]) == 1
    shown = capsys.readouterr()
    assert shown.out.startswith(f"{NAME}: 5 files")
    assert shown.err.splitlines()[-1].startswith("onnxembed download: someone/nothing was not fetched: no model is")


def test_no_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["download"])
    assert ended.value.code == 2
