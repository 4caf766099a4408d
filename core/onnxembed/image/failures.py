"""What happens to an image that cannot be used: it ends the call, or leaves its place empty and is reported."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, cast

from onnxembed.api.inputs import describe_type
from onnxembed.errors import InputError, InputTypeError, OnnxEmbedError
from onnxembed.suggest import nearest

if TYPE_CHECKING:
    from collections.abc import Generator

ResultT = TypeVar("ResultT")

logger = logging.getLogger("onnxembed.image")
_CHOICES = "raise", "skip"


@dataclass(frozen=True, slots=True)
class SkippedImage:
    """An image, or a page, that has no vector.

    Attributes:
        index: Its position among those of the call, counted from 0.
        error: Why; the message names the image.
    """

    index: int
    error: OnnxEmbedError


OnError: TypeAlias = Literal["raise", "skip"] | Callable[[SkippedImage], object]
"""``"raise"``: the first bad image ends the call. ``"skip"``: its place in the results is ``None``, and a warning in
the log tells its index and the reason. A function: as ``"skip"``, and called in place of the log."""


def check_on_error(on_error: object) -> OnError:
    """Refuse what is neither a choice nor a function."""
    if callable(on_error) or (isinstance(on_error, str) and on_error in _CHOICES):
        return cast("OnError", on_error)
    wanted = 'expected "raise", "skip", or a function of one SkippedImage'
    if isinstance(on_error, str):
        raise InputError(f"on_error={on_error!r}; {wanted}.{nearest(on_error, _CHOICES)}")
    raise InputTypeError(f"on_error={on_error!r} is {describe_type(on_error)}; {wanted}")


def attempted(prepare: Callable[[], ResultT], index: int, *, skips: bool) -> ResultT | SkippedImage:
    """Prepare the image ``index``; one that cannot be used is an error that names it, or is skipped."""
    try:
        return prepare()
    except (InputError, InputTypeError) as error:
        is_named = str(error).startswith(("image ", "page "))
        if is_named and not skips:
            raise
        named = error if is_named else InputError(f"image {index}: {error}")
        if not skips:
            raise named from error
        # Without its traceback, whose frames would keep the image's bytes as long as the caller keeps the error.
        named.__cause__ = named.__context__ = None
        return SkippedImage(index, named.with_traceback(None))


def skipping(results: Iterator[ResultT | SkippedImage], on_error: OnError) -> Iterator[ResultT | None]:
    """Hand out results with ``None`` for each image that was skipped, which is reported when its turn comes."""
    with closing(cast("Generator[Any]", results)):
        for result in results:
            if isinstance(result, SkippedImage):
                _report(result, on_error)
                yield None
            else:
                yield result


def _report(skipped: SkippedImage, on_error: OnError) -> None:
    if callable(on_error):
        on_error(skipped)
    else:
        logger.warning("skipped: %s", skipped.error)
