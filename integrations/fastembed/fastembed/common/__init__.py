"""Types and descriptions that all kinds of models share."""

from fastembed.common.types import ImageInput, OnnxProvider, PathInput

__all__ = ["ImageInput", "OnnxProvider", "PathInput"]
