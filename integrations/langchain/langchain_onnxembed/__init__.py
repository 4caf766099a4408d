"""onnxembed's models behind LangChain's interfaces.

The classes are loaded on first use, so that importing this package costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_onnxembed.embeddings import OnnxEmbeddings

__all__ = ["OnnxEmbeddings"]

_HOMES = {"OnnxEmbeddings": "langchain_onnxembed.embeddings"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
