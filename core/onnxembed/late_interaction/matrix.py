"""The vectors of one document or one query as callers give them, checked."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnxembed.errors import InputError, InputTypeError

Array = np.ndarray[Any, np.dtype[Any]]

_WANTED = "expected a matrix of numbers (tokens, dim), as an embedding model gives it for one text or image"


def as_matrix(value: object, name: str) -> Array:
    """Take a matrix of token vectors; numbers are neither copied nor converted.

    Args:
        value: What the caller gave: an array, or something that NumPy makes one of.
        name: What to call it in messages, such as ``"document 3"``.

    Returns:
        (tokens, dim) of whatever floating or integer type was given.

    Raises:
        InputTypeError: For strings and anything else that does not hold real numbers.
        InputError: If there are not two axes.
    """
    if isinstance(value, (str, bytes)):
        raise InputTypeError(f"{name} is {type(value).__name__}; {_WANTED}. Embed it first")
    try:
        matrix: Array = np.asarray(value)
    except (TypeError, ValueError) as error:
        raise InputTypeError(f"{name} cannot be made an array ({error}); {_WANTED}") from error
    if matrix.dtype.kind not in "fiu":
        raise InputTypeError(f"{name} is {type(value).__name__} holding {matrix.dtype.name}; {_WANTED}")
    if matrix.ndim != 2:
        hint = {1: "; write [vector] for a single one", 3: "; give its documents as a list"}.get(matrix.ndim, "")
        raise InputError(f"{name} has shape {matrix.shape}; {_WANTED}{hint}")
    return matrix
