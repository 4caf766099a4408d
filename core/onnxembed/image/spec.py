"""An image model as data: which output of its graph is the vector, and which text model shares its space."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import KW_ONLY, dataclass, field
from math import prod
from typing import ClassVar

from onnxembed.api.inputs import check_flag
from onnxembed.errors import InputError, InputTypeError
from onnxembed.spec import GraphHead, ModelSource, ModelSpec, PoolingType, Recipe, only_source
from onnxembed.suggest import nearest

PROCESSOR_FILE = "preprocessor_config.json"
"""The file that says how pictures are prepared."""
COMPILED_OUTPUT = "pooled"
"""The output of a graph that is compiled here."""
IMAGE_POOLINGS = (PoolingType.CLS, PoolingType.MEAN, PoolingType.DISABLED)
"""The poolings that mean something for patches."""


@dataclass(frozen=True, slots=True)
class ImageModel(ModelSpec):
    """A model that gives one vector per image.

    Attributes:
        dim: Numbers of a vector; 0 when only the graph tells.
        model_file: The graph, relative to the model's folder.
        processor_file: The file that says how pictures are prepared.
        pooling: How patch vectors become one: CLS for the first, MEAN for the mean of all (or of all places of a
            feature map), DISABLED where the output is one vector per image already.
        normalize: Whether the vectors are scaled to length 1.
        output: The graph output to take, by position or by name.
        text_model: The dense text model whose vectors lie in the same space, or ``None``.
        stated: The fields that a row of the catalogue has to state in spite of their default.
        graph_stems: What the names of its graphs begin with.
    """

    dim: int
    _: KW_ONLY
    model_file: str = "model.onnx"
    processor_file: str = PROCESSOR_FILE
    pooling: PoolingType = field(default=PoolingType.DISABLED, metadata={"catalog": IMAGE_POOLINGS})
    normalize: bool = True
    output: int | str = 0
    text_model: str | None = None

    stated: ClassVar[tuple[str, ...]] = (*ModelSpec.stated, "pooling", "normalize")
    graph_stems: ClassVar[tuple[str, ...]] = ("vision_model", "model")

    @property
    def recipe(self) -> Recipe | None:
        """What to compile; ``None`` where the output that is taken is another graph's."""
        return Recipe(head=GraphHead.PICTURE_VECTOR) if self.output == COMPILED_OUTPUT else None

    @property
    def companion_file(self) -> str:
        """The file that must lie in the folder beside the graph: no tokenizer, but what prepares pictures."""
        return self.processor_file

    def faults(self) -> Iterable[tuple[str, str]]:
        """A length below 1."""
        if self.dim < 1:
            yield "dim", f"{self.dim} is no length of a vector; give 1 or more"

    @classmethod
    def custom(  # noqa: DOC201  # its docstring is that of `add_custom_model`, which returns nothing
        cls,
        model: str,
        sources: ModelSource,
        dim: int,
        model_file: str = "model.onnx",
        description: str = "",
        license: str = "",  # noqa: A002  # the name that users know
        size_in_gb: float = 0.0,
        additional_files: Sequence[str] | None = None,
        output_name: str | None = None,
        *,
        pooling: PoolingType | str = PoolingType.DISABLED,
        normalization: bool = True,
        text_model: str | None = None,
    ) -> ImageModel:
        """Describe a model by the arguments of `ImageEmbedding.add_custom_model`.

        Args:
            model: Its name; no other model may have it, case aside.
            sources: Where its files are.
            dim: Numbers of a vector.
            model_file: The graph, relative to the model's folder.
            description: One line for people.
            license: Licence of the weights.
            size_in_gb: Download size.
            additional_files: Further files that must be there.
            output_name: Name of the graph output to take; ``None`` for the first.
            pooling: ``CLS`` for the first of several vectors an image, ``MEAN`` for their mean, ``DISABLED`` where the
                output is one vector an image.
            normalization: Whether vectors are scaled to length 1.
            text_model: The model of `TextEmbedding` whose vectors lie in the same space.

        Raises:
            InputTypeError: If ``sources`` is no `ModelSource`.
        """
        return cls(
            name=model,
            sources=only_source(sources),
            dim=dim,
            model_file=model_file,
            additional_files=tuple(additional_files or ()),
            pooling=_parse_pooling(pooling),
            normalize=check_flag(normalization, "normalization"),
            output=0 if output_name is None else output_name,
            text_model=text_model,
            license=license,
            size_in_gb=size_in_gb,
            description=description,
        )


def _parse_pooling(pooling: object) -> PoolingType:
    if not isinstance(pooling, str):
        raise InputTypeError(f"pooling={pooling!r}: expected a PoolingType")
    for kind in IMAGE_POOLINGS:
        if kind.value == pooling.upper():
            return kind
    names = [kind.value for kind in IMAGE_POOLINGS]
    hint = nearest(pooling.upper(), names)
    raise InputError(f"pooling={pooling!r}: expected one of {', '.join(names)} for images.{hint}")


def vector_width(shape: tuple[int | str | None, ...] | None, pooling: PoolingType) -> int | None:
    """Numbers of a vector, by an output's shape (batch, ...); ``None`` where the graph leaves a size open."""
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
