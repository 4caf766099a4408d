"""Rows of a batch: each gets a vector, or is bad for a reason that names it."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from onnxembed.api.inputs import check_text
from onnxembed.errors import InputError, InputTypeError, OnnxEmbedError, TextTooLongError
from onnxembed.image.failures import SkippedImage

logger = logging.getLogger("onnxembed.batches")


@dataclass(frozen=True, slots=True)
class Rows:
    """What became of the rows of a batch.

    Attributes:
        vectors: One per row; ``None`` for a bad row.
        errors: Why a row is bad, by its position in the batch.
    """

    vectors: list[Any]
    errors: dict[int, OnnxEmbedError]


def embed_texts(embed: Callable[[list[str]], Iterable[Any]], items: Sequence[object], *, skips: bool) -> Rows:
    """Embed the rows that are texts; the first bad one ends it unless ``skips``."""
    rows = Rows([None] * len(items), {})
    left: list[tuple[int, str]] = []
    for row, item in enumerate(items):
        try:
            left.append((row, check_text(item, row)))
        except (InputError, InputTypeError) as error:
            rows.errors[row] = error
            if not skips:
                return rows
    while left:
        done = 0
        try:
            for vector in embed([text for _, text in left]):
                rows.vectors[left[done][0]] = vector
                done += 1
            break
        except TextTooLongError as error:
            # Tokens are counted before a window of texts runs, so what begins again here is counting, not inference.
            rows.errors[left[error.index][0]] = error
            if not skips:
                break
            left = left[done : error.index] + left[error.index + 1 :]
    return rows


def embed_images(embed: Callable[..., Iterable[Any]], items: Sequence[object], *, skips: bool) -> Rows:
    """Embed the rows that are images; the first bad one ends it unless ``skips``."""
    skipped: list[SkippedImage] = []
    # A list whose items are no images at all is refused at the call; an iterator's are reported one by one.
    vectors: list[Any] = []
    for vector in embed(map(_image, items), on_error=skipped.append):
        vectors.append(vector)
        if skipped and not skips:
            break
    return Rows(vectors, {one.index: one.error for one in skipped})


def _image(item: object) -> object:
    """Give the bytes, or else the path, of an image as data sets keep it; anything else as it is."""
    if isinstance(item, dict) and item.keys() & {"bytes", "path"}:
        return item.get("bytes") or item.get("path")
    return item


def described(row: int, column: str, identity: tuple[str, object] | None, error: OnnxEmbedError) -> str:
    """Say which row is bad, and why; the core counts the items it was given, which need not be the rows."""
    named = "" if identity is None else f", {identity[0]}={identity[1]!r}"
    return f"row {row} of the batch ({column=}{named}): " + re.sub(r"^(text|image) \d+:? ?", "", str(error))
