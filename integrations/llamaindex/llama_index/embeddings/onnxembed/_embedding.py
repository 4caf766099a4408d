"""What LlamaIndex's embedding adapters have in common: roles, cache, events, copies."""

from __future__ import annotations

import inspect
import logging
import pickle
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Self, cast

from llama_index.core.base.embeddings.base import BaseEmbedding, Embedding
from llama_index.core.callbacks.base import CallbackManager
from pydantic import BaseModel, Field
from typing_extensions import override

from llama_index.embeddings.onnxembed.cache import Role, RoleCache
from onnxembed.adapters.checks import as_texts
from onnxembed.adapters.dense import VectorModel
from onnxembed.adapters.described import Described
from onnxembed.adapters.progress import framework_shows

__all__ = ["VectorEmbedding"]

_logger = logging.getLogger("onnxembed.llamaindex")

# The framework's own methods do the work: batching, events, callbacks, cache. They are called undecorated, because the
# ones defined here already are a span of the trace each.
_get_query: Any = inspect.unwrap(BaseEmbedding.get_query_embedding)
_get_text: Any = inspect.unwrap(BaseEmbedding.get_text_embedding)
_get_texts: Any = inspect.unwrap(BaseEmbedding.get_text_embedding_batch)
_aget_query: Any = inspect.unwrap(BaseEmbedding.aget_query_embedding)
_aget_text: Any = inspect.unwrap(BaseEmbedding.aget_text_embedding)
_aget_texts: Any = inspect.unwrap(BaseEmbedding.aget_text_embedding_batch)


class VectorEmbedding(VectorModel, BaseEmbedding):
    """One vector per text, as LlamaIndex asks for it."""

    elsewhere: ClassVar[Mapping[str, str]] = {
        "model": "here it is called 'model_name'",
        "show_progress_bar": "pass show_progress= to the call",
    }

    embed_batch_size: int = Field(
        default=256,
        gt=0,
        le=2048,
        description="Texts passed to the engine at a time. The engine sorts them by length and cuts its own batches, "
        "so larger windows are faster.",
    )
    embeddings_cache: Any = Field(
        default=None,
        exclude=True,
        description="A key-value store for vectors. It is no setting of the model: `to_dict` leaves it out.",
    )

    @override
    def to_payload(self) -> dict[str, Any]:
        memo = self._current().memo
        if "payload" not in memo:
            memo["payload"] = {
                "class_name": self.class_name(),
                "model_name": self.model_name,
                "embed_batch_size": self.embed_batch_size,
                "dimension": self.dimension,
                "device": self.device,
            }
        return {**memo["payload"]}

    @override
    def to_dict(self, **kwargs: Any) -> dict[str, Any]:
        """Give all settings as plain data.

        The text of the dictionary, ``str(...)``, is what an ``IngestionPipeline`` hashes to know nodes that it has
        embedded before. It names the vectors (see `cache_namespace`), and finds the model's files for that: nodes are
        embedded again where vectors would differ, such as by other weights, and not where threads, devices or batch
        sizes do.
        """
        return Described(super().to_dict(**kwargs), lambda: self.cache_namespace)

    @override
    def get_query_embedding(self, query: str) -> Embedding:
        twin = self if self.embeddings_cache is None else self._as_role("query")
        return cast("Embedding", _get_query(twin, query))

    @override
    async def aget_query_embedding(self, query: str) -> Embedding:
        return cast("Embedding", await _aget_query(await self._prepared("query"), query))

    @override
    def get_text_embedding(self, text: str) -> Embedding:
        twin = self if self.embeddings_cache is None else self._as_role("text")
        return cast("Embedding", _get_text(twin, text))

    @override
    async def aget_text_embedding(self, text: str) -> Embedding:
        return cast("Embedding", await _aget_text(await self._prepared("text"), text))

    @override
    def get_text_embedding_batch(self, texts: list[str], show_progress: bool = False, **kwargs: Any) -> list[Embedding]:
        texts = _as_texts(texts)
        if not texts:
            return []
        twin = self if self.embeddings_cache is None else self._as_role("text")
        with framework_shows():
            return cast("list[Embedding]", _get_texts(twin, texts, self._shows(show_progress), **kwargs))

    @override
    async def aget_text_embedding_batch(
        self, texts: list[str], show_progress: bool = False, **kwargs: Any
    ) -> list[Embedding]:
        texts = _as_texts(texts)
        if not texts:
            return []
        twin = await self._prepared("text")
        with framework_shows():
            return cast("list[Embedding]", await _aget_texts(twin, texts, self._shows(show_progress), **kwargs))

    def _shows(self, show_progress: bool) -> bool:
        """Whether the framework shows its bar: as the call says, or the object."""
        return show_progress or bool(self.show_progress)

    def _get_query_embedding(self, query: str) -> Embedding:
        return self._vectors([query], "query")[0]

    async def _aget_query_embedding(self, query: str) -> Embedding:
        return await self._in_pool(lambda: self._vectors([query], "query")[0])

    def _get_text_embedding(self, text: str) -> Embedding:
        return self._vectors([text], "document")[0]

    async def _aget_text_embedding(self, text: str) -> Embedding:
        return await self._in_pool(lambda: self._vectors([text], "document")[0])

    def _get_text_embeddings(self, texts: list[str]) -> list[Embedding]:
        return self._vectors(texts, "document") if texts else []

    async def _aget_text_embeddings(self, texts: list[str]) -> list[Embedding]:
        return await self._in_pool(lambda: self._vectors(texts, "document")) if texts else []

    def _as_role(self, role: Role) -> Self:
        """Give a twin that reads and writes the cache in one role."""
        cache = RoleCache(self.embeddings_cache, self.cache_namespace, role)
        return self.model_copy(update={"embeddings_cache": cache})

    async def _prepared(self, role: Role) -> Self:
        """Do the same where there is a cache, with all that may take time off the event loop."""
        cached = self.embeddings_cache is not None
        if not cached and self._current().engine.loaded:
            return self
        # The payload of the first event tells the dimension, which may have to be loaded; a twin finds the files.
        _, ready = await self._in_pool(lambda: (self.to_payload(), self._as_role(role) if cached else self))
        return ready

    @override
    def __getstate__(self) -> dict[str, Any]:
        """Give the fields and the engine's settings; weights are opened again, on first use, wherever the copy lands.

        The framework's own method deletes from the live object whatever does not pickle; this one leaves it out of
        the copy.
        """
        state = BaseModel.__getstate__(self)
        fields = dict(self.__dict__)
        for name, substitute in (
            ("callback_manager", CallbackManager([])),
            ("rate_limiter", None),
            ("embeddings_cache", None),
        ):
            if name in fields and not _pickles(fields[name]):
                _logger.warning("%s cannot be pickled: the copy of %s goes without it", name, self.class_name())
                fields[name] = substitute
        return {**state, "__dict__": fields}

    @override
    def __setstate__(self, state: dict[str, Any]) -> None:
        BaseModel.__setstate__(self, state)

    @override
    def __eq__(self, other: object) -> bool:
        """Compare the settings and the cache; whether the model is already loaded makes no difference."""
        if not isinstance(other, VectorEmbedding) or type(self) is not type(other):
            return False
        return self.to_dict() == other.to_dict() and bool(self.embeddings_cache == other.embeddings_cache)


def _pickles(value: Any) -> bool:
    try:
        pickle.dumps(value)
    except Exception:  # noqa: BLE001 - whatever a foreign object raises means the same: it does not pickle
        return False
    return True


def _as_texts(texts: Iterable[str]) -> list[str]:
    """Check all texts before the first one is embedded: the framework's windows would hide the position."""
    return as_texts(texts, "get_text_embedding_batch", "use get_text_embedding for a single text")
