"""The call that each kind of model has for the rows of a file, and for a question."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from onnxembed.cli.model_options import M3
from onnxembed.errors import InputError

if TYPE_CHECKING:
    from onnxembed.image.failures import SkippedImage

NO_TYPE = "none"
INPUT_TYPES = ("document", "query", NO_TYPE)
_ENCODED = ("dense", "late_interaction")


@dataclass(frozen=True, slots=True)
class Call:
    """How rows are embedded.

    Attributes:
        kind: The kind of the model.
        input_type: One of `INPUT_TYPES`.
        output_precision: In which numbers vectors are given.
        ranges: (2, dim) for the precisions that count steps, else ``None``.
        limits: ``batch_size`` and ``parallel``, where they were given.
    """

    kind: str
    input_type: str
    output_precision: str
    ranges: Any
    limits: dict[str, int]

    def __post_init__(self) -> None:
        if self.output_precision != "float32" and self.kind not in _ENCODED:
            raise InputError(
                f"--output-precision {self.output_precision}: vectors of {self.kind} models are kept as they are; "
                "leave it out"
            )
        if self.kind == "image" and self.input_type == "query":
            raise InputError("--input-type query: an image model embeds pictures only; use its text half for queries")

    @property
    def pictures(self) -> bool:
        """Whether rows name files with pictures."""
        return self.kind == "image" or (self.kind == "multimodal" and self.input_type != "query")

    def results(
        self, model: Any, items: Iterable[str], on_bad_picture: Callable[[SkippedImage], object]
    ) -> Iterator[Any]:
        """Embed rows as they come; ``None`` for a picture that was told to ``on_bad_picture``."""
        if self.pictures:
            embed = model.embed if self.kind == "image" else model.embed_image
            pictures: Iterator[Any] = embed(items, on_error=on_bad_picture, **self.limits)
            return pictures
        texts: Iterator[Any] = self._of_texts(model)(items, **self.limits, **self._encoded)
        return texts

    def _of_texts(self, model: Any) -> Any:
        if self.kind == "multimodal":
            return model.embed_text
        if self.input_type == NO_TYPE or self.kind == M3:
            return model.embed
        return model.query_embed if self.input_type == "query" else model.passage_embed

    @property
    def _encoded(self) -> dict[str, Any]:
        if self.output_precision == "float32":
            return {}
        return {"output_precision": self.output_precision, "ranges": self.ranges}
