"""A cross-encoder as data: which files it has, and what its authors make of its raw score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field
from enum import StrEnum
from typing import ClassVar, TypeVar

from onnxembed.errors import InputError, InputTypeError
from onnxembed.rerank.chat_template import ChatTemplate
from onnxembed.spec import GraphHead, ModelSource, ModelSpec, Recipe, only_source
from onnxembed.suggest import nearest

_ChoiceT = TypeVar("_ChoiceT", bound=StrEnum)


class Activation(StrEnum):
    """What is done to the raw score of a pair."""

    RAW = "raw"
    """Nothing: the logit itself."""
    SIGMOID = "sigmoid"
    """1 / (1 + exp(-score)), between 0 and 1."""
    MODEL = "model"
    """What the model's own description says, which is one of the other two."""


@dataclass(frozen=True, slots=True)
class CrossEncoderModel(ModelSpec):
    """A model that reads a query and a document together and gives one score.

    Attributes:
        activation: What the authors make of the raw score, RAW or SIGMOID; ``None`` for what the model's files say.
        max_tokens: The limit the authors state for a pair; documentation, the effective one comes from the files.
        prompt: Put before every query, verbatim; of a language model the instruction in its chat template.
        answers: Of a language model the ids of its answers, "no" and "yes" or "yes" alone; empty for a classifier.
        chat: How a language model is asked, or ``None``.
        stated: The fields that a row of the catalogue has to state in spite of their default.
    """

    _: KW_ONLY
    activation: Activation | None = field(default=None, metadata={"catalog": (Activation.RAW, Activation.SIGMOID)})
    max_tokens: int | None = None
    prompt: str = ""
    answers: tuple[int, ...] = ()
    chat: ChatTemplate | None = None

    stated: ClassVar[tuple[str, ...]] = (*ModelSpec.stated, "activation")

    @property
    def recipe(self) -> Recipe:
        """What to compile."""
        return Recipe(GraphHead.TOKEN_LOGITS, tokens=self.answers) if self.answers else Recipe(GraphHead.CLASSIFICATION)

    @classmethod
    def custom(  # noqa: DOC201  # its docstring is that of `add_custom_model`, which returns nothing
        cls,
        model: str,
        sources: ModelSource,
        model_file: str = "onnx/model.onnx",
        description: str = "",
        license: str = "",  # noqa: A002  # the name that users know
        size_in_gb: float = 0.0,
        additional_files: Sequence[str] | None = None,
        *,
        activation: Activation | str | None = None,
        max_tokens: int | None = None,
    ) -> CrossEncoderModel:
        """Describe a model by the arguments of `TextCrossEncoder.add_custom_model`.

        Args:
            model: Its name; no other model may have it, case aside.
            sources: Where its files are.
            model_file: The graph, relative to the model's folder.
            description: One line for people.
            license: Licence of the weights.
            size_in_gb: Download size.
            additional_files: Further files that must be there.
            activation: What ``activation="model"`` stands for, ``"raw"`` or ``"sigmoid"``; ``None`` or ``"model"`` for
                what its files say.
            max_tokens: The limit its authors state.

        Raises:
            InputTypeError: If ``sources`` is no `ModelSource`.
        """
        checked = only_source(sources)
        chosen = parse_activation(activation, Activation.MODEL)
        return cls(
            name=model,
            sources=checked,
            model_file=model_file,
            additional_files=tuple(additional_files or ()),
            activation=None if chosen is Activation.MODEL else chosen,
            max_tokens=max_tokens,
            license=license,
            size_in_gb=size_in_gb,
            description=description,
        )


def parse_activation(activation: Activation | str | None, default: Activation) -> Activation:
    """Read the ``activation`` argument: an `Activation`, its value in any case, or ``None`` for the default."""
    return default if activation is None else parse_choice(Activation, activation, "activation")


def parse_choice(kind: type[_ChoiceT], value: object, argument: str) -> _ChoiceT:
    """Read an argument that is a member of ``kind`` or its value in any case."""
    names = [choice.value for choice in kind]
    if not isinstance(value, str):
        raise InputTypeError(f"{argument}={value!r} is a {type(value).__name__}; expected one of {', '.join(names)}")
    try:
        return kind(value.lower())
    except ValueError:
        raise InputError(
            f"{argument}={value!r} is unknown; expected one of {', '.join(names)}.{nearest(value, names)}"
        ) from None
