"""The sparse text models of this process, by name."""

from __future__ import annotations

from typing import Final

from onnxembed.catalog import sparse_models
from onnxembed.catalog.registry import Registry, describe_files
from onnxembed.sparse.spec import SparseModel

sparse_registry: Final = Registry(sparse_models, SparseModel, "SparseTextEmbedding")
"""The sparse text models of this process."""


def describe_sparse(model: SparseModel) -> dict[str, object]:
    """Tell what is known of a model, as plain data that belongs to the caller.

    Args:
        model: The model.

    Returns:
        The entries that every kind of model has, and those of sparse models.
    """
    return {
        **describe_files(model),
        "kind": model.kind.value,
        "requires_idf": model.requires_idf,
        "vocab_size": model.vocab_size,
        "max_tokens": model.max_tokens,
    }
