"""The stages between token states and token vectors, as sentence-transformers and PyLate save them."""

from __future__ import annotations

from pathlib import PurePosixPath

from onnxembed.errors import UnsupportedModelError
from onnxembed.hub.files import Files
from onnxembed.hub.folder import CONFIG_FILE
from onnxembed.metadata.stages import STAGES_FILE, Stage
from onnxembed.text.vector_stage import VectorStage, read_dense, read_normalize

_TOKENS = "token_embeddings"


def read_layers(files: Files, stages: tuple[Stage, ...]) -> tuple[VectorStage, ...]:
    """Read the linear layers, in order; one that reads anything but token vectors is an `UnsupportedModelError`."""
    return tuple(read_dense(files, stage, _TOKENS, _TOKENS) for stage in stages if stage.kind == "Dense")


def ends_normalized(files: Files, stages: tuple[Stage, ...]) -> bool:
    """Tell whether a stage scales the vectors to length 1; one that is not behind all layers is refused."""
    kinds = [stage.kind for stage in stages]
    for stage in stages:
        if stage.kind == "Normalize":
            read_normalize(files, stage, _TOKENS, _TOKENS)
    if "Normalize" in kinds and "Dense" in kinds[kinds.index("Normalize") :]:
        raise UnsupportedModelError(
            f"{files.label(STAGES_FILE)} lists Dense after Normalize; vectors are scaled after all layers here"
        )
    return "Normalize" in kinds


def layer_files(layer: VectorStage) -> tuple[str, str]:
    """The configuration and the weights of a linear layer."""
    return PurePosixPath(layer.folder, CONFIG_FILE).as_posix(), layer.weights_file
