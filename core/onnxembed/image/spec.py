"""An image model as data: which output of its graph is the vector, and which text model shares its space."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from onnxembed.spec import ModelSource, PoolingType, Recipe

PROCESSOR_FILE = "preprocessor_config.json"
"""The file that says how pictures are prepared."""
IMAGE_POOLINGS = (PoolingType.CLS, PoolingType.MEAN, PoolingType.DISABLED)
"""The poolings that mean something for patches."""


@dataclass(frozen=True, slots=True)
class ImageModel:
    """A model that gives one vector an image.

    Attributes:
        name: The public name; compared without regard to case.
        sources: Where the files are.
        dim: Numbers of a vector; 0 when only the graph tells.
        model_file: The graph, relative to the model's folder.
        additional_files: Further files that must be there, such as external data.
        processor_file: The file that says how pictures are prepared.
        pooling: How patch vectors become one: CLS for the first, MEAN for the mean of all (or of all places of a
            feature map), DISABLED where the output is one vector an image already.
        normalize: Whether the vectors are scaled to length 1.
        output: The graph output to take, by position or by name.
        text_model: The dense text model whose vectors lie in the same space, or ``None``.
        license: The licence of the weights, as an SPDX identifier in lower case where there is one.
        size_in_gb: Download size in GB.
        description: One line for people.
    """

    name: str
    sources: tuple[ModelSource, ...]
    dim: int
    model_file: str = "model.onnx"
    additional_files: tuple[str, ...] = ()
    processor_file: str = PROCESSOR_FILE
    pooling: PoolingType = PoolingType.DISABLED
    normalize: bool = True
    output: int | str = 0
    text_model: str | None = None
    license: str = ""
    size_in_gb: float = 0.0
    description: str = ""

    @property
    def companion_file(self) -> str:
        """The file that must lie beside the graph, in place of a tokenizer."""
        return self.processor_file

    @property
    def recipe(self) -> Recipe | None:
        """``None``: image models are not compiled from weights."""
        return None


def vector_width(shape: tuple[int | str | None, ...] | None, pooling: PoolingType) -> int | None:
    """Tell how many numbers a vector has, by what a graph states of its output.

    Args:
        shape: The output's shape, (batch, ...); sizes that are left open are no integers.
        pooling: How it becomes one vector an image.

    Returns:
        The number, or ``None`` where the graph leaves it open.
    """
    if shape is None or len(shape) < 2:
        return None
    sizes: tuple[int | str | None, ...]
    if len(shape) == 3 and pooling is not PoolingType.DISABLED:
        sizes = shape[2:]
    elif len(shape) == 4 and pooling is PoolingType.MEAN:
        sizes = shape[1:2]
    else:
        sizes = shape[1:]
    known = [size for size in sizes if isinstance(size, int) and size > 0]
    return prod(known) if len(known) == len(sizes) else None
