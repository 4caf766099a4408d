"""The map of ARCHITECTURE.md is held to the tree."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.check_architecture import problems
from tests.walls.copies import ROOT

MAP = """# Architecture

```
core/onnxembed/
  errors.py            the errors
  text/                model.py, the class; spec.py
                       tokens.py over words.py
  <kind>/spec.py       what a model is
  sparse/
    deep/  {one,two}.py
integrations/{langchain/langchain_onnxembed,llamaindex/llama_index/embeddings/onnxembed}/  *.py
```

See `text/model.py` and `scripts/lint.py`.
"""
FILES = [
    "core/onnxembed/__init__.py",
    "core/onnxembed/errors.py",
    "core/onnxembed/text/__init__.py",
    "core/onnxembed/text/model.py",
    "core/onnxembed/text/spec.py",
    "core/onnxembed/text/tokens.py",
    "core/onnxembed/text/words.py",
    "core/onnxembed/sparse/__init__.py",
    "core/onnxembed/sparse/spec.py",
    "core/onnxembed/sparse/deep/one.py",
    "core/onnxembed/sparse/deep/two.py",
    "integrations/langchain/langchain_onnxembed/__init__.py",
    "integrations/langchain/langchain_onnxembed/rerank.py",
    "integrations/llamaindex/llama_index/embeddings/onnxembed/base.py",
    "scripts/lint.py",
]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "ARCHITECTURE.md").write_text(MAP, encoding="utf-8")
    return tmp_path


def test_the_map_is_true() -> None:
    assert problems(ROOT) == []


def test_everything_is_named(tree: Path) -> None:
    assert problems(tree) == []


@pytest.mark.parametrize(
    "path", ["core/onnxembed/text/new.py", "core/onnxembed/new.py", "core/onnxembed/sparse/deep/deeper/one.py"]
)
def test_what_is_not_named_is_found(tree: Path, path: str) -> None:
    (tree / path).parent.mkdir(exist_ok=True)
    (tree / path).touch()
    assert f"ARCHITECTURE.md does not name {path}" in problems(tree)


@pytest.mark.parametrize("path", ["core/onnxembed/text/words.py", "core/onnxembed/sparse/deep/two.py"])
def test_what_is_not_there_is_found(tree: Path, path: str) -> None:
    (tree / path).unlink()
    assert problems(tree) == [f"ARCHITECTURE.md names {path}, which does not exist"]


def test_names_in_the_text_exist(tree: Path) -> None:
    (tree / "CONTRIBUTING.md").write_text("Add a file to `scripts/` or to `text/odd.py`.", encoding="utf-8")
    assert problems(tree) == ["CONTRIBUTING.md names text/odd.py, which does not exist"]
    (tree / "scripts/lint.py").unlink()
    assert "ARCHITECTURE.md names scripts/lint.py, which does not exist" in problems(tree)


def test_a_document_without_a_map(tree: Path) -> None:
    (tree / "ARCHITECTURE.md").write_text("Nothing.", encoding="utf-8")
    assert problems(tree) == ["ARCHITECTURE.md has no map"]
