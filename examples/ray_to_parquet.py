"""Embed Parquet files on all machines of a Ray cluster, into Parquet files.

``python examples/ray_to_parquet.py IN OUT [MODEL]``; needs ``pip install 'onnxembed[ray]'`` on each machine. IN has
a column ``text``; bad rows stay, with a null vector and the reason in ``why``.
"""

from __future__ import annotations

import sys

import ray
import ray.data

from onnxembed.batches import EmbedBatches


def main(source: str, target: str, model: str = "sentence-transformers/all-MiniLM-L6-v2") -> None:
    """Read, embed, and write while reading goes on."""
    ray.init()
    rows = ray.data.read_parquet(source).map_batches(
        EmbedBatches,
        fn_constructor_kwargs={"model": model, "on_error": "skip", "error_column": "why"},
        batch_format="pyarrow",
        batch_size=2048,
        # Actors; each opens the model once. Reading and writing need a processor that none of them holds, or Ray waits
        # for ever.
        concurrency=max(1, int(ray.cluster_resources()["CPU"]) - 1),
        num_cpus=1,
    )
    rows.write_parquet(target)


if __name__ == "__main__":
    main(*sys.argv[1:])
