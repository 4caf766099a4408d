"""Models that give one vector per text, and the dense ones."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Any, ClassVar, cast

from onnxembed.adapters.engine import EngineModel, inherited
from onnxembed.adapters.fields import DenseFields
from onnxembed.adapters.messages import translate
from onnxembed.adapters.option_types import InputType
from onnxembed.api.output_precision import STEPPED, parse_output_precision, refuse_ranges, width_of
from onnxembed.errors import InputError, OnnxEmbedError
from onnxembed.text.options import DenseOptions

if TYPE_CHECKING:
    from onnxembed import TextEmbedding

__all__ = ["DenseModel", "VectorModel"]


class VectorModel(EngineModel):
    """One vector of fixed length per text."""

    @property
    def dimension(self) -> int:
        """Length of the vectors; loads the model only from a folder that does not tell its size."""
        raise NotImplementedError

    @property
    def cache_namespace(self) -> str:
        """A key for caches of vectors that changes with everything that changes a vector; finds the files."""
        raise NotImplementedError

    def _vectors(self, texts: list[str], input_type: InputType) -> list[list[float]]:
        """Embed texts, one or more; every kind does."""
        raise NotImplementedError

    def _encoded(self, vector: Any) -> list[float]:
        """Give a vector that was not made of a text, such as an image's, in the numbers of those that were."""
        return cast("list[float]", vector.tolist())


class DenseModel(DenseFields, VectorModel):
    """A `TextEmbedding` behind fields."""

    options_class: ClassVar[type[DenseOptions]] = DenseOptions

    @classmethod
    def core_class(cls) -> type[TextEmbedding]:
        """Give the core's class."""
        from onnxembed import TextEmbedding

        return TextEmbedding

    @property
    def engine(self) -> TextEmbedding:
        """The core object that does the work; equal settings share one set of weights."""
        return cast("TextEmbedding", self._current().engine)

    @property
    def dimension(self) -> int:
        """Entries of a vector, bytes where signs are packed; loads only a folder that does not tell its size."""
        with self._in_our_words():
            return width_of(self.output_precision, self.engine.embedding_size)

    @property
    def cache_namespace(self) -> str:
        """A key for caches of vectors that changes with everything that changes a vector; finds the files."""
        with self._in_our_words():
            own = self.engine.fingerprint
        if self.output_precision == "float32":
            return own
        return sha256(f"{own}\0{self.output_precision}\0{self.ranges!r}".encode()).hexdigest()[:32]

    @classmethod
    def _settings(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        # A query alone has no ranges, and those of one call would not be those of the next.
        precision, ranges = parse_output_precision(given["output_precision"]), given["ranges"]
        refuse_ranges(precision, ranges)
        if ranges is None and precision in STEPPED:
            raise InputError(
                f"output_precision={precision!r} needs ranges=, the same for all calls: "
                "onnxembed.quantization_ranges measures them with the vectors of many documents"
            )
        if ranges is not None:
            from onnxembed.api.quantization import Output  # which needs numpy

            Output.read(precision, ranges)
        return super()._settings(given)

    def _vectors(self, texts: list[str], input_type: InputType) -> list[list[float]]:
        engine: TextEmbedding = self._current().engine
        parallel = self.parallel if input_type == "document" and len(texts) > 1 else None
        try:  # not with a context manager, which would be three more calls on the way of every query
            return engine.embed_to_array(
                texts,
                self.batch_size,
                parallel,
                input_type=input_type,
                output_precision=self.output_precision,
                ranges=self.ranges,
            ).tolist()
        except OnnxEmbedError as error:
            translate(error, inherited(type(self), "core_names"))
            raise

    def _encoded(self, vector: Any) -> list[float]:
        if self.output_precision == "float32":
            return super()._encoded(vector)
        from onnxembed import quantize_embeddings

        encoded: list[float] = quantize_embeddings(vector, self.output_precision, self.ranges).tolist()
        return encoded
