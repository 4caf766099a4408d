"""The room for adapters: only adapters enter it, and every name in it is public."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import onnxembed

CORE = Path(onnxembed.__file__).parent
ROOM = CORE / "adapters"
MODULES = sorted(f"onnxembed.adapters.{path.stem}" for path in ROOM.glob("*.py") if path.stem != "__init__")


def module_name(path: Path) -> str:
    parts = path.relative_to(CORE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_the_rest_of_the_core_is_imported_without_pydantic_and_qdrant() -> None:
    others = [path for path in sorted(CORE.rglob("*.py")) if ROOM not in path.parents and path.stem != "__main__"]
    code = "import sys\nfor name in ('pydantic', 'qdrant_client'): sys.modules[name] = None\n"
    code += "\n".join(f"import {module_name(path)}" for path in others)
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def test_only_adapters_enter() -> None:
    for path in CORE.rglob("*.py"):
        if ROOM in path.parents:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert not [name for name in names if name.startswith("onnxembed.adapters")], path


@pytest.mark.parametrize("name", MODULES)
def test_every_name_is_public_and_told(name: str) -> None:
    module = import_module(name)
    assert name.rsplit(".", 1)[1] in (import_module("onnxembed.adapters").__doc__ or "")
    assert sorted(module.__all__) == sorted(set(module.__all__))
    assert all(hasattr(module, public) for public in module.__all__)
    tree = ast.parse(Path(module.__file__ or "").read_text())
    defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    assert {public for public in defined if not public.startswith("_")} <= set(module.__all__)


def test_what_needs_no_store_is_imported_without_it() -> None:
    code = "import sys\nsys.modules['qdrant_client'] = None\n"
    code += "\n".join(f"import {name}" for name in MODULES if "qdrant" not in name and "two_stages" not in name)
    code += "\nprint(sorted({'onnxruntime', 'tokenizers', 'PIL', 'huggingface_hub', 'numpy'} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
