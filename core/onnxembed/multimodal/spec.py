"""A late-interaction model of texts and pictures as data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from onnxembed.spec import ModelSource, Recipe


class MultimodalKind(StrEnum):
    """How a model wants its texts and pictures prepared."""

    COLPALI = "COLPALI"
    """PaliGemma: one picture of fixed size, a fixed row of image tokens (Faysse et al., 2024, arXiv:2407.01449)."""
    COLMODERNVBERT = "COLMODERNVBERT"
    """Tiles of the picture and a small view of the whole, as Idefics3 cuts them."""
    COLQWEN2 = "COLQWEN2"
    """Qwen2-VL: patches of the picture in its own proportions, as many image tokens as it needs."""


@dataclass(frozen=True, slots=True)
class MultimodalModel:
    """A model that gives one vector a token, for texts and for pictures.

    Attributes:
        name: The public name; compared without regard to case.
        sources: Where the files are.
        kind: How texts and pictures are prepared.
        dim: Numbers of a vector; 0 when only the graph tells.
        model_file: The graph, relative to the model's folder.
        additional_files: Further files that must be there, such as external data.
        output: Name of the graph output with the vectors; ``None`` for the first one of three axes.
        max_tokens: The limit of queries that the authors state; documentation, the effective one comes from the files.
        license: The licence of the weights, as an SPDX identifier in lower case where there is one.
        size_in_gb: Download size in GB.
        description: One line for people.
    """

    name: str
    sources: tuple[ModelSource, ...]
    kind: MultimodalKind
    dim: int
    model_file: str = "model.onnx"
    additional_files: tuple[str, ...] = ()
    output: str | None = None
    max_tokens: int | None = None
    license: str = ""
    size_in_gb: float = 0.0
    description: str = ""

    @property
    def recipe(self) -> Recipe | None:
        """``None``: such models are not compiled from weights."""
        return None
