"""The sparse text models of this process, and each as plain data."""

from __future__ import annotations

from typing import Final

from onnxembed.catalog.registry import Registry, describe
from onnxembed.sparse.spec import SparseModel

sparse_registry: Final = Registry(SparseModel, "sparse.toml", "SparseTextEmbedding")


def describe_sparse(model: SparseModel) -> dict[str, object]:
    """A model as plain data."""
    return describe(model, "kind", "requires_idf", "vocab_size", "max_tokens")
