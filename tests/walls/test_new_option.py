"""A new option of the engine is one field here and one field there: a patch of three hunks brings it everywhere."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.walls.copies import ROOT, copy_tree, run_in

PATCH = Path(__file__).with_name("add_option.patch")
CLASSES = {
    "TextEmbedding": "BAAI/bge-small-en-v1.5",
    "SparseTextEmbedding": "prithivida/Splade_PP_en_v1",
    "LateInteractionTextEmbedding": "colbert-ir/colbertv2.0",
    "TextCrossEncoder": "Xenova/ms-marco-MiniLM-L-6-v2",
    "ImageEmbedding": "Qdrant/clip-ViT-B-32-vision",
    "LateInteractionMultimodalEmbedding": "Qdrant/colpali-v1.3-fp16",
}
"""The six model classes, and a known model of each."""
ADAPTERS = (
    "langchain_onnxembed",
    "llama_index.embeddings.onnxembed",
    "llama_index.postprocessor.onnxembed_rerank",
    "llama_index.sparse_embeddings.onnxembed",
)

PROBE = f"""
import inspect, json, pickle
from importlib import import_module

import onnxembed

core, adapters = {{}}, {{}}
for name, model in {CLASSES!r}.items():
    cls = getattr(onnxembed, name)
    parameter = inspect.signature(cls).parameters.get("memory_limit")
    made = cls(model, memory_limit=5, lazy_load=True)
    core[name] = {{
        "parameter": parameter and [str(parameter.annotation), parameter.default, parameter.kind.name],
        "documented": "memory_limit: MB that a session may take." in (cls.__init__.__doc__ or ""),
        "options": made.options.get("memory_limit"),
        "default": cls(model, lazy_load=True).options.get("memory_limit", "missing"),
        "again": cls(**made.options, lazy_load=True).options == made.options,
        "pickled": pickle.loads(pickle.dumps(made)).options.get("memory_limit"),
    }}
    try:
        cls(model, memory_limit=0, lazy_load=True)
    except onnxembed.OnnxEmbedError as error:
        core[name]["refused"] = str(error)
for module in {ADAPTERS!r}:
    for name in import_module(module).__all__:
        try:
            fields = getattr(import_module(module), name).model_fields
        except (AttributeError, ImportError):
            continue
        if "enable_cpu_mem_arena" in fields:
            field = fields.get("memory_limit")
            adapters[f"{{module}}.{{name}}"] = field and field.description
print(json.dumps([core, adapters]))
"""

HANDED_ON = """
import json
import onnxembed
from onnxembed import TextEmbedding

seen = []

class Watched(TextEmbedding):
    def __init__(self, *arguments, **options):
        seen.append(options.get("memory_limit"))
        super().__init__(*arguments, **options)

onnxembed.TextEmbedding = Watched

from langchain_onnxembed import OnnxEmbeddings
from llama_index.embeddings.onnxembed import OnnxEmbedding

for cls in (OnnxEmbeddings, OnnxEmbedding):
    try:
        cls(memory_limit=7, lazy_load=False, local_files_only=True)
    except ValueError:
        pass  # there is no such model here
print(json.dumps(seen))
"""

SNIPPET = "\n".join(
    [
        "from langchain_onnxembed import OnnxEmbeddings, OnnxRerank",
        "from llama_index.embeddings.onnxembed import OnnxEmbedding",
        f"from onnxembed import {', '.join(CLASSES)}",
        "",
        *(f"{name}({model!r}, memory_limit=5)" for name, model in CLASSES.items()),
        "OnnxEmbeddings(memory_limit=5)",
        "OnnxRerank(memory_limit=5)",
        "OnnxEmbedding(memory_limit=5)",
        "",
    ]
)
"""What mypy accepts when the option is there."""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree with the patch."""
    root = copy_tree(tmp_path_factory.mktemp("option") / "tree")
    subprocess.run(["git", "apply", "--whitespace=nowarn", str(PATCH)], cwd=root, check=True)
    return root


@pytest.fixture(scope="module")
def probed(tree: Path) -> tuple[dict[str, dict[str, Any]], dict[str, str | None]]:
    done = run_in(tree, "-W", "ignore", "-c", PROBE)
    assert done.returncode == 0, done.stdout
    core, adapters = json.loads(done.stdout.splitlines()[-1])
    return core, adapters


def test_the_patch_is_small() -> None:
    lines = PATCH.read_text(encoding="utf-8").splitlines()
    assert 1 <= sum(line.startswith("@@ ") for line in lines) <= 3
    assert not [line for line in lines if line.startswith("-") and not line.startswith("---")]


@pytest.mark.parametrize("name", CLASSES)
def test_the_core_has_it(name: str, probed: tuple[dict[str, dict[str, Any]], dict[str, str | None]]) -> None:
    assert probed[0][name] == {
        "parameter": ["int | None", None, "KEYWORD_ONLY"],
        "documented": True,
        "options": 5,
        "default": None,
        "again": True,
        "pickled": 5,
        "refused": "memory_limit=0: memory_limit must be >= 1",
    }


def test_the_adapters_have_it(probed: tuple[dict[str, dict[str, Any]], dict[str, str | None]]) -> None:
    found = probed[1]
    assert {name.split(".")[0] for name in found} == {"langchain_onnxembed", "llama_index"}
    assert len(found) >= 10
    assert set(found.values()) == {"MB that a session may take."}


def test_the_adapters_hand_it_on(tree: Path) -> None:
    done = run_in(tree, "-W", "ignore", "-c", HANDED_ON)
    assert done.returncode == 0, done.stdout
    assert json.loads(done.stdout.splitlines()[-1]) == [7, 7]


def test_mypy_accepts_it_and_no_other(tree: Path) -> None:
    cache = tree / ".mypy_cache"
    if (ROOT / ".mypy_cache").exists():  # what lint has left: a run takes a third of the time
        shutil.copytree(ROOT / ".mypy_cache", cache)
    (tree / "accepted.py").write_text(SNIPPET, encoding="utf-8")
    (tree / "refused.py").write_text(SNIPPET.replace("memory_limit", "memory_limits"), encoding="utf-8")
    done = run_in(tree, "-m", "mypy", "--cache-dir", str(cache), "accepted.py", "refused.py")
    errors = [line for line in done.stdout.splitlines() if ": error: " in line]
    assert {line.partition(":")[0] for line in errors} == {"refused.py"}, done.stdout
    assert len(errors) == SNIPPET.count("memory_limit")
    assert all('"memory_limits"' in line and line.endswith("[call-arg]") for line in errors)
