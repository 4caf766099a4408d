"""What importing a name loads, in a process of its own."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import langchain_onnxembed
import onnxembed
from tests.snapshots.source import LLAMA_INDEX, is_ours, trees

HEAVY = ("PIL", "huggingface_hub", "numpy", "onnxruntime", "tokenizers")
_NEVER = ("tensorflow", "torch", "transformers")
_NOT_INSTALLED = {"OnnxMilvusSparse"}


def processes() -> list[list[str]]:
    """The statements that are looked at, those of one process together; each is told by what it adds."""
    core = [[f"from onnxembed import {name}"] for name in sorted(onnxembed.__all__)]
    adapter = [
        [f"from langchain_onnxembed import {n}"] for n in sorted({*langchain_onnxembed.__all__} - _NOT_INSTALLED)
    ]
    # LlamaIndex itself takes seconds to import: once is enough.
    together = [f"import {package}" for package in LLAMA_INDEX]
    return [["import onnxembed"], *core, ["import langchain_onnxembed"], *adapter, together]


def modules_added(statements: list[str]) -> list[list[str]]:
    """The modules that each of some statements adds to those of a bare interpreter and of the statements before it."""
    lines = ["import sys", "seen = [set(sys.modules)]"]
    for statement in statements:
        lines += [statement, "seen.append(set(sys.modules))"]
    lines.append("import json; print(json.dumps([sorted(after - before) for before, after in zip(seen, seen[1:])]))")
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=True)
    added: list[list[str]] = json.loads(done.stdout.splitlines()[-1])
    return added


def loaded() -> str:
    """Packages of others that ours name somewhere, and our own modules; what those others load is theirs to change."""
    watched = _imported_by_us() | {*HEAVY, *_NEVER}
    asked = processes()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        answers = [one for added in pool.map(modules_added, asked) for one in added]
    lines: list[str] = []
    for statement, modules in zip([one for each in asked for one in each], answers, strict=True):
        packages = sorted({name.split(".")[0] for name in modules} & watched)
        lines += [f"== {statement}", f"packages of others: {', '.join(packages) or 'none'}"]
        lines += [*filter(is_ours, modules), ""]
    return "\n".join(lines)


def _imported_by_us() -> set[str]:
    names: set[str] = set()
    for tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                names.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module)
    return {name.split(".")[0] for name in names if not is_ours(name)} - sys.stdlib_module_names - {"__future__"}
