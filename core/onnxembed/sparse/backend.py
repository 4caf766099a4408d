"""What `SparseTextEmbedding` asks of a model, whether it runs as a graph or counts words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from onnxembed.api.inputs import as_texts, check_count

if TYPE_CHECKING:
    from onnxembed.runtime.bounded_pool import BoundedPool
    from onnxembed.sparse.spec import SparseModel
    from onnxembed.sparse.vector import SparseEmbedding


@dataclass(frozen=True, slots=True)
class SparseCall:
    """A call, checked; the model is not loaded yet.

    Attributes:
        texts: The texts, those of lists already checked.
        query: Whether they are queries.
        batch_size: Most texts in a batch.
        parallel: Batches run at once; ``None`` for the model's choice, 0 for one a usable processor.
    """

    texts: Iterable[object]
    query: bool
    batch_size: int
    parallel: int | None


def check_sparse_call(texts: object, name: str, batch_size: int, parallel: int | None, *, query: bool) -> SparseCall:
    """Check what a call was given.

    Args:
        texts: The texts.
        name: Name of the argument that holds them, for messages.
        batch_size: Most texts in a batch.
        parallel: Batches run at once, or ``None``.
        query: Whether the texts are queries.

    Returns:
        The call.
    """
    check_count(batch_size, "batch_size", 1)
    if parallel is not None:
        check_count(parallel, "parallel", 0)
    return SparseCall(as_texts(texts, name), query, batch_size, parallel)


class Backend(Protocol):
    """One model with the choices of one facade; small when pickled."""

    @property
    def model(self) -> SparseModel:
        """The model's description."""
        ...

    @property
    def requires_idf(self) -> bool:
        """Whether the search engine has to bring in the inverse document frequency."""
        ...

    @property
    def pool(self) -> BoundedPool:
        """Runs the asynchronous calls."""
        ...

    @property
    def loaded(self) -> bool:
        """Whether the model is in this process's memory."""
        ...

    @property
    def max_length(self) -> int | None:
        """Tokens that a text is cut to; ``None`` where texts of any length are read whole."""
        ...

    @property
    def options(self) -> dict[str, Any]:
        """The facade's arguments."""
        ...

    @property
    def fingerprint(self) -> str:
        """Changes whenever the vectors may."""
        ...

    def load(self) -> None:
        """Load everything now instead of on first use."""

    def embed(self, call: SparseCall) -> Iterator[SparseEmbedding]:
        """Begin a call."""

    def count(self, texts: Iterable[object], batch_size: int) -> int:
        """Count tokens."""
