"""The page that shows other libraries' lines beside ours: ours run, by the names that stand there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.fixtures.hub_server import HubServer, hub_server
from tests.fixtures.hub_shapes import publish_kinds
from tests.walls.copies import ROOT

__all__ = ["hub_server"]

PAGE = (ROOT / "docs" / "from-other-libraries.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^## (.+?)\n.*?^Before:\n\n```python\n(.*?)```\n\nHere:\n\n```python\n(.*?)```", PAGE, re.M | re.S)
# What the page's names stand for here.
NAMES = {
    "intfloat/e5-small-v2": "dense",
    "Qdrant/bge-small-en-v1.5-onnx-Q": "optimized",  # where BAAI/bge-small-en-v1.5 comes from
    "Xenova/ms-marco-MiniLM-L-6-v2": "rerank",  # where cross-encoder/ms-marco-MiniLM-L-6-v2 comes from
    "naver/splade-v3": "sparse",
}


def test_every_library_has_both_sides() -> None:
    assert [name for name, _, _ in BLOCKS] == ["sentence-transformers", "LangChain", "LlamaIndex", "FastEmbed"]
    theirs = "".join(before for _, before, _ in BLOCKS)
    for shown in (
        "HuggingFaceEmbeddings(",
        "HuggingFaceEmbedding(",
        "SentenceTransformerRerank(",
        "FastEmbedEmbeddings(",
    ):
        assert shown in theirs
    for _, before, _ in BLOCKS:
        compile(before, "page", "exec")


@pytest.mark.parametrize(("library", "ours"), [(name, here) for name, _, here in BLOCKS])
def test_our_lines_run(
    library: str, ours: str, hub_server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", hub_server.url)
    monkeypatch.setenv("ONNXEMBED_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    publish_kinds(hub_server, tmp_path / "published", NAMES)
    values: dict[str, object] = {}
    exec(compile(ours, library, "exec"), values)  # the lines of a page of this project
    assert {"vectors", "vector"} & set(values)
