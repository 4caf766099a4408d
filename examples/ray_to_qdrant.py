"""Embed Parquet files on a Ray cluster, into a collection of Qdrant.

``python examples/ray_to_qdrant.py IN URL COLLECTION [MODEL]``; needs ``pip install 'onnxembed[ray]' qdrant-client`` on
each machine. IN has the columns ``id`` (whole numbers) and ``text``. A batch that comes again, after a worker died,
writes the same points again: nothing is doubled.
"""

from __future__ import annotations

import sys
from typing import Any

import ray
import ray.data
from qdrant_client import QdrantClient
from qdrant_client.models import Distance, PointStruct, VectorParams

from onnxembed import TextEmbedding
from onnxembed.batches import EmbedBatches


class Upsert:
    """Writes batches; one connection per actor."""

    def __init__(self, url: str, collection: str) -> None:
        self._client, self._collection = QdrantClient(url=url), collection

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Write a batch, and hand on its ids."""
        columns = (batch[name].tolist() for name in ("id", "text", "vector"))
        points = [
            PointStruct(id=number, vector=vector, payload={"text": text})
            for number, text, vector in zip(*columns, strict=True)
        ]
        self._client.upsert(self._collection, points)
        return {"id": batch["id"]}


def main(source: str, url: str, collection: str, model: str = "sentence-transformers/all-MiniLM-L6-v2") -> None:
    """Make the collection if need be, then read, embed and write."""
    client = QdrantClient(url=url)
    if not client.collection_exists(collection):
        size = TextEmbedding(model, lazy_load=True).embedding_size
        client.create_collection(collection, VectorParams(size=size, distance=Distance.COSINE))
    ray.init()
    rows = ray.data.read_parquet(source).map_batches(
        EmbedBatches,
        fn_constructor_kwargs={"model": model, "id_column": "id"},
        batch_format="numpy",
        batch_size=1024,
        # Actors. Reading and the writer need a processor that none of them holds, or Ray waits for ever.
        concurrency=max(1, int(ray.cluster_resources()["CPU"]) - 1),
        num_cpus=1,
    )
    settings = {"url": url, "collection": collection}
    written = rows.map_batches(
        Upsert, fn_constructor_kwargs=settings, batch_format="numpy", batch_size=512, concurrency=1, num_cpus=0
    )
    print(f"{written.count()} points")


if __name__ == "__main__":
    main(*sys.argv[1:])
