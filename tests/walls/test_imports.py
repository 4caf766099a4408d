"""The rules of imports hold, and fail when they are broken."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.check_imports import breaches, circles
from tests.walls.copies import ROOT, add_line, copy_tree, run_in

LANGCHAIN = "integrations/langchain/langchain_onnxembed/rerank.py"
LLAMA_INDEX = "integrations/llamaindex/llama_index/retrievers/onnxembed/base.py"
RUNTIME = "core/onnxembed/runtime/session.py"

BREACHES = {
    "private name of a private module": (LANGCHAIN, "from onnxembed.api.options import anything_private"),
    "the same in LlamaIndex": (LLAMA_INDEX, "from onnxembed.api.options import anything_private"),
    "a model in the runtime": (RUNTIME, "from onnxembed.text.model import TextEmbedding"),
    "a kind in another kind": ("core/onnxembed/rerank/model.py", "from onnxembed.sparse.vector import SparseEmbedding"),
    "the catalogue in a format": ("core/onnxembed/formats/protobuf.py", "import onnxembed.catalog"),
    "a framework in the core": ("core/onnxembed/text/model.py", "import langchain_core"),
    "pydantic in the core": ("core/onnxembed/text/model.py", "import pydantic"),
    "one adapter in the other": (LLAMA_INDEX, "import langchain_onnxembed"),
    "the other in the one": (LANGCHAIN, "from llama_index.embeddings.onnxembed import OnnxEmbedding"),
}
"""What the contracts refuse: the file and the line that is put into it."""

FURTHER_BREACHES = {
    "a name that is not exported": (LANGCHAIN, "from onnxembed import import_module"),
    "a private name": (LANGCHAIN, "from onnxembed import _HOMES"),
    "a module as a whole": (LLAMA_INDEX, "import onnxembed.api.options"),
    "a private module of another package": (
        LLAMA_INDEX,
        "from llama_index.postprocessor.onnxembed_rerank._reranker import Reranker",
    ),
    "a private name off a module": (LANGCHAIN, "from onnxembed.adapters import fields\n_ = fields._anything"),
    "a name that is not exported, off a module": (LANGCHAIN, "import onnxembed.errors as e\n_ = e.annotations"),
    "a private name off a module of the core": (
        "core/onnxembed/text/model.py",
        "from onnxembed.text import engine\n_ = engine._anything",
    ),
    "a private name in the core": ("core/onnxembed/text/model.py", "from onnxembed.text.engine import _anything"),
    "a model in the runtime, by the front door": (RUNTIME, "from onnxembed import TextEmbedding"),
    "all models in the runtime": (RUNTIME, "import onnxembed"),
    "LlamaIndex in the core": ("core/onnxembed/text/model.py", "from llama_index.core import Document"),
    "an undeclared dependency": ("core/onnxembed/text/model.py", "def load() -> None:\n    import requests"),
}
"""What only the look at the syntax trees refuses."""


def contracts(root: Path) -> subprocess.CompletedProcess[str]:
    command = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    return run_in(root, "-c", command, "--no-cache", "--no-logo")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_tree(tmp_path_factory.mktemp("walls") / "tree")


@pytest.fixture
def changed(tree: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """The copy with one further line, for one test."""
    name, line = request.param
    path = tree / name
    before = path.read_text(encoding="utf-8")
    add_line(path, line)
    yield tree
    path.write_text(before, encoding="utf-8")


def test_nothing_breaks_a_rule() -> None:
    assert breaches(ROOT) == []


def test_no_circles_when_modules_are_loaded() -> None:
    assert circles(ROOT, loading=True) == []


def test_no_circles_for_the_type_checker_and_in_functions() -> None:
    assert circles(ROOT, loading=False) == []


def test_contracts_are_kept(tree: Path) -> None:
    done = contracts(tree)
    assert done.returncode == 0, done.stdout
    assert " 0 broken" in done.stdout


@pytest.mark.parametrize("changed", BREACHES.values(), ids=BREACHES, indirect=True)
def test_contracts_are_broken(changed: Path) -> None:
    done = contracts(changed)
    assert done.returncode == 1, done.stdout
    assert "BROKEN" in done.stdout


@pytest.mark.parametrize("changed", FURTHER_BREACHES.values(), ids=FURTHER_BREACHES, indirect=True)
def test_rules_on_names_are_broken(changed: Path) -> None:
    assert breaches(changed)


def test_lint_says_what_is_wrong(tree: Path) -> None:
    path = tree / LANGCHAIN
    before = path.read_text(encoding="utf-8")
    add_line(path, "from onnxembed import import_module")
    done = run_in(tree, "scripts/check_imports.py")
    path.write_text(before, encoding="utf-8")
    rule = "an adapter reads the core through its public names"
    assert done.stdout == f"langchain_onnxembed.rerank -> onnxembed.import_module: {rule}\n"
    assert done.returncode == 1


def test_a_circle_is_found(tree: Path) -> None:
    path = tree / "core/onnxembed/formats/protobuf.py"
    before = path.read_text(encoding="utf-8")
    add_line(path, "if TYPE_CHECKING:\n    from onnxembed.formats import onnx_graph")
    assert any("onnxembed.formats.protobuf" in group for group in circles(tree, loading=False))
    assert circles(tree, loading=True) == []
    path.write_text(before, encoding="utf-8")
    add_line(path, "from onnxembed.formats import onnx_graph")
    assert any("onnxembed.formats.protobuf" in group for group in circles(tree, loading=True))
    path.write_text(before, encoding="utf-8")
