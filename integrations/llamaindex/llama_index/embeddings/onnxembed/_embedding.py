"""What LlamaIndex's embedding adapters have in common: roles, cache, events, copies; the models differ."""

from __future__ import annotations

import inspect
import logging
import pickle
from collections.abc import Callable, Iterable
from typing import Any, Literal, Self, TypeVar, cast

from llama_index.core.base.embeddings.base import BaseEmbedding, Embedding
from llama_index.core.callbacks.base import CallbackManager
from pydantic import BaseModel, Field

from llama_index.embeddings.onnxembed._engine import EngineFields
from llama_index.embeddings.onnxembed.cache import Role, RoleCache

_logger = logging.getLogger("onnxembed.llamaindex")

ResultT = TypeVar("ResultT")


class VectorEmbedding(EngineFields, BaseEmbedding):
    """One vector a text, as LlamaIndex asks for it.

    Attributes:
        embed_batch_size: Texts handed over at a time.
        embeddings_cache: A key-value store for vectors. It is no setting of the model: ``to_dict`` leaves it out.
    """

    embed_batch_size: int = Field(default=256, gt=0, le=2048)
    embeddings_cache: Any = Field(default=None, exclude=True)

    @property
    def dimension(self) -> int:
        """Length of the vectors."""
        raise NotImplementedError

    @property
    def _cache_key(self) -> str:
        """A short text that changes with everything that changes a vector."""
        raise NotImplementedError

    def _embed(self, texts: list[str], side: Literal["query", "passage"]) -> list[Embedding]:
        """Embed texts, one or more; every model does."""
        raise NotImplementedError

    def to_payload(self) -> dict[str, Any]:
        """Describe the model for events and callbacks; nothing secret is in it.

        Returns:
            Class, model, window, length of the vectors and device.
        """
        return {
            "class_name": self.class_name(),
            "model_name": self.model_name,
            "embed_batch_size": self.embed_batch_size,
            "dimension": self.dimension,
            "device": self.device,
        }

    # The framework's own methods do the work: batching, events, callbacks, cache. They are called undecorated,
    # because the ones defined here already are a span of the trace each.

    def get_query_embedding(self, query: str) -> Embedding:
        """Embed a text that others are searched with.

        Args:
            query: The text.

        Returns:
            Its vector.
        """
        return cast("Embedding", _bare(BaseEmbedding.get_query_embedding)(self._as_role("query"), query))

    async def aget_query_embedding(self, query: str) -> Embedding:
        """Embed a text that others are searched with, without blocking the event loop.

        Args:
            query: The text.

        Returns:
            Its vector.
        """
        bare = _bare(BaseEmbedding.aget_query_embedding)
        return cast("Embedding", await bare(await self._prepared("query"), query))

    def get_text_embedding(self, text: str) -> Embedding:
        """Embed a text that is to be found.

        Args:
            text: The text.

        Returns:
            Its vector.
        """
        return cast("Embedding", _bare(BaseEmbedding.get_text_embedding)(self._as_role("text"), text))

    async def aget_text_embedding(self, text: str) -> Embedding:
        """Embed a text that is to be found, without blocking the event loop.

        Args:
            text: The text.

        Returns:
            Its vector.
        """
        bare = _bare(BaseEmbedding.aget_text_embedding)
        return cast("Embedding", await bare(await self._prepared("text"), text))

    def get_text_embedding_batch(self, texts: list[str], show_progress: bool = False, **kwargs: Any) -> list[Embedding]:
        """Embed texts that are to be found.

        Args:
            texts: The texts.
            show_progress: Whether to show a progress bar.
            **kwargs: Ignored; the framework's pipelines hand their own options to every component.

        Returns:
            One vector a text, in the same order.
        """
        texts = _as_texts(texts)
        if not texts:
            return []
        bare = _bare(BaseEmbedding.get_text_embedding_batch)
        return cast("list[Embedding]", bare(self._as_role("text"), texts, show_progress, **kwargs))

    async def aget_text_embedding_batch(
        self, texts: list[str], show_progress: bool = False, **kwargs: Any
    ) -> list[Embedding]:
        """Embed texts that are to be found, without blocking the event loop.

        Args:
            texts: The texts.
            show_progress: Whether to show a progress bar.
            **kwargs: Ignored; the framework's pipelines hand their own options to every component.

        Returns:
            One vector a text, in the same order.
        """
        texts = _as_texts(texts)
        if not texts:
            return []
        bare = _bare(BaseEmbedding.aget_text_embedding_batch)
        return cast("list[Embedding]", await bare(await self._prepared("text"), texts, show_progress, **kwargs))

    def _get_query_embedding(self, query: str) -> Embedding:
        return self._embed([query], "query")[0]

    async def _aget_query_embedding(self, query: str) -> Embedding:
        return await self._in_pool(lambda: self._embed([query], "query")[0])

    def _get_text_embedding(self, text: str) -> Embedding:
        return self._embed([text], "passage")[0]

    async def _aget_text_embedding(self, text: str) -> Embedding:
        return await self._in_pool(lambda: self._embed([text], "passage")[0])

    def _get_text_embeddings(self, texts: list[str]) -> list[Embedding]:
        return self._embed(texts, "passage") if texts else []

    async def _aget_text_embeddings(self, texts: list[str]) -> list[Embedding]:
        return await self._in_pool(lambda: self._embed(texts, "passage")) if texts else []

    async def _in_pool(self, function: Callable[[], ResultT]) -> ResultT:
        """Await a blocking call in the engine's pool."""
        return cast("ResultT", await self._open(lazy_load=True).run_async(function))

    def _as_role(self, role: Role) -> Self:
        """Give a twin that reads and writes the cache in one role; itself when there is no cache."""
        if self.embeddings_cache is None:
            return self
        cache = RoleCache(self.embeddings_cache, self._cache_key, role)
        return self.model_copy(update={"embeddings_cache": cache})

    async def _prepared(self, role: Role) -> Self:
        """Do the same, with all that may take time (finding files, reading the dimension) off the event loop."""
        if self.embeddings_cache is None and self._open(lazy_load=True).loaded:
            return self

        # The payload of the first event tells the dimension, which may have to be loaded.
        _, ready = await self._in_pool(lambda: (self.dimension, self._as_role(role)))
        return ready

    def __getstate__(self) -> dict[str, Any]:
        """Give the fields and the engine's settings; weights are opened again, on first use, wherever the copy lands.

        The framework's own method deletes from the live object whatever does not pickle; this one leaves it out of
        the copy.

        Returns:
            The state to pickle.
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

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take the fields as they were; nothing is opened before it is needed.

        Args:
            state: What ``__getstate__`` gave.
        """
        BaseModel.__setstate__(self, state)

    def __eq__(self, other: object) -> bool:
        """Compare the settings and the cache; whether the model is already loaded makes no difference."""
        if not isinstance(other, VectorEmbedding) or type(self) is not type(other):
            return False
        return self.to_dict() == other.to_dict() and bool(self.embeddings_cache == other.embeddings_cache)


def _bare(method: Callable[..., Any]) -> Callable[..., Any]:
    return cast("Callable[..., Any]", inspect.unwrap(method))


def _pickles(value: Any) -> bool:
    try:
        pickle.dumps(value)
    except Exception:  # noqa: BLE001 - whatever a foreign object raises means the same: it does not pickle
        return False
    return True


def _as_texts(texts: Iterable[str]) -> list[str]:
    """Check all texts before the first one is embedded: the framework's windows would hide the position."""
    from onnxembed.errors import InputTypeError

    if isinstance(texts, str) or not isinstance(texts, Iterable):
        raise InputTypeError(
            f"get_text_embedding_batch was given a {type(texts).__name__}, expected a list of str; "
            "use get_text_embedding for a single text"
        )
    texts = list(texts)
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            raise InputTypeError(f"text {index} is a {type(text).__name__}, expected a str; convert it first")
    return texts
