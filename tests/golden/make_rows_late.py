"""Makes the rows of late-interaction models by sentence-transformers; see `tests.golden.row_maker`.

Run as ``python -m tests.golden.make_rows_late`` in the environment of the peers, from the repository's root.
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
from sentence_transformers import MultiVectorEncoder
from sentence_transformers.base.modules import Dense, Normalize, Transformer
from sentence_transformers.multi_vector_encoder.modules import HierarchicalTokenPooling, MultiVectorMask
from transformers import AutoModel

from tests.fixtures.model_rows import TEXTS
from tests.golden.row_maker import make_row
from tests.golden.small_bodies import save_body

LIBRARY = f"sentence-transformers {sentence_transformers.__version__}"
MARKERS = ("[Q] ", "[D] ")
PYLATE: dict[str, Any] = {
    "__version__": {"sentence_transformers": "4.0.2", "transformers": "4.48.2", "pytorch": "2.5.1"},
    "prompts": {},
    "default_prompt_name": None,
    "similarity_fn_name": "MaxSim",
    "query_prefix": "[Q] ",
    "document_prefix": "[D] ",
    "query_length": 12,
    "document_length": 24,
    "attend_to_expansion_tokens": False,
    "skiplist_words": [".", ",", "!", "?"],
}
"""What PyLate 1 writes, as its published models have it."""


def compute(folder: Path) -> dict[str, Any]:
    """Give the library's token vectors."""
    torch.set_num_threads(1)
    model = MultiVectorEncoder(str(folder), device="cpu", local_files_only=True)
    texts = list(TEXTS)
    return {
        "documents": [vectors.numpy() for vectors in model.encode_document(texts)],
        "queries": [vectors.numpy() for vectors in model.encode_query(texts)],
    }


def dense(inputs: int, outputs: int, *, bias: bool, activation: torch.nn.Module) -> Dense:
    """Make a layer on token vectors."""
    return Dense(inputs, outputs, bias=bias, activation_function=activation, module_input_name="token_embeddings")


def save_pylate(family: str, folder: Path, **settings: Any) -> None:
    """Save a model as PyLate does: two stages, and its settings beside the prompts."""
    with tempfile.TemporaryDirectory() as body:
        save_body(family, AutoModel, Path(body), extra=MARKERS)
        layer = dense(32, 8, bias=False, activation=torch.nn.Identity())
        MultiVectorEncoder(modules=[Transformer(body), layer], device="cpu").save(str(folder))
    write(folder / "config_sentence_transformers.json", PYLATE | settings)
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Dense", "type": "pylate.models.Dense.Dense"},
    ]
    write(folder / "modules.json", modules)
    write(folder / "sentence_bert_config.json", {"max_seq_length": 23, "do_lower_case": False})
    config = json.loads((folder / "1_Dense" / "config.json").read_text())
    for key in ("module_input_name", "module_output_name"):
        del config[key]
    write(folder / "1_Dense" / "config.json", config)


def save_multi_vector(family: str, folder: Path, modules: Callable[[str], list[Any]], **settings: Any) -> None:
    """Save a model of sentence-transformers' own."""
    with tempfile.TemporaryDirectory() as body:
        save_body(family, AutoModel, Path(body), extra=MARKERS)
        MultiVectorEncoder(modules=modules(body), device="cpu", **settings).save(str(folder))


def write(path: Path, content: Any) -> None:
    """Write a JSON file."""
    path.write_text(json.dumps(content))


def usual(body: str, **lengths: Any) -> list[Any]:
    """The stages that most models have."""
    return [
        Transformer(body, **lengths),
        dense(32, 8, bias=False, activation=torch.nn.Identity()),
        MultiVectorMask(skiplist_words=[".", ","]),
        Normalize(module_input_name="token_embeddings"),
    ]


def filled(body: str) -> list[Any]:
    """Queries filled to a fixed length with tokens that nothing attends to."""
    return usual(body, document_length=28, query_expansion={"strategy": "fixed", "attend": False, "length": 12})


def layered(body: str) -> list[Any]:
    """Several layers, a least length of queries, words left out on both sides, vectors joined."""
    return [
        Transformer(
            body, query_length=30, query_expansion={"strategy": "min", "attend": True, "length": 8, "token": "[SEP]"}
        ),
        dense(32, 24, bias=True, activation=torch.nn.Tanh()),
        dense(24, 8, bias=True, activation=torch.nn.Identity()),
        MultiVectorMask(skiplist_words=["the", ","], skiplist_tasks=["query", "document"]),
        Normalize(module_input_name="token_embeddings"),
        HierarchicalTokenPooling(2.0),
    ]


def plain(body: str) -> list[Any]:
    """Vectors of any length, nothing left out, and queries longer than documents."""
    layer = dense(32, 8, bias=True, activation=torch.nn.ReLU())
    return [Transformer(body, query_length=24, document_length=12), layer, MultiVectorMask()]


def main() -> None:
    """Write all rows."""
    with tempfile.TemporaryDirectory() as root:
        at = Path(root)

        def row(name: str, architecture: str, head: str) -> None:
            make_row(
                name,
                at / name,
                compute,
                architecture=architecture,
                head=head,
                kind="late_interaction",
                library=LIBRARY,
            )
            shutil.rmtree(at / name)

        for family in ("bert", "distilbert", "xlm-roberta", "modernbert"):
            name = f"late-{family}-pylate"
            save_pylate(family, at / name)
            row(name, family, "token vectors (PyLate)")
        save_pylate("bert", at / "late-bert-pylate-attend", attend_to_expansion_tokens=True, skiplist_words=[])
        row("late-bert-pylate-attend", "bert", "token vectors (PyLate)")
        save_pylate(
            "bert",
            at / "late-bert-pylate-short",
            do_query_expansion=False,
            prompts={"query": "query: ", "document": "[D] text: "},
        )
        row("late-bert-pylate-short", "bert", "token vectors (PyLate)")
        prompts = {"query": "[Q] ", "document": "[D] "}
        save_multi_vector("bert", at / "late-bert-filled", filled, prompts=prompts)
        row("late-bert-filled", "bert", "token vectors (MultiVectorEncoder)")
        save_multi_vector("roberta", at / "late-roberta-filled", filled, prompts=prompts)
        row("late-roberta-filled", "roberta", "token vectors (MultiVectorEncoder)")
        save_multi_vector("bert", at / "late-bert-layered", layered)
        row("late-bert-layered", "bert", "token vectors, joined by clusters (MultiVectorEncoder)")
        save_multi_vector("bert", at / "late-bert-plain", plain)
        row("late-bert-plain", "bert", "token vectors (MultiVectorEncoder)")


if __name__ == "__main__":
    main()
