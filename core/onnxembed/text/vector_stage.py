"""A stage that turns vectors into vectors, as data: what sentence-transformers puts after the pooling."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from onnxembed.errors import ModelNotFoundError, UnsupportedModelError
from onnxembed.formats.weight_files import WEIGHTS_FILE

if TYPE_CHECKING:
    from onnxembed.hub.files import Files
    from onnxembed.metadata.stages import Stage


class StageKind(StrEnum):
    """What a stage does."""

    DENSE = "Dense"
    """``activation(x W^T + b)``, and with a residual ``x`` or ``x R^T`` added."""
    LAYER_NORM = "LayerNorm"
    """A layer normalization with weights."""
    NORMALIZE = "Normalize"
    """Scaled to length 1."""


class Activation(StrEnum):
    """The function of a Dense stage, by the name of its class in PyTorch; all with PyTorch's own constants."""

    IDENTITY = "Identity"
    TANH = "Tanh"
    SIGMOID = "Sigmoid"
    RELU = "ReLU"
    RELU6 = "ReLU6"
    LEAKY_RELU = "LeakyReLU"
    ELU = "ELU"
    SELU = "SELU"
    GELU = "GELU"
    SILU = "SiLU"
    MISH = "Mish"
    SOFTPLUS = "Softplus"
    SOFTSIGN = "Softsign"


@dataclass(frozen=True, slots=True)
class VectorStage:
    """One stage.

    Attributes:
        kind: What it does.
        folder: Where its weights are, relative to the model's folder; empty where it has none.
        inputs: Numbers of a vector that goes in; ``None`` for any.
        outputs: Numbers of a vector that comes out; ``None`` for as many as go in.
        activation: The function of a Dense stage.
        bias: Whether a Dense stage has one.
        residual: Whether a Dense stage adds what goes in.
    """

    kind: StageKind
    folder: str = ""
    inputs: int | None = None
    outputs: int | None = None
    activation: Activation = Activation.IDENTITY
    bias: bool = True
    residual: bool = False

    @property
    def weights_file(self) -> str:
        """The file with its weights, relative to the model's folder."""
        return f"{self.folder}/{WEIGHTS_FILE}"


NORMALIZE = VectorStage(StageKind.NORMALIZE)

_VECTORS = "sentence_embedding"
_TORCH_NAMES: Mapping[str, Activation] = {kind.value: kind for kind in Activation}


def read_dense(files: Files, stage: Stage, reads: str = _VECTORS, unsaid: str = _VECTORS) -> VectorStage:
    """Read a Dense stage; ``reads`` is the name of what goes in and comes out: the texts' vectors or the tokens'.

    ``unsaid`` is what goes into a stage of an older save, which does not say. An activation that is not known here is
    an `UnsupportedModelError`, missing weights a `ModelNotFoundError`.
    """
    from onnxembed.hub.folder import safe_relative

    config = stage.config(files)
    _reads(files, stage, reads, unsaid)
    read = VectorStage(
        StageKind.DENSE,
        safe_relative(stage.path),
        config.whole("in_features"),
        config.whole("out_features"),
        _activation(config.text("activation_function", "torch.nn.modules.activation.Tanh"), config.where),
        config.flag("bias", True),
        config.flag("use_residual", False),
    )
    require_stage_weights(files, read)
    return read


def read_layer_norm(files: Files, stage: Stage) -> VectorStage:
    """Read a LayerNorm stage."""
    from onnxembed.hub.folder import safe_relative

    width = stage.config(files).whole("dimension")
    read = VectorStage(StageKind.LAYER_NORM, safe_relative(stage.path), width, width)
    require_stage_weights(files, read)
    return read


def read_normalize(files: Files, stage: Stage, reads: str = _VECTORS, unsaid: str = _VECTORS) -> VectorStage:
    """Read a Normalize stage; the names are those of `read_dense`."""
    _reads(files, stage, reads, unsaid)
    return NORMALIZE


def _reads(files: Files, stage: Stage, name: str, unsaid: str) -> None:
    config = stage.config(files)
    config.expect("module_input_name", (name,), unsaid)
    config.expect("module_output_name", (name,), name)


def _activation(name: str, where: str) -> Activation:
    package, last = name.partition(".")[0], name.rsplit(".", 1)[-1]
    if package != "torch" or last not in _TORCH_NAMES:
        raise UnsupportedModelError(
            f"{where}: activation_function is {name!r:.100}; known here are the classes of torch.nn "
            f"{', '.join(_TORCH_NAMES)}"
        )
    return _TORCH_NAMES[last]


def require_stage_weights(files: Files, stage: VectorStage) -> None:
    """Refuse a stage whose weights are missing, or lie there pickled."""
    if files.has(stage.weights_file):
        return
    pickled = f"{stage.folder}/pytorch_model.bin"
    if files.has(pickled):
        raise UnsupportedModelError(
            f"{files.label(pickled)}: the stage's weights are pickled, which is never read; save the model again as "
            "safetensors"
        )
    raise ModelNotFoundError(f"{files.label(stage.weights_file)} is missing; expected the weights of the stage there")
