"""Sparse vectors held and searched in memory, with what they belong to, and the file that they are kept in."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from onnxembed.adapters.fields import SPARSE_MODEL
from onnxembed.adapters.sparse import SparseModel
from onnxembed.api.inputs import check_count
from onnxembed.api.options import EngineOptions
from onnxembed.errors import InputError, ModelError

if TYPE_CHECKING:
    from os import PathLike

    from onnxembed import SparseEmbedding, SparseIndex, SparseTextEmbedding

__all__ = ["SAVED_FILE", "SparseMemory", "mean_length", "named", "read_file", "sparse_core_model", "write_file"]

ItemT = TypeVar("ItemT")

SAVED_FILE: Final = "sparse_retriever.npz"
"""The file that `write_file` writes into a folder."""
_FORMAT = "onnxembed-sparse-retriever-1"

# Searches read one content or the next; what adds and removes takes turns.
_ALONE = threading.Lock()


@dataclass(frozen=True, slots=True)
class _Content(Generic[ItemT]):
    """Items by id, their vectors in the same order, and the index of these; replaced as a whole."""

    items: dict[str, ItemT]
    vectors: tuple[SparseEmbedding, ...]
    index: SparseIndex

    @classmethod
    def of(cls, held: Mapping[str, tuple[ItemT, SparseEmbedding]]) -> _Content[ItemT]:
        from onnxembed import SparseIndex

        vectors = tuple(vector for _, vector in held.values())
        return cls({name: item for name, (item, _) in held.items()}, vectors, SparseIndex(vectors))

    def held(self) -> dict[str, tuple[ItemT, SparseEmbedding]]:
        return dict(zip(self.items, zip(self.items.values(), self.vectors, strict=True), strict=True))


@dataclass(slots=True)
class SparseMemory(Generic[ItemT]):
    """Items with sparse vectors. Threads may search while others add; needs SciPy."""

    _content: _Content[ItemT] = field(default_factory=lambda: _Content.of({}))

    def __len__(self) -> int:
        return len(self._content.items)

    def __contains__(self, name: object) -> bool:
        return name in self._content.items

    def add(self, names: Iterable[str], items: Iterable[ItemT], vectors: Iterable[SparseEmbedding]) -> None:
        """Add items. One replaces the item that had its name, and takes the last place."""
        given = {name: (item, vector) for name, item, vector in zip(names, items, vectors, strict=True)}
        with _ALONE:
            kept = {name: one for name, one in self._content.held().items() if name not in given}
            self._content = _Content.of({**kept, **given})

    def remove(self, names: Iterable[str]) -> None:
        """Remove the items of these names; others are passed over."""
        gone = set(names)
        with _ALONE:
            kept = {name: one for name, one in self._content.held().items() if name not in gone}
            self._content = _Content.of(kept)

    def search(
        self, query: SparseEmbedding, k: int, *, idf: bool, keep: Callable[[ItemT], bool] | None = None
    ) -> list[tuple[str, ItemT, float]]:
        """Find the items with the largest dot products above 0.

        Args:
            query: The query.
            k: Most items to find.
            idf: Whether terms are weighed by their rarity among all items.
            keep: Which items may be found; ``None`` for all.

        Returns:
            Name, item and score of each, best first.
        """
        check_count(k, "k", 1)
        content = self._content
        entries = list(content.items.items())
        everything = max(k, len(entries)) if keep is not None else k
        positions, scores = content.index.search(query, everything, idf=idf)
        found = [(*entries[position], score) for position, score in zip(positions, scores, strict=True)]
        return [one for one in found if keep is None or keep(one[1])][:k]

    def packed(self, pack: Callable[[ItemT], Any]) -> dict[str, Any]:
        """Give arrays and text that make this again, by `unpacked`; ``pack`` makes plain data of an item."""
        from onnxembed.sparse.vector import FlatVectors

        content = self._content
        flat = FlatVectors.joined(content.vectors)
        entries = [[name, pack(item)] for name, item in content.items.items()]
        return {"values": flat.values, "indices": flat.indices, "ends": flat.ends, "entries": json.dumps(entries)}

    @classmethod
    def unpacked(cls, saved: Mapping[str, Any], unpack: Callable[[Any], ItemT]) -> SparseMemory[ItemT]:
        """Make what was `packed`."""
        from onnxembed import SparseEmbedding

        starts = [0, *saved["ends"].tolist()]
        vectors = [  # checked, since files may be damaged
            SparseEmbedding(saved["values"][start:end], saved["indices"][start:end]) for start, end in pairwise(starts)
        ]
        entries = json.loads(str(saved["entries"]))
        memory: SparseMemory[ItemT] = cls()
        memory.add((name for name, _ in entries), (unpack(item) for _, item in entries), vectors)
        return memory


def named(given: Iterable[str | None]) -> list[str]:
    """Give each item its name, or a new one where it has none."""
    return [str(uuid.uuid4()) if name is None else name for name in given]


def sparse_core_model(embedding: SparseTextEmbedding | SparseModel | None, texts: Sequence[str]) -> SparseTextEmbedding:
    """Give the core's model of an adapter; for ``None``, BM25 in English with the mean length of some texts."""
    from onnxembed import SparseTextEmbedding

    if isinstance(embedding, SparseModel):
        return embedding.engine
    if embedding is not None:
        if not isinstance(embedding, SparseTextEmbedding):
            from onnxembed.adapters.checks import wrong_type

            raise wrong_type("embedding", embedding, "a SparseTextEmbedding, or an adapter of one")
        return embedding
    bm25 = SparseTextEmbedding(SPARSE_MODEL)
    try:
        return bm25.fit(texts)
    except InputError:  # not one word in them: there is no length to measure
        return bm25


def mean_length(texts: Sequence[str]) -> float | None:
    """Measure the words of an average text as English BM25 counts them; ``None`` where there is not one word."""
    counted = sparse_core_model(None, texts).statistics
    return None if counted is None else counted.avg_len


def write_file(
    folder: str | PathLike[str], memory: SparseMemory[ItemT], model: SparseTextEmbedding, pack: Callable[[ItemT], Any]
) -> None:
    """Write a memory and the settings of its model into a folder, as one file that appears whole or not at all."""
    import numpy as np

    from onnxembed.hub.disk import private_name

    target = Path(folder) / SAVED_FILE
    target.parent.mkdir(parents=True, exist_ok=True)
    statistics = {} if model.statistics is None else _statistics(model)
    texts = {"format": _FORMAT, "fingerprint": model.fingerprint, "options": _plain_options(model)}
    staged = private_name(target)
    try:
        with staged.open("wb") as file:
            np.savez_compressed(file, **texts, **statistics, **memory.packed(pack))  # type: ignore[arg-type]
        staged.replace(target)
    finally:
        staged.unlink(missing_ok=True)


def read_file(
    folder: str | PathLike[str], model: SparseTextEmbedding | SparseModel | None, unpack: Callable[[Any], ItemT]
) -> tuple[SparseMemory[ItemT], SparseTextEmbedding]:
    """Read what `write_file` wrote.

    Args:
        folder: The folder.
        model: The model that made the vectors, or an adapter of it; ``None`` to make it with the saved settings.
        unpack: Makes an item of what ``pack`` made of it.

    Returns:
        The memory and the core's model.

    Raises:
        InputError: There is no such file, or another model made its vectors.
        ModelError: The file is damaged.
    """
    import numpy as np

    path = Path(folder) / SAVED_FILE
    if not path.is_file():
        raise InputError(f"{path} is not there; pass the folder that persist() wrote, or index the nodes again")
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            saved = {name: file[name] for name in file.files}
        if str(saved["format"]) != _FORMAT:
            raise ValueError(f"its format is {str(saved['format'])!r}, not {_FORMAT!r}")
        memory = SparseMemory.unpacked(saved, unpack)
        statistics = _read_statistics(saved) if "made_with" in saved else None
    except Exception as error:  # damaged files raise whatever their bytes happen to mean
        raise ModelError(f"{path} cannot be read ({type(error).__name__}: {error}); index the nodes again") from error
    core = _saved_model(str(saved["options"]), statistics) if model is None else sparse_core_model(model, ())
    if core.fingerprint != str(saved["fingerprint"]):
        raise InputError(
            f"the vectors in {path} were made by another model or with other settings than those of {core!r}; pass "
            "the embedding= that made them, or index the nodes again"
        )
    return memory, core


def _plain_options(model: SparseTextEmbedding) -> str:
    """Settings that change vectors, as JSON; empty where one is an object, such as a stemmer of one's own."""
    deciding = {"model_name", "specific_model_path", "revision", "model_file", "variant"}
    running = {one.name for one in fields(EngineOptions)} - deciding
    kept = {
        name: list(value) if isinstance(value, frozenset | set) else value
        for name, value in model.options.items()
        if name not in running and name != "statistics"
    }
    try:
        return json.dumps(kept)
    except TypeError:
        return ""


def _saved_model(options: str, statistics: Any) -> SparseTextEmbedding:
    from onnxembed import SparseTextEmbedding

    if not options:
        raise InputError(
            "the model was made with an object that is not saved, such as a stemmer; pass it as embedding=, made as it "
            "was then"
        )
    given = {name: value for name, value in json.loads(options).items() if value is not None}
    return SparseTextEmbedding(**given, **({} if statistics is None else {"statistics": statistics}), lazy_load=True)


def _statistics(model: SparseTextEmbedding) -> dict[str, Any]:
    counted: Any = model.statistics
    return {
        "made_with": counted.made_with,
        "totals": [counted.document_count, counted.token_count],
        "terms": counted.ids,
        "document_frequencies": counted.document_frequencies,
    }


def _read_statistics(saved: Mapping[str, Any]) -> Any:
    from onnxembed import Bm25Statistics

    documents, tokens = saved["totals"].tolist()
    return Bm25Statistics(str(saved["made_with"]), documents, tokens, saved["terms"], saved["document_frequencies"])
