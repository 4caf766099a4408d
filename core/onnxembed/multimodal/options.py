"""The options of models of texts and pictures."""

from __future__ import annotations

from dataclasses import dataclass

from onnxembed.api.options import TextOptions
from onnxembed.image.limits import ImageLimits


@dataclass(frozen=True, slots=True)
class MultimodalOptions(ImageLimits, TextOptions):
    """What models of texts and pictures have.

    ``max_length`` holds for queries, prompt and augmentation included; ``token_budget`` counts the tokens of pictures,
    too.
    """
