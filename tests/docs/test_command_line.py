"""The page on the command line: its commands run, in their order, on the file that it shows."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from onnxembed.cli.main import main
from tests.fixtures.hub_server import HubServer, hub_server
from tests.fixtures.hub_shapes import publish_kinds
from tests.walls.copies import ROOT

__all__ = ["hub_server"]

PAGE = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
FILE = re.findall(r"^```text\n(.*?)```", PAGE, re.M | re.S)[0]
COMMANDS = ("embed", "search", "rerank")
"""The other commands of the page are read by the tests of the pages that explain them."""
LINES = [
    line
    for block in re.findall(r"^```sh\n(.*?)```", PAGE, re.M | re.S)
    for line in block.splitlines()
    if line.split()[1] in COMMANDS
]
NAMES = {"Xenova/ms-marco-MiniLM-L-6-v2": "rerank"}


def test_commands_run(
    hub_server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    publish_kinds(hub_server, tmp_path / "published", NAMES)
    monkeypatch.setenv("HF_ENDPOINT", hub_server.url)
    monkeypatch.setenv("ONNXEMBED_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    Path("documents.jsonl").write_text(FILE, "utf-8")
    shown = []
    for line in LINES:
        program, *words = shlex.split(line)
        assert (program, main(words)) == ("onnxembed", 0)
        shown.append(capsys.readouterr().out)
    assert pq.read_table("documents.parquet").column_names == ["id", "text", "vector"]
    assert np.load("words.indices.offsets.npy").tolist()[0] == 0
    searched, words_found, reranked = shown[2:]
    assert searched.splitlines()[1].split()[2] == "bern"
    assert [one["results"][0]["id"] for one in json.loads(words_found)] == ["paris", "bread"]
    assert len(reranked.splitlines()) == 3
