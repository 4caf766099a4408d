"""Where the packages are, and what in a running process is theirs."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SOURCES = (
    ROOT / "core" / "onnxembed",
    ROOT / "integrations" / "langchain" / "langchain_onnxembed",
    ROOT / "integrations" / "llamaindex" / "llama_index",
)
LLAMA_INDEX = (
    "llama_index.embeddings.onnxembed",
    "llama_index.postprocessor.onnxembed_rerank",
    "llama_index.retrievers.onnxembed",
    "llama_index.sparse_embeddings.onnxembed",
)
PACKAGES = ("onnxembed", "langchain_onnxembed", *LLAMA_INDEX)


def is_ours(module: str) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in PACKAGES)


def ours(cls: type) -> list[type]:
    """A class and those of its bases that are defined in these packages, nearest first."""
    return [base for base in cls.__mro__ if is_ours(base.__module__)]


def foreign(cls: type) -> list[str]:
    """What a class is for other packages: its nearest ancestors outside these ones."""
    outside = [base for base in cls.__mro__ if not is_ours(base.__module__) and base is not object]
    return sorted(
        base.__name__ for base in outside if not any(base is not other and issubclass(other, base) for other in outside)
    )


def trees() -> Iterator[ast.Module]:
    """The source of every module of every package."""
    for folder in SOURCES:
        for path in sorted(folder.rglob("*.py")):
            yield ast.parse(path.read_text(encoding="utf-8"))


def defined_names(module: Any) -> list[str]:
    """The public names that a module defines: those it lists, or those that are not only imported there."""
    listed = getattr(module, "__all__", None)
    if listed is not None:
        return sorted(name for name in listed if name != "__version__")
    names: set[str] = set()
    for node in ast.parse(Path(module.__file__).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names.update(target.id for target in targets if isinstance(target, ast.Name))
    return sorted(name for name in names if not name.startswith("_"))
