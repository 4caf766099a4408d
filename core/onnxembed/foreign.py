"""Errors of other libraries: what they raise over a model's files comes out as a `ModelError`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from onnxembed.errors import ModelError, OnnxEmbedError


def is_foreign(error: BaseException) -> bool:
    """Whether an error is another library's; a panic of Rust code is no `Exception`."""
    if isinstance(error, OnnxEmbedError | MemoryError | Warning):
        return False
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


@contextmanager
def reading(what: object) -> Iterator[None]:
    """Raise what is wrong with a model's files as a `ModelError` that begins with ``what``, such as a path."""
    try:
        yield
    except BaseException as error:
        if not is_foreign(error):
            raise
        raise ModelError(f"{what} cannot be used ({describe(error)}); fetch the model again") from error


def describe(error: BaseException) -> str:
    """What an error says, with its class where the text alone would not tell what it is."""
    said = str(error)
    return said if type(error) is Exception and said else f"{type(error).__name__}: {said}"
