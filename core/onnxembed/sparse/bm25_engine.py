"""BM25 as an engine: it counts words and needs no files, for the package carries the stop words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from onnxembed.sparse.bm25 import Bm25
from onnxembed.sparse.options import SparseOptions
from onnxembed.sparse.vector import SparseEmbedding
from onnxembed.text.options import InputType


class Bm25Engine:
    """BM25 in one process, with the options of one object. There is nothing to load."""

    loaded = True
    max_length = None

    def __init__(self, bm25: Bm25) -> None:
        self.bm25 = bm25

    def load(self) -> None:
        """Nothing is to be loaded."""

    def count(self, texts: Sequence[str]) -> int:
        """Count words before any is dropped."""
        return self.bm25.token_count(texts)

    def run(
        self,
        texts: Iterable[str],
        input_type: InputType | None,
        options: SparseOptions,  # noqa: ARG002  # those of ``bm25``
        batch_size: int,  # noqa: ARG002  # texts are counted in windows
        workers: int | None,
    ) -> Iterator[SparseEmbedding]:
        """Begin a call, in so many processes."""
        return self.bm25.query_embed(texts) if input_type == "query" else self.bm25.embed(texts, workers or 1)
