"""Makes the rows of BGE-M3 (Chen et al., 2024): dense, sparse and multi-vector results of one model with two heads.

What FlagEmbedding computes is spelled out here over transformers' model: the vector of the first token; for each token
id the largest of the tokens' weights ``relu(w x + b)``, special tokens left out; a linear layer over the tokens after
the first. Run as ``python -m tests.golden.make_rows_bge_m3``, with PyTorch, transformers and sentence-transformers.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Transformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling
from transformers import AutoModel, AutoTokenizer

from tests.fixtures.model_rows import TEXTS
from tests.golden.make_rows_bert import FAMILIES
from tests.golden.row_maker import make_row

_COLBERT_SIZE = 8
_LEFT_OUT = ("cls_token", "eos_token", "pad_token", "unk_token")


def states(folder: Path) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Give ids and token vectors of each text, computed by itself."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    results = []
    for text in TEXTS:
        encoded = tokenizer(text, return_tensors="pt")
        with torch.no_grad():
            results.append((encoded["input_ids"][0], model(**encoded).last_hidden_state[0]))
    return results


def head(folder: Path, name: str) -> torch.nn.Linear:
    """Load a head."""
    stored = torch.load(folder / name, weights_only=True)
    layer = torch.nn.Linear(*reversed(stored["weight"].shape))
    layer.load_state_dict(stored)
    return layer.float()


def dense(folder: Path) -> dict[str, Any]:
    """Compute the vectors of texts."""
    return {"documents": torch.stack([torch.nn.functional.normalize(rows[0], dim=0) for _, rows in states(folder)])}


def sparse(folder: Path) -> dict[str, Any]:
    """Compute the weights of tokens."""
    layer, tokenizer = head(folder, "sparse_linear.pt"), AutoTokenizer.from_pretrained(folder)
    left_out = {tokenizer.convert_tokens_to_ids(getattr(tokenizer, name)) for name in _LEFT_OUT}
    found = []
    for ids, rows in states(folder):
        with torch.no_grad():
            weights = torch.relu(layer(rows))[:, 0].tolist()
        largest: dict[int, float] = {}
        for number, value in zip(ids.tolist(), weights, strict=True):
            if number not in left_out and value > largest.get(number, 0.0):
                largest[number] = value
        found.append(largest)
    return {"documents": found, "queries": found}


def colbert(folder: Path) -> dict[str, Any]:
    """Compute a vector per token."""
    layer = head(folder, "colbert_linear.pt")
    with torch.no_grad():
        found = [torch.nn.functional.normalize(layer(rows[1:]), dim=-1) for _, rows in states(folder)]
    return {"documents": found, "queries": found}


def main() -> None:
    """Make all rows."""
    transformers.logging.set_verbosity_error()
    makers: dict[str, tuple[str, Callable[[Path], dict[str, Any]]]] = {
        "dense": ("cls pooling + Normalize (BGE-M3)", dense),
        "sparse": ("token weights (BGE-M3)", sparse),
        "late_interaction": ("token vectors (BGE-M3)", colbert),
    }
    with tempfile.TemporaryDirectory() as plain, tempfile.TemporaryDirectory() as folder:
        hidden = FAMILIES["xlm-roberta"].save(Path(plain), "Model")
        modules: list[torch.nn.Module] = [Transformer(plain), Pooling(hidden, "cls"), Normalize()]
        SentenceTransformer(modules=modules, device="cpu").save_pretrained(folder, create_model_card=False)
        for name, outputs in (("sparse_linear", 1), ("colbert_linear", _COLBERT_SIZE)):
            torch.save(torch.nn.Linear(hidden, outputs).half().state_dict(), Path(folder, f"{name}.pt"))
        for kind, (described, compute) in makers.items():
            make_row(
                f"bge-m3-{kind}",
                Path(folder),
                compute,
                architecture="xlm-roberta",
                head=described,
                kind=kind,
                library=f"an own reference over transformers {transformers.__version__}",
            )


if __name__ == "__main__":
    main()
