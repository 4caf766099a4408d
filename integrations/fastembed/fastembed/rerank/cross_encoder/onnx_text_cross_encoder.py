"""The cross-encoders of the catalogue."""

from __future__ import annotations

from fastembed.rerank.cross_encoder.text_cross_encoder_base import TextCrossEncoderBase
from onnxembed import CrossEncoderModel
from onnxembed.adapters.inside import ModelSpec


class OnnxTextCrossEncoder(TextCrossEncoderBase):
    """The cross-encoders of the catalogue."""

    @classmethod
    def holds(cls, spec: ModelSpec) -> bool:
        """Whether a model is of this family."""
        return isinstance(spec, CrossEncoderModel)
