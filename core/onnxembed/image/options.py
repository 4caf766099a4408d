"""The options of image models."""

from __future__ import annotations

import os
from dataclasses import KW_ONLY, dataclass

from onnxembed.api.inputs import check_flag
from onnxembed.api.options import EngineOptions, option
from onnxembed.image.limits import ImageLimits


@dataclass(frozen=True, slots=True)
class ImageOptions(ImageLimits, EngineOptions):
    """What image models have.

    Attributes:
        model_name: A name of `list_supported_models`, in any case, or the path of a folder with a model's files.
        normalize: Whether vectors are scaled to length 1; ``None`` for what the model's description says.
    """

    model_name: str | os.PathLike[str] = "Qdrant/clip-ViT-B-32-vision"
    _: KW_ONLY
    normalize: bool | None = option(None, check_flag)
