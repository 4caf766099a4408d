"""The options that only cross-encoders have."""

from __future__ import annotations

import os
from dataclasses import KW_ONLY, dataclass
from enum import StrEnum
from functools import partial

from onnxembed.api.inputs import at_least
from onnxembed.api.options import TextOptions, option
from onnxembed.rerank.spec import Activation, parse_choice


class Windows(StrEnum):
    """What the score of a document is made of that is too long for one pair."""

    MAX = "max"
    """The highest score of its windows."""
    MEAN = "mean"
    """The mean of their scores."""
    FIRST = "first"
    """The score of the first window."""


@dataclass(frozen=True, slots=True)
class CrossEncoderOptions(TextOptions):
    """What cross-encoders have.

    These are documented anew:
        max_length: Tokens that a pair is cut to, special tokens included. ``None`` for the model's own limit;
            `max_length_source` tells where it is stated.
        truncate: Whether longer pairs are cut, the longer text first, with one warning in the log per model; otherwise
            they are refused.
        token_budget: Tokens of a padded batch; a longer pair runs alone. ``None``: 256 for each processor in use,
            and on other devices what their free memory has room for.

    Attributes:
        model_name: A name of `list_supported_models`, in any case, or the path of a folder with a model's files.
        activation: What is done to the raw scores in all methods: ``"raw"`` for nothing, ``"sigmoid"``, or ``"model"``
            for what the model's authors chose.
        windows: How a document is read that is too long for one pair. ``None``: it is cut. Otherwise its tokens are
            spread over windows, each read with the query, and its raw score is their ``"max"``, their ``"mean"``, or
            that of the ``"first"``. A query is never spread: it keeps at most half of the room.
        window_overlap: Tokens that neighbouring windows share, at most half of a window.
    """

    model_name: str | os.PathLike[str] = "Xenova/ms-marco-MiniLM-L-6-v2"
    _: KW_ONLY
    activation: Activation | str = option(Activation.RAW, partial(parse_choice, Activation))
    windows: Windows | str | None = option(None, partial(parse_choice, Windows))
    window_overlap: int = option(64, at_least(0))
