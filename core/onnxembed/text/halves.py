"""Text halves of models of pictures and texts, which make a text's vector by themselves."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from onnxembed.spec import PoolingType

if TYPE_CHECKING:
    from onnxembed.text.spec import DenseModel

# By the model_type of config.json: whether texts are padded to one length, the last position of which is read.
_HALVES = {
    "clip": False,
    "clip_text_model": False,
    "siglip": True,
    "siglip_text_model": True,
    "siglip2": True,
    "siglip2_text_model": True,
}


def is_text_half(model_type: object) -> bool:
    """Tell whether a ``model_type`` is that of a text half, or of a model that has one."""
    return isinstance(model_type, str) and model_type in _HALVES


def as_text_half(model: DenseModel, model_type: str, *, compiled: bool) -> DenseModel:
    """Describe a text half: its own vector, scaled to length 1 as those of pictures are.

    A shipped graph keeps the pooling that its output has; a compiled one has the length of its vectors in itself.
    """
    model = replace(model, normalize=True, pad_to_max_length=_HALVES[model_type])
    if not compiled:
        return model
    return replace(model, pooling=PoolingType.DISABLED, further_poolings=(), dim=0)
