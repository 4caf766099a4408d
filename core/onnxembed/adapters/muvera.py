"""Multi-vector models as plain dense ones: MUVERA (arXiv:2405.19504)."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from onnxembed.adapters.dense import VectorModel
from onnxembed.adapters.fields import MuveraFields
from onnxembed.adapters.late_interaction import LateInteractionModel
from onnxembed.adapters.option_types import InputType
from onnxembed.adapters.windows import windows

if TYPE_CHECKING:
    from onnxembed import Muvera

__all__ = ["MuveraModel"]


class MuveraModel(MuveraFields, LateInteractionModel, VectorModel):
    """One vector per text, made of its token vectors. Stores must rank by dot product: lengths carry the score."""

    @property
    def encoder(self) -> Muvera:
        """What makes one vector of many; equal settings make equal ones."""
        from onnxembed import Muvera

        with self._in_our_words():
            return Muvera.from_multivector_model(self.engine, self.k_sim, self.dim_proj, self.r_reps, self.random_seed)

    @property
    def dimension(self) -> int:
        """Length of the vectors; loads the model only from a folder that does not tell its size."""
        return self.encoder.embedding_size

    @property
    def cache_namespace(self) -> str:
        """A key for caches of vectors that changes with everything that changes a vector; finds the files."""
        with self._in_our_words():
            return sha256(f"{self.engine.fingerprint}\0{self.encoder!r}".encode()).hexdigest()[:32]

    def _vectors(self, texts: list[str], input_type: InputType) -> list[list[float]]:
        engine, encoder = self.engine, self.encoder
        query, parallel = input_type == "query", self.parallel if len(texts) > 1 else None
        with self._in_our_words():
            if query:
                matrices = engine.query_embed(texts, batch_size=self.batch_size)
            else:
                matrices = engine.passage_embed(texts, batch_size=self.batch_size, parallel=parallel)
            # A text without token vectors gets one of zeros: its MaxSim is 0, too.
            filled = (matrix if len(matrix) else [[0.0] * encoder.dim] for matrix in matrices)
            encode: Callable[[list[Any]], Any] = encoder.process_queries if query else encoder.process_documents
            return [vector for window in windows(filled) for vector in encode(window).tolist()]
