"""A cross-encoder as data: which files it has, and what its authors make of its raw score."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from onnxembed.spec import ModelSource, Recipe


class Activation(StrEnum):
    """What becomes of the raw score of a pair."""

    RAW = "raw"
    """Nothing: the logit itself."""
    SIGMOID = "sigmoid"
    """1 / (1 + exp(-score)), between 0 and 1."""
    MODEL = "model"
    """What the model's own description says, which is one of the other two."""


@dataclass(frozen=True, slots=True)
class CrossEncoderModel:
    """A model that reads a query and a document together and gives one score.

    Attributes:
        name: The public name; compared without regard to case.
        sources: Where the files are.
        model_file: The graph, relative to the model's folder.
        additional_files: Further files that must be there, such as external data.
        activation: What the authors make of the raw score, ``Activation.RAW`` or ``Activation.SIGMOID``; ``None`` for
            what the model's own files say.
        max_tokens: The limit the authors state for a pair, in tokens; documentation, the effective one comes from the
            files.
        license: The licence of the weights, as an SPDX identifier in lower case where there is one.
        size_in_gb: Download size in GB.
        description: One line for people.
    """

    name: str
    sources: tuple[ModelSource, ...]
    model_file: str = "onnx/model.onnx"
    additional_files: tuple[str, ...] = ()
    activation: Activation | None = None
    max_tokens: int | None = None
    license: str = ""
    size_in_gb: float = 0.0
    description: str = ""

    @property
    def recipe(self) -> Recipe | None:
        """Nothing: classification heads are not compiled from weights."""
        return None
