"""What the model classes share whose vectors have one length."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, TypeVar

from onnxembed.api.model import Engine, Model
from onnxembed.api.options import EngineOptions
from onnxembed.api.settings import SpecT


class VectorEngine(Engine, Protocol):
    """An engine whose vectors have one length."""

    @property
    def dim(self) -> int:
        """Numbers of a full vector, as the files have it; 0 when they do not say. May load the weights."""
        ...


OptionsT = TypeVar("OptionsT", bound=EngineOptions)
VectorEngineT = TypeVar("VectorEngineT", bound=VectorEngine)


class VectorModel(Model[OptionsT, SpecT, VectorEngineT]):
    """The base of the model classes whose vectors have one length."""

    @property
    def embedding_size(self) -> int:
        """Numbers of each vector. Loads the weights only for a folder that does not say."""
        # A folder opened under the name of a catalogue model may hold a smaller stand-in; the description of one opened
        # by itself has its size.
        stated: int = getattr(self._settings.model, "dim", 0) if self._options.specific_model_path is None else 0
        return stated or self._engine.dim

    @classmethod
    def get_embedding_size(cls, model_name: str) -> int:
        """Tell how many numbers the vectors of a known model have, by its name in any case; needs no files."""
        size: int = cls._registry().find(model_name).dim
        return size

    def _stacked(self, vectors: Iterator[Any]) -> Any:
        """Give the vectors of a call as float32 (items, dim)."""
        import numpy as np

        rows = list(vectors)
        return np.stack(rows) if rows else np.zeros((0, self.embedding_size), dtype=np.float32)
