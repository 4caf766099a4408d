"""What importing costs, and what the packages never do."""

import ast
import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import onnxembed

HEAVY = set("numpy onnxruntime tokenizers huggingface_hub httpx httpx2 requests PIL filelock asyncio".split())  # noqa: SIM905
ROOT = Path(onnxembed.__file__).parent


def loaded_by(code: str) -> set[str]:
    program = f"import sys, json\n{code}\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert not loaded_by("import onnxembed") & HEAVY


FACADES = [name for name in onnxembed.__all__ if hasattr(getattr(onnxembed, name), "list_supported_models")]


def test_there_is_a_facade_for_every_kind() -> None:
    assert {"TextEmbedding", "SparseTextEmbedding", "TextCrossEncoder", "LateInteractionTextEmbedding"} <= set(FACADES)


@pytest.mark.parametrize("name", FACADES)
def test_importing_the_class_loads_no_weights_machinery(name: str) -> None:
    assert not loaded_by(f"from onnxembed import {name}") & (HEAVY - {"asyncio"})


@pytest.mark.parametrize("name", FACADES)
def test_listing_models_loads_no_weights_machinery(name: str) -> None:
    code = f"from onnxembed import {name}; {name}.list_supported_models()"
    assert not loaded_by(code) & (HEAVY - {"asyncio"})


def test_names() -> None:
    assert dir(onnxembed) == onnxembed.__all__
    for name in onnxembed.__all__:
        assert getattr(onnxembed, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'TextEmbeding'"):
        onnxembed.TextEmbeding  # noqa: B018


@pytest.mark.parametrize("facade", FACADES)
def test_no_signature_takes_whatever_comes(facade: str) -> None:
    for name, member in inspect.getmembers(getattr(onnxembed, facade), callable):
        if name.startswith("_") and name != "__init__":
            continue
        kinds = {parameter.kind for parameter in inspect.signature(member).parameters.values()}
        assert inspect.Parameter.VAR_KEYWORD not in kinds, name


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_assert_and_no_print(path: Path) -> None:
    """An assert vanishes under ``-O``; a print belongs to the command line."""
    may_print = path.parent == ROOT / "cli"
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        line = getattr(node, "lineno", None)
        assert not isinstance(node, ast.Assert), line
        called = node.func if isinstance(node, ast.Call) else None
        assert may_print or not (isinstance(called, ast.Name) and called.id == "print"), line


def test_onnxruntime_is_imported_with_its_telemetry_off(tmp_path: Path) -> None:
    code = (
        "import os\n"
        "for name in ('ORT_DISABLE_TELEMETRY', 'CI'): os.environ.pop(name, None)\n"
        "before = dict(os.environ)\n"
        "from onnxembed.runtime.onnx import import_onnxruntime; import_onnxruntime(); import_onnxruntime()\n"
        "assert dict(os.environ) == before"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "HOME": str(tmp_path)})
    assert list(tmp_path.rglob("*")) == []
