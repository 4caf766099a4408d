"""A stand-in for LangChain's package for Milvus, which is too heavy for the tests."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

_INTERFACE = "langchain_milvus.utils.sparse"
_ADAPTER = "langchain_onnxembed.milvus"


class BaseSparseEmbedding:
    """The interface that the adapter names as its base."""


@contextmanager
def with_milvus() -> Iterator[None]:
    """Import the adapter over the stand-in, and forget both afterwards; other modules stay imported."""
    stand_ins = {name: ModuleType(name) for name in ("langchain_milvus", "langchain_milvus.utils", _INTERFACE)}
    vars(stand_ins[_INTERFACE])["BaseSparseEmbedding"] = BaseSparseEmbedding
    before = {name: sys.modules.pop(name, None) for name in (*stand_ins, _ADAPTER)}
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for name, module in before.items():
            sys.modules.pop(name, None)
            if module is not None:
                sys.modules[name] = module
