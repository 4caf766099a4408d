"""The image models of this process, and what is told of each."""

from __future__ import annotations

from typing import Final

from onnxembed.models.catalog import image_models
from onnxembed.models.image_spec import ImageModel
from onnxembed.models.registry import Registry, describe_files

image_registry: Final = Registry(image_models, ImageModel, "ImageEmbedding")
"""The image models of this process."""


def describe_image(model: ImageModel) -> dict[str, object]:
    """Tell what is known of a model, as plain data that belongs to the caller.

    Args:
        model: The model.

    Returns:
        The entries of `describe_files` and those of image models. ``text_model`` names the text model whose vectors
        lie in the same space, ``None`` where there is none.
    """
    return {
        **describe_files(model),
        "dim": model.dim,
        "pooling": model.pooling.value,
        "normalize": model.normalize,
        "text_model": model.text_model,
    }
