"""Late-interaction models, and how adapters hand them to a retriever."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from onnxembed.adapters.engine import EngineModel
from onnxembed.adapters.fields import LateInteractionFields
from onnxembed.late_interaction.options import LateInteractionOptions

if TYPE_CHECKING:
    from onnxembed import LateInteractionTextEmbedding

__all__ = ["LateInteractionModel", "core_model"]


class LateInteractionModel(LateInteractionFields, EngineModel):
    """A `LateInteractionTextEmbedding` behind fields."""

    options_class: ClassVar[type[LateInteractionOptions]] = LateInteractionOptions

    @classmethod
    def core_class(cls) -> type[LateInteractionTextEmbedding]:
        """Give the core's class."""
        from onnxembed import LateInteractionTextEmbedding

        return LateInteractionTextEmbedding

    @property
    def engine(self) -> LateInteractionTextEmbedding:
        """The core object that gives token vectors; equal settings share one set of weights."""
        return cast("LateInteractionTextEmbedding", self._current().engine)


def core_model(given: object) -> object:
    """Give the core's model where an adapter of one was given, and everything else as it is."""
    return given.engine if isinstance(given, LateInteractionModel) else given
