"""A sparse text model as data: what it is, where its files are, and how its output becomes sparse vectors."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from onnxembed.graph_head import GraphHead
from onnxembed.spec import ModelSource, Recipe


class SparseKind(StrEnum):
    """How a text becomes a sparse vector."""

    SPLADE = "SPLADE"
    """Every entry of the vocabulary is weighted by a masked-language model; queries as documents (Formal et al., 2021,
    arXiv:2109.10086)."""
    INFERENCE_FREE = "INFERENCE_FREE"
    """As SPLADE for documents, with two logarithms; a query's weights come from a table (Geng et al., 2024,
    arXiv:2411.04403)."""
    BM25 = "BM25"
    """Words counted, without a model."""
    BM42 = "BM42"
    """Words weighted by the attention that the first token pays them (Qdrant, 2024)."""
    MINICOIL = "MINICOIL"
    """BM25 with a few numbers for the sense of each word it knows (Qdrant, 2025)."""


@dataclass(frozen=True, slots=True)
class SparseModel:
    """A model that gives one sparse vector a text.

    Attributes:
        name: The public name; compared without regard to case.
        sources: Where the files are.
        kind: How a text becomes a vector.
        model_file: The graph (``.onnx``), relative to the model's folder; BM25 has none.
        additional_files: Further files that must be there, such as stop words.
        output: The graph output to take, by position or by name.
        requires_idf: Whether the search engine has to bring in the inverse document frequency.
        vocab_size: Words or entries that can have a weight by themselves; 0 where any can.
        max_tokens: The limit the authors state, in tokens; documentation, the effective one comes from the files.
        license: The licence of the weights, as an SPDX identifier in lower case where there is one.
        size_in_gb: Download size in GB.
        description: One line for people.
    """

    name: str
    sources: tuple[ModelSource, ...]
    kind: SparseKind
    model_file: str = "onnx/model.onnx"
    additional_files: tuple[str, ...] = ()
    output: int | str = 0
    requires_idf: bool = False
    vocab_size: int = 0
    max_tokens: int | None = None
    license: str = ""
    size_in_gb: float = 0.0
    description: str = ""

    @property
    def recipe(self) -> Recipe | None:
        """What to compile; ``None`` where the weights alone do not make the model."""
        if self.kind is SparseKind.BM42:
            return Recipe(GraphHead.CLS_ATTENTION)
        if self.kind in (SparseKind.SPLADE, SparseKind.INFERENCE_FREE):
            return Recipe(GraphHead.VOCABULARY_MAXIMUM)
        return Recipe() if self.kind is SparseKind.MINICOIL else None
