"""A late-interaction model of texts and pictures as data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import KW_ONLY, dataclass
from enum import StrEnum

from onnxembed.errors import InputError
from onnxembed.spec import ModelSource, ModelSpec, only_source
from onnxembed.suggest import nearest


class MultimodalKind(StrEnum):
    """How a model wants its texts and pictures prepared."""

    COLPALI = "COLPALI"
    """PaliGemma: one picture of fixed size, a fixed row of image tokens (Faysse et al., 2024, arXiv:2407.01449)."""
    COLMODERNVBERT = "COLMODERNVBERT"
    """Tiles of the picture and a small view of the whole, as Idefics3 cuts them."""
    COLQWEN2 = "COLQWEN2"
    """Qwen2-VL: patches of the picture in its own proportions, as many image tokens as it needs."""


@dataclass(frozen=True, slots=True)
class MultimodalModel(ModelSpec):
    """A model that gives one vector per token, for texts and for pictures.

    Attributes:
        kind: How texts and pictures are prepared.
        dim: Numbers of a vector; 0 when only the graph says.
        model_file: The graph, relative to the model's folder.
        output: Name of the graph output with the vectors; ``None`` for the first one of three axes.
        max_tokens: The limit of queries that the authors state; documentation, the effective one comes from the files.
    """

    kind: MultimodalKind
    dim: int
    _: KW_ONLY
    model_file: str = "model.onnx"
    output: str | None = None
    max_tokens: int | None = None

    def faults(self) -> Iterable[tuple[str, str]]:
        """A length below 1."""
        if self.dim < 1:
            yield "dim", f"{self.dim} is too small; give 1 or more"

    @classmethod
    def custom(  # noqa: DOC201  # its docstring is that of `add_custom_model`, which returns nothing
        cls,
        model: str,
        sources: ModelSource,
        dim: int = 128,
        model_file: str = "model.onnx",
        description: str = "",
        license: str = "",  # noqa: A002  # the name that users know
        size_in_gb: float = 0.0,
        additional_files: Sequence[str] | None = None,
        output_name: str | None = None,
        *,
        kind: MultimodalKind | str,
        max_tokens: int | None = None,
    ) -> MultimodalModel:
        """Describe a model by the arguments of `LateInteractionMultimodalEmbedding.add_custom_model`.

        Args:
            model: Its name; no other model may have it, case aside.
            sources: Where its files are.
            dim: Numbers of a vector.
            model_file: The graph, relative to the model's folder.
            description: One line for people.
            license: Licence of the weights.
            size_in_gb: Download size.
            additional_files: Further files that must be there.
            output_name: Name of the graph output to take; ``None`` for the first one of three axes.
            kind: ``"COLPALI"``, ``"COLMODERNVBERT"`` or ``"COLQWEN2"``: how texts and pictures are prepared.
            max_tokens: The limit its authors state.

        Raises:
            InputTypeError: If ``sources`` is no `ModelSource`.
        """
        return cls(
            name=model,
            sources=only_source(sources),
            kind=_parse_kind(kind),
            dim=dim,
            model_file=model_file,
            additional_files=tuple(additional_files or ()),
            output=output_name,
            max_tokens=max_tokens,
            license=license,
            size_in_gb=size_in_gb,
            description=description,
        )


def _parse_kind(kind: MultimodalKind | str) -> MultimodalKind:
    try:
        return MultimodalKind(str(kind).upper())
    except ValueError:
        names = list(MultimodalKind)
        raise InputError(
            f"kind={kind!r} is unknown; expected one of {', '.join(names)}.{nearest(str(kind).upper(), names)}"
        ) from None
