"""How a cross-encoder is used, as frozen data; every check here needs neither files nor weights."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from onnxembed.api.inputs import check_count, check_flag
from onnxembed.errors import InputError, InputTypeError
from onnxembed.rerank.spec import Activation
from onnxembed.suggest import nearest

_ChoiceT = TypeVar("_ChoiceT", bound=StrEnum)


class Windows(StrEnum):
    """What the score of a document is made of that is too long for one pair."""

    MAX = "max"
    """The highest score of its windows."""
    MEAN = "mean"
    """The mean of their scores."""
    FIRST = "first"
    """The score of the first window."""


@dataclass(frozen=True, slots=True)
class ScoreSettings:
    """What the caller of the constructor chose.

    Attributes:
        activation: What becomes of the raw score.
        truncate: Whether long pairs are cut or refused.
        windows: How long documents are read, or ``None`` to cut them.
        window_overlap: Tokens that neighbouring windows share.
    """

    activation: Activation
    truncate: bool
    windows: Windows | None
    window_overlap: int


def parse_activation(activation: Activation | str | None, default: Activation) -> Activation:
    """Read the ``activation`` argument.

    Args:
        activation: An `Activation`, its value in any case, or ``None``.
        default: What ``None`` stands for.

    Returns:
        The activation.
    """
    return default if activation is None else _parse(Activation, activation, "activation")


def parse_settings(
    activation: Activation | str, truncate: bool, windows: Windows | str | None, window_overlap: int
) -> ScoreSettings:
    """Check the arguments that only cross-encoders have.

    Args:
        activation: What becomes of the raw score.
        truncate: Whether long pairs are cut or refused.
        windows: How long documents are read, or ``None``.
        window_overlap: Tokens that neighbouring windows share.

    Returns:
        The settings.
    """
    return ScoreSettings(
        activation=_parse(Activation, activation, "activation"),
        truncate=check_flag(truncate, "truncate"),
        windows=None if windows is None else _parse(Windows, windows, "windows"),
        window_overlap=check_count(window_overlap, "window_overlap", 0),
    )


def _parse(kind: type[_ChoiceT], value: object, argument: str) -> _ChoiceT:
    names = [choice.value for choice in kind]
    if not isinstance(value, str):
        raise InputTypeError(f"{argument}={value!r} is a {type(value).__name__}; expected one of {', '.join(names)}")
    try:
        return kind(value.lower())
    except ValueError:
        raise InputError(
            f"{argument}={value!r} is unknown; expected one of {', '.join(names)}.{nearest(value, names)}"
        ) from None
