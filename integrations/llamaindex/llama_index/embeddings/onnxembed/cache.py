"""A view of an embeddings cache in which each model and each role has entries of its own.

LlamaIndex files every vector under the bare text, in one collection for all models and for queries and documents
alike. A model that embeds the two differently would be handed the wrong vector without a word. The view files the
vectors under the model's fingerprint and the role instead; the user's store itself stays what and where it is.
"""

# The collection asked for is ignored everywhere: that is the point of the view.

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from llama_index.core.storage.kvstore.types import DEFAULT_BATCH_SIZE, DEFAULT_COLLECTION, BaseKVStore
from typing_extensions import override

__all__ = ["Role", "RoleCache"]

Role: TypeAlias = Literal["query", "text"]
"""What a text is embedded as."""


class RoleCache(BaseKVStore):
    """A key-value store that keeps everything in one collection of another store, whatever collection is asked for.

    Args:
        store: The user's store.
        fingerprint: The hash of everything that changes a vector.
        role: What the texts are embedded as.
    """

    def __init__(self, store: BaseKVStore, fingerprint: str, role: Role) -> None:
        self._store = store
        self._collection = f"embeddings-{fingerprint}-{role}"

    @property
    def collection(self) -> str:
        """The collection of the user's store that holds the vectors."""
        return self._collection

    @override
    def put(self, key: str, val: dict[str, Any], collection: str = DEFAULT_COLLECTION) -> None:
        self._store.put(key, val, collection=self._collection)

    @override
    async def aput(self, key: str, val: dict[str, Any], collection: str = DEFAULT_COLLECTION) -> None:
        await self._store.aput(key, val, collection=self._collection)

    @override
    def put_all(
        self,
        kv_pairs: list[tuple[str, dict[str, Any]]],
        collection: str = DEFAULT_COLLECTION,
        batch_size: int = DEFAULT_BATCH_SIZE,
    ) -> None:
        self._store.put_all(kv_pairs, collection=self._collection, batch_size=batch_size)

    @override
    async def aput_all(
        self,
        kv_pairs: list[tuple[str, dict[str, Any]]],
        collection: str = DEFAULT_COLLECTION,
        batch_size: int = DEFAULT_BATCH_SIZE,
    ) -> None:
        await self._store.aput_all(kv_pairs, collection=self._collection, batch_size=batch_size)

    @override
    def get(self, key: str, collection: str = DEFAULT_COLLECTION) -> dict[str, Any] | None:
        return self._store.get(key, collection=self._collection)

    @override
    async def aget(self, key: str, collection: str = DEFAULT_COLLECTION) -> dict[str, Any] | None:
        return await self._store.aget(key, collection=self._collection)

    @override
    def get_all(self, collection: str = DEFAULT_COLLECTION) -> dict[str, dict[str, Any]]:
        return self._store.get_all(collection=self._collection)

    @override
    async def aget_all(self, collection: str = DEFAULT_COLLECTION) -> dict[str, dict[str, Any]]:
        return await self._store.aget_all(collection=self._collection)

    @override
    def delete(self, key: str, collection: str = DEFAULT_COLLECTION) -> bool:
        return self._store.delete(key, collection=self._collection)

    @override
    async def adelete(self, key: str, collection: str = DEFAULT_COLLECTION) -> bool:
        return await self._store.adelete(key, collection=self._collection)
