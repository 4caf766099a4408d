"""The dense text models of this process, and each as plain data."""

from __future__ import annotations

from typing import Final

from onnxembed.catalog.registry import Registry, describe
from onnxembed.text.spec import DenseModel

dense_registry: Final = Registry(DenseModel, "dense.toml", "TextEmbedding")


def describe_dense(model: DenseModel) -> dict[str, object]:
    """A model as plain data; ``matryoshka_dims`` is ``None`` for no shortening, empty for any length."""
    matryoshka = model.matryoshka
    return {
        **describe(model, "dim", "tasks", "max_tokens", "pooling", "normalize"),
        "tasks": dict(model.tasks),
        "prompts": {"query": model.prompts.query, "passage": model.prompts.passage},
        "matryoshka_dims": None if matryoshka is None else list(matryoshka.dims),
        "default_prompt": model.default_prompt,
        "prompt_source": model.prompt_source,
        "similarity": model.similarity,
    }
