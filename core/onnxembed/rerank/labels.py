"""The scores of all labels of a cross-encoder, as sentence-transformers' ``CrossEncoder.predict`` gives them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from onnxembed.errors import UnsupportedModelError
from onnxembed.text.stages import FUNCTIONS
from onnxembed.text.vector_stage import Activation

Array = np.ndarray[Any, np.dtype[Any]]
Function = Callable[[Array], Array]
"""Turns the logits of pairs, float32 (pairs, labels), into scores of the same shape."""

_SOFTMAX = "Softmax"


def label_function(name: str | None, labels: int) -> Function:
    """Give the function that a model's files name; without a name the sigmoid for one label, else nothing is done.

    A function that is not one of PyTorch's, or not known here, is an `UnsupportedModelError`.
    """
    if name is None:
        name = "torch.Sigmoid" if labels == 1 else "torch.Identity"
    package, last = name.partition(".")[0], name.rsplit(".", 1)[-1]
    if package == "torch" and last == _SOFTMAX:
        return _softmax
    known = {activation.value: activation for activation in Activation}
    if package != "torch" or last not in known:
        raise UnsupportedModelError(
            f"the model's files name the activation {name!r}; known are the classes of torch.nn "
            f"{', '.join((*known, _SOFTMAX))}"
        )
    return FUNCTIONS[known[last]]


def _softmax(logits: Array) -> Array:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    scores: Array = powers / powers.sum(axis=1, keepdims=True)
    return scores
