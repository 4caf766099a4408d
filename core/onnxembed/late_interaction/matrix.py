"""The vectors of documents and queries as callers give them, checked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from onnxembed.api.inputs import stays
from onnxembed.errors import InputError, InputTypeError

Array = np.ndarray[Any, np.dtype[Any]]

_WANTED = "expected a matrix of numbers (tokens, dim), as an embedding model gives it for one text or image"


def as_matrix(value: object, name: str, *, copied: bool = False) -> Array:
    """Take a (tokens, dim) matrix of any real type; numbers are not converted, and copied only if asked for.

    ``name``, such as ``"document 3"``, is for messages.
    """
    if isinstance(value, (str, bytes)):
        raise InputTypeError(f"{name} is {type(value).__name__}; {_WANTED}. Embed it first")
    try:
        matrix: Array = np.array(value) if copied else np.asarray(value)
    except (TypeError, ValueError) as error:
        raise InputTypeError(f"{name} cannot be made an array ({error}); {_WANTED}") from error
    if matrix.dtype.kind not in "fiu":
        raise InputTypeError(f"{name} is {type(value).__name__} holding {matrix.dtype.name}; {_WANTED}")
    if matrix.ndim != 2:
        hint = {1: "; write [vector] for a single one", 3: "; give its documents as a list"}.get(matrix.ndim, "")
        raise InputError(f"{name} has shape {matrix.shape}; {_WANTED}{hint}")
    return matrix


def each_matrix(values: object, name: str, dim: int | str = "dim") -> Iterator[Array]:
    """Take matrices one by one; ``name``, such as ``"document"``, is what messages call one of them.

    Those of a list, a tuple or an array stay as they are while a call lasts; others are copied (`stays`).
    """
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise InputTypeError(
            f"expected an iterable of matrices (tokens, {dim}), one per {name}; given {type(values).__name__}"
        )
    copied = not (stays(values) or isinstance(values, np.ndarray))
    for index, value in enumerate(values):
        yield as_matrix(value, f"{name} {index}", copied=copied)


def each_of_one_width(values: object, name: str) -> Iterator[Array]:
    """Take matrices one by one, whose vectors must all have as many numbers as those of the first."""
    dim: int | None = None
    for index, matrix in enumerate(each_matrix(values, name)):
        dim = matrix.shape[1] if dim is None else dim
        if matrix.shape[1] != dim:
            raise InputError(
                f"{name} {index} has vectors of {matrix.shape[1]} numbers, {name} 0 of {dim}; "
                "all must come from one model"
            )
        yield matrix
