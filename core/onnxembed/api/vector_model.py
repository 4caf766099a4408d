"""What the model classes share whose vectors have one length."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Protocol, TypeVar

from onnxembed.api.inputs import Checked
from onnxembed.api.model import Engine, Model
from onnxembed.api.options import EngineOptions
from onnxembed.api.output_precision import OutputPrecision
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

    # Whether the description of a folder takes the length from a configuration, which may be wrong.
    _sized_by_config: ClassVar[bool] = False

    @property
    def embedding_size(self) -> int:
        """Numbers of each vector. Loads the weights only for a folder that does not say."""
        # A folder opened under the name of a catalogue model may hold a smaller stand-in.
        stated: int = self._stated_size() if self._options.specific_model_path is None else 0
        return stated or self._engine.dim

    def _stated_size(self) -> int:
        """What the description says; of a folder opened by itself what its graph says, not a file beside it."""
        model: Any = self._settings.model
        stated, folder = getattr(model, "dim", 0), self._settings.store.specific_model_path
        # The last of the linear layers that follow a graph has its own size.
        if not self._sized_by_config or folder is None or getattr(model, "dense_stages", None):
            return int(stated)
        from onnxembed.api.graph_file import graph_width

        width = graph_width(folder, model.model_file, model.output)
        return int(stated if width is None else width)

    @classmethod
    def get_embedding_size(cls, model_name: str) -> int:
        """Tell how many numbers the vectors of a known model have, by its name in any case; needs no files."""
        size: int = cls._registry().find(model_name).dim
        return size

    def _stacked(self, vectors: Iterator[Any], output_precision: OutputPrecision = "float32") -> Any:
        """Give the vectors of a call as (items, dim), or (items, bytes) for packed signs."""
        import numpy as np

        rows = list(vectors)
        if rows:
            return np.stack(rows)
        none = np.zeros((0, self.embedding_size), dtype=np.float32)
        if output_precision == "float32":
            return none
        from onnxembed.api.quantization import quantize_embeddings

        return quantize_embeddings(none, output_precision)

    def _stream_encoded(
        self,
        items: Checked[Any],
        use: Any,
        batch_size: int | None,
        parallel: int | None,
        output_precision: OutputPrecision,
        ranges: object,
    ) -> Iterator[Any]:
        """Begin a call whose results are encoded; how is checked before anything is loaded."""
        from onnxembed.api.quantization import Output

        output = Output.read(output_precision, ranges)
        return output.each(self._stream(items, use, batch_size, parallel))
