"""An adapter's settings as a dictionary whose text says what its vectors are made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["Described"]


class Described(dict[str, Any]):
    """Settings by name, all of them, as plain data.

    ``str()`` alone differs from that of a dictionary: it names the vectors. LlamaIndex's ingestion hashes that text to
    find out whether nodes were embedded before, and settings such as threads or batch sizes change no vector, while
    other weights in the same place do. What names the vectors is found when the text is asked for, not before.

    Args:
        settings: The settings.
        vectors: Gives the name of the vectors that they make; may look for the model's files.
    """

    def __init__(self, settings: dict[str, Any], vectors: Callable[[], str]) -> None:
        super().__init__(settings)
        self._vectors = vectors

    def __str__(self) -> str:
        return f"onnxembed vectors {self._vectors()}"

    def __format__(self, spec: str) -> str:
        return format(repr(self), spec)

    def __reduce__(self) -> tuple[type[dict[str, Any]], tuple[dict[str, Any]]]:
        return dict, (dict(self),)
