"""Makes the rows of sparse models by sentence-transformers; see `tests.golden.row_maker`.

Run as ``python -m tests.golden.make_rows_sparse`` in the environment of the peers, from the repository's root.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sentence_transformers
import torch
from sentence_transformers import SparseEncoder
from sentence_transformers.base.modules import Router, Transformer
from sentence_transformers.sentence_transformer.modules import Pooling
from sentence_transformers.sparse_encoder.modules import SparseAutoEncoder, SparseStaticEmbedding, SpladePooling
from transformers import AutoModel, AutoModelForMaskedLM

from tests.fixtures.model_rows import TEXTS
from tests.golden.row_maker import make_row
from tests.golden.small_bodies import save_body

LIBRARY = f"sentence-transformers {sentence_transformers.__version__}"
# Word vectors of up to 1 that are tied to the decoder make logits whose rounding alone exceeds the tolerance.
_TABLES = (
    *("bert.embeddings", "distilbert.embeddings", "roberta.embeddings", "embeddings"),
    *("deberta.embeddings", "model.embeddings"),
)
SCALES = {f"{table}.word_embeddings.weight": 0.1 for table in _TABLES} | {"model.embeddings.tok_embeddings.weight": 0.1}


def compute(folder: Path) -> dict[str, Any]:
    """Give the library's vectors, by the entries that are not 0."""
    torch.set_num_threads(1)
    model = SparseEncoder(str(folder), device="cpu", local_files_only=True)
    return {
        "documents": entries(model.encode_document(list(TEXTS), convert_to_sparse_tensor=False)),
        "queries": entries(model.encode_query(list(TEXTS), convert_to_sparse_tensor=False)),
    }


def entries(vectors: torch.Tensor) -> list[dict[int, float]]:
    """Give each vector's numbers by their index."""
    return [{int(at): float(vector[at]) for at in vector.nonzero()[:, 0]} for vector in vectors]


def masked(body: str) -> Transformer:
    """Load a masked-language model as a stage."""
    return Transformer(body, transformer_task="fill-mask")


def pooled(strategy: str, activation: str) -> Callable[[str], list[Any]]:
    """Stages of a SPLADE model."""

    def stages(body: str) -> list[Any]:
        return [masked(body), SpladePooling(strategy, activation)]

    return stages


def routed(body: str) -> list[Any]:
    """Stages of a model whose queries need no inference."""
    documents = masked(body)
    table = SparseStaticEmbedding(documents.tokenizer, torch.ones(len(documents.tokenizer)))
    return [
        Router.for_query_document(
            query_modules=[table], document_modules=[documents, SpladePooling("max", "log1p_relu")]
        )
    ]


def coded(body: str) -> list[Any]:
    """Stages of a dense model whose vectors become sparse."""
    return [Transformer(body), Pooling(32, "mean"), SparseAutoEncoder(32, 64, k=8, normalize=True)]


def in_the_root(folder: Path) -> None:
    """Move the body of a Router's documents to the model's own folder, as published models have it."""
    body = folder / "document_0_Transformer"
    for path in body.iterdir():
        path.rename(folder / path.name)
    body.rmdir()
    path = folder / "router_config.json"
    config = json.loads(path.read_text())
    config["types"] = {"" if name == body.name else name: kind for name, kind in config["types"].items()}
    config["structure"]["document"][0] = ""
    path.write_text(json.dumps(config))


def main() -> None:
    """Write all rows."""
    with tempfile.TemporaryDirectory() as root:
        at = Path(root)

        def row(
            name: str,
            family: str,
            head: str,
            stages: Callable[[str], list[Any]],
            *,
            auto: Any = AutoModelForMaskedLM,
            change: Callable[[Path], None] | None = None,
            **settings: Any,
        ) -> None:
            folder = at / name
            with tempfile.TemporaryDirectory() as body:
                save_body(family, auto, Path(body))
                SparseEncoder(modules=stages(body), device="cpu", **settings).save(str(folder))
            if change is not None:
                change(folder)
            make_row(
                name,
                folder,
                compute,
                architecture=family,
                head=head,
                kind="sparse",
                library=LIBRARY,
                scales=SCALES,
            )
            shutil.rmtree(folder)

        usual = "masked LM (SPLADE)"
        for family in ("bert", "distilbert", "roberta", "modernbert"):
            # Few entries keep the rows small.
            row(
                f"splade-{family}",
                family,
                usual,
                pooled("max", "relu"),
                max_active_dims=24,
            )
        prompts = {"query": "query: ", "document": "text: "}
        row(
            "splade-bert-pruned",
            "bert",
            usual,
            pooled("max", "log1p_relu"),
            prompts=prompts,
            max_active_dims=12,
        )
        row("splade-bert-sum", "bert", "masked LM (SPLADE, sum)", pooled("sum", "relu"), max_active_dims=40)
        row("splade-bert-sum-twice", "bert", "masked LM (SPLADE, sum)", pooled("sum", "log1p_relu"), max_active_dims=40)
        free = "masked LM (SPLADE), queries by a table"
        row("splade-bert-router", "bert", free, routed, prompts=prompts)
        row("splade-distilbert-router-root", "distilbert", free, routed, change=in_the_root)
        row("csr-bert", "bert", "mean pooling + SparseAutoEncoder", coded, auto=AutoModel)


if __name__ == "__main__":
    main()
