"""Every Python block of the README, of the packages' pages and of the documentation runs, page by page, in its order.

Names of models are answered by a local Hub with small models; all-MiniLM-L6-v2 and BM25 are the real ones. Where a
block of output follows a block of code, it is what the code prints.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.fixtures.hub_server import HubServer, hub_server
from tests.fixtures.hub_shapes import colbert, contents, publish_kinds
from tests.walls.copies import ROOT

__all__ = ["hub_server"]

PAGES = (
    "README.md",
    "core/README.md",
    "integrations/fastembed/README.md",
    "integrations/langchain/README.md",
    "integrations/llamaindex/README.md",
    *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md"))),
)
ELSEWHERE = {"docs/precision.md", "docs/from-other-libraries.md"}
"""Pages whose blocks run in tests of their own, which look at what they give."""
NAMES = {
    "intfloat/e5-small-v2": "dense",
    "Qdrant/bge-small-en-v1.5-onnx-Q": "optimized",  # where BAAI/bge-small-en-v1.5 comes from
    "Xenova/ms-marco-MiniLM-L-6-v2": "rerank",
    "Qdrant/clip-ViT-B-32-vision": "image",
    "Qdrant/clip-ViT-B-32-text": "text_half",
}
COLBERT = "answerdotai/answerai-colbert-small-v1"
_BLOCK = re.compile(r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$", re.M | re.S)
_RUN = {"python"}
_READ = {"sh", "bash", "text", "toml", "dockerfile", ""}
"""Commands, output, settings: read by people, and not run here; a new language needs its place."""


@dataclass(frozen=True, slots=True)
class Block:
    """A block of code, with the output that the page shows for it."""

    code: str
    output: str | None


def blocks(page: str) -> list[Block]:
    """The Python blocks of a page."""
    found = list(_BLOCK.finditer((ROOT / page).read_text(encoding="utf-8")))
    shown = []
    for number, match in enumerate(found):
        assert match["language"] in _RUN | _READ, f"{page}: {match['language']}"
        if match["language"] not in _RUN:
            continue
        after = found[number + 1] if number + 1 < len(found) else None
        output = after["text"] if after is not None and after["language"] == "text" else None
        code = re.sub(f"^{match['indent']}", "", match["text"], flags=re.M)
        shown.append(Block(code, output))
    return shown


def test_pages_have_blocks() -> None:
    assert sum(len(blocks(page)) for page in PAGES) > 30


@pytest.mark.parametrize("page", [page for page in PAGES if page not in ELSEWHERE and blocks(page)])
@pytest.mark.filterwarnings("ignore:Local mode performs exact:UserWarning")
@pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant:UserWarning")
def test_blocks_run(
    page: str,
    hub_server: HubServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    publish_kinds(hub_server, tmp_path / "published", NAMES)
    (tmp_path / "colbert").mkdir()
    colbert(tmp_path / "colbert")
    (tmp_path / "colbert" / "model.onnx").rename(tmp_path / "colbert" / "vespa_colbert.onnx")
    hub_server.add_repo(COLBERT, contents(tmp_path / "colbert"))
    monkeypatch.setenv("HF_ENDPOINT", hub_server.url)
    monkeypatch.setenv("ONNXEMBED_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("FASTEMBED_CACHE_PATH", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    picture = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    for name in ("cat.jpg", "dog.png"):
        Image.fromarray(picture).save(tmp_path / name)
    values: dict[str, object] = {"__name__": "page"}
    for block in blocks(page):
        exec(compile(block.code, page, "exec"), values)  # the lines of a page of this project
        printed = capsys.readouterr().out
        if block.output is not None:
            assert printed == block.output
