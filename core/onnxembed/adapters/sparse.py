"""Sparse models, whichever store their vectors are for."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, ClassVar, cast

from onnxembed.adapters.engine import EngineModel
from onnxembed.adapters.fields import SparseFields
from onnxembed.adapters.option_types import InputType
from onnxembed.sparse.options import SparseOptions

if TYPE_CHECKING:
    from onnxembed import SparseEmbedding, SparseTextEmbedding

__all__ = ["SparseModel"]


class SparseModel(SparseFields, EngineModel):
    """A `SparseTextEmbedding` behind fields."""

    options_class: ClassVar[type[SparseOptions]] = SparseOptions

    @classmethod
    def core_class(cls) -> type[SparseTextEmbedding]:
        """Give the core's class."""
        from onnxembed import SparseTextEmbedding

        return SparseTextEmbedding

    @property
    def engine(self) -> SparseTextEmbedding:
        """The core object that does the work; equal settings share one set of weights."""
        return cast("SparseTextEmbedding", self._current().engine)

    @property
    def requires_idf(self) -> bool:
        """Whether the store must weigh terms by their rarity."""
        return self.engine.requires_idf

    @classmethod
    def _make(cls, settings: dict[str, Any], *, lazy_load: bool = True) -> Any:
        statistics = settings.get("statistics")
        if isinstance(statistics, str | os.PathLike):
            from onnxembed import Bm25Statistics

            settings = {**settings, "statistics": Bm25Statistics.load(statistics)}
        return super()._make(settings, lazy_load=lazy_load)

    def _sparse(self, texts: list[str], input_type: InputType) -> list[SparseEmbedding]:
        with self._in_our_words():
            if input_type == "query":
                return list(self.engine.query_embed(texts, batch_size=self.batch_size))
            parallel = self.parallel if len(texts) > 1 else None
            return list(self.engine.passage_embed(texts, batch_size=self.batch_size, parallel=parallel))
