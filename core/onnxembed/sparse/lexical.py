"""The backend of BM25, which counts words and needs no model."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnxembed.api.options import engine_options
from onnxembed.api.settings import EngineSettings
from onnxembed.hub.settings import StoreSettings
from onnxembed.runtime.bounded_pool import BoundedPool
from onnxembed.runtime.cpu import usable_cpus
from onnxembed.sparse.backend import SparseCall
from onnxembed.sparse.bm25 import Bm25
from onnxembed.sparse.options import KINDS_OF_OPTION
from onnxembed.sparse.spec import SparseModel

if TYPE_CHECKING:
    from onnxembed.sparse.vector import SparseEmbedding


class LexicalBackend:
    """BM25 with the choices of one facade. It needs no files: the package carries the stop words."""

    def __init__(self, settings: EngineSettings[SparseModel], bm25: Bm25, *, truncate: bool) -> None:
        """Combine settings.

        Args:
            settings: The model, and where else its stop words may lie.
            bm25: What counts.
            truncate: Kept for the facade's arguments; texts of any length are read whole.
        """
        self._settings = settings
        self._bm25 = bm25
        self._truncate = truncate
        self.pool = BoundedPool(max(2, min(4, usable_cpus())))

    def __reduce__(self) -> tuple[Callable[..., LexicalBackend], tuple[object, ...]]:
        return _restored, (self._settings, self._bm25, self._truncate)

    @property
    def model(self) -> SparseModel:
        """The model's description."""
        return self._settings.model

    @property
    def requires_idf(self) -> bool:
        """Whether the search engine has to bring in the inverse document frequency."""
        return self.model.requires_idf and not self._bm25.settings.idf_in_query

    @property
    def loaded(self) -> bool:
        """Always; there is nothing to load."""
        return True

    @property
    def max_length(self) -> int | None:
        """``None``: texts are read whole."""
        return None

    @property
    def options(self) -> dict[str, Any]:
        """The facade's arguments, defaults filled in; those of other kinds of models are ``None``."""
        chosen = self._bm25.settings
        own = {
            name: getattr(chosen, name) if self.model.kind in kinds else None for name, kinds in KINDS_OF_OPTION.items()
        }
        if chosen.statistics is None:
            own["avg_len"] = self._bm25.avg_len
        return {**engine_options(self._settings), "truncate": self._truncate, **own}

    @property
    def fingerprint(self) -> str:
        """Made of the stop words and of all options that count."""
        chosen = self._bm25.settings
        relevant = (chosen.identity(), chosen.k, chosen.b, self._bm25.avg_len, chosen.idf_in_query)
        digest = hashlib.sha256(f"{self.model.kind.value}\0{relevant!r}".encode())
        if chosen.idf_in_query and chosen.statistics is not None:
            digest.update(f"{chosen.statistics.document_count}\0".encode())
            digest.update(chosen.statistics.ids.tobytes() + chosen.statistics.document_frequencies.tobytes())
        return digest.hexdigest()[:32]

    def load(self) -> None:
        """Nothing is to be loaded."""

    def embed(self, call: SparseCall) -> Iterator[SparseEmbedding]:
        """Begin a call.

        Args:
            call: The call; its batch size does not matter here.

        Returns:
            An iterator of one vector a text.
        """
        texts: Any = call.texts
        return self._bm25.query_embed(texts) if call.query else self._bm25.embed(texts, call.parallel)

    def count(self, texts: Iterable[object], batch_size: int) -> int:  # noqa: ARG002  # words are counted in windows
        """Count words before any is dropped.

        Args:
            texts: The texts.
            batch_size: Does not matter here.

        Returns:
            The sum.
        """
        every: Any = texts
        return self._bm25.token_count(every)

    def fit(self, texts: str | Iterable[str], parallel: int | None) -> LexicalBackend:
        """Measure a collection.

        Args:
            texts: The documents.
            parallel: Processes to share the work.

        Returns:
            A backend with the statistics.
        """
        return LexicalBackend(self._settings, self._bm25.fit(texts, parallel), truncate=self._truncate)


def open_lexical(settings: EngineSettings[SparseModel], given: Mapping[str, Any], *, truncate: bool) -> LexicalBackend:
    """Make the backend of a facade's arguments. Nothing is downloaded.

    Args:
        settings: The model, and where else its stop words may lie.
        given: The options that were given.
        truncate: See `LexicalBackend`.

    Returns:
        The backend.
    """
    bm25 = Bm25(**given, stop_words_folder=_stop_words_folder(settings.model, settings.store))
    return LexicalBackend(settings, bm25, truncate=truncate)


def _restored(settings: EngineSettings[SparseModel], bm25: Bm25, truncate: bool) -> LexicalBackend:
    return LexicalBackend(settings, bm25, truncate=truncate)


def _stop_words_folder(model: SparseModel, store: StoreSettings) -> Path | None:
    """The caller's folder, else a copy of the model's repository that is there already."""
    if store.specific_model_path is not None:
        return Path(store.specific_model_path)
    from onnxembed.hub.hub_cache import repository_place

    for source in model.sources:
        if source.hf is not None:
            place = repository_place(source.hf, store)
            commit = place.commit_of(store.effective_revision)
            if commit is not None and place.snapshot(commit).is_dir():
                return place.snapshot(commit)
    return None
