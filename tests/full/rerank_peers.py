"""Run by `test_rerank_peers` in the environment of the peers: two models, pairs, and what the peers make of them.

Usage: ``python -m tests.full.rerank_peers FOLDER``; writes a folder for each model, ``pairs.json`` and ``scores.npz``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.texts import as_written, queries
from tests.fixtures.dense_tokenizers import VOCABULARY
from tests.fixtures.rerank_models import PAIRS, Variant, write_variant

MODELS = {
    "bert": Variant("bert", "Xenova/ms-marco-MiniLM-L-6-v2"),
    "roberta": Variant("roberta", "BAAI/bge-reranker-base", pairs="roberta"),
}
LIMIT = 96


def build(name: str) -> Any:
    """Make a small random model.

    Args:
        name: ``"bert"`` with one label, ``"roberta"`` with two.

    Returns:
        The transformers model.
    """
    import torch
    from transformers import BertConfig, BertForSequenceClassification, RobertaConfig, RobertaForSequenceClassification

    torch.manual_seed(len(name))
    sizes = {
        "vocab_size": len(VOCABULARY) + 1,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "max_position_embeddings": LIMIT + 2,
        # Wide enough to tell pairs apart; far wider, and rounding alone separates ONNX Runtime from PyTorch by 2e-5.
        "initializer_range": 0.2,
        "pad_token_id": 0,
        "attn_implementation": "eager",
    }
    if name == "bert":
        return BertForSequenceClassification(BertConfig(**sizes, num_labels=1)).eval()
    return RobertaForSequenceClassification(RobertaConfig(**sizes, type_vocab_size=1, num_labels=2)).eval()


def export(model: Any, path: Path, inputs: list[str]) -> None:
    """Export a model with PyTorch.

    Args:
        model: The transformers model.
        path: The graph; replaced.
        inputs: Names of its inputs.
    """
    import torch

    class Logits(torch.nn.Module):  # type: ignore[misc]  # torch is installed apart from us: a base of no known type
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *tensors: Any) -> Any:
            return self.model(**dict(zip(inputs, tensors, strict=True))).logits

    example = torch.full((2, 8), 5)
    tensors = tuple(
        example * 0 if name == "token_type_ids" else example.clip(max=1 + 4 * (name == "input_ids")) for name in inputs
    )
    torch.onnx.export(
        Logits().eval(),  # the exporter puts the model back into the mode of this wrapper
        tensors,
        str(path),
        input_names=inputs,
        output_names=["logits"],
        dynamic_axes={**{name: {0: "batch", 1: "tokens"} for name in inputs}, "logits": {0: "batch"}},
        opset_version=17,
        dynamo=False,
    )


def logits(model: Any, folder: Path, pairs: list[tuple[str, str]], inputs: list[str]) -> np.ndarray:
    """Run transformers, tokenizer included, one pair at a time.

    Args:
        model: The transformers model.
        folder: Its folder.
        pairs: The pairs.
        inputs: What the model takes.

    Returns:
        (pairs, labels).
    """
    import torch
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"), pad_token="[PAD]")
    rows = []
    for pair in pairs:
        # In lists, since a second text alone that is empty counts as none.
        first, second = [pair[0]], [pair[1]]
        encoded = tokenizer(
            first,
            second,
            truncation="longest_first",
            max_length=LIMIT,
            return_tensors="pt",
            return_token_type_ids=True,
        )
        with torch.no_grad():
            rows.append(model(**{name: encoded[name] for name in inputs}).logits[0].numpy())
    return np.stack(rows)


def main(folder: Path) -> None:
    """Write everything.

    Args:
        folder: Where to.
    """
    from fastembed.rerank.cross_encoder import TextCrossEncoder

    pairs = [*PAIRS, *((query, text) for query in queries(3) for text in as_written(40))]
    scores: dict[str, Any] = {}
    for name, one in MODELS.items():
        inputs = ["input_ids", "attention_mask", *(["token_type_ids"] if name == "bert" else [])]
        place = write_variant(folder / name, one)
        config = json.loads((place / "tokenizer_config.json").read_text(encoding="utf-8"))
        (place / "tokenizer_config.json").write_text(json.dumps(config | {"model_max_length": LIMIT}), encoding="utf-8")
        model = build(name)
        export(model, place / one.model_file, inputs)
        scores[f"transformers_{name}"] = logits(model, place, pairs, inputs)
    # fastembed gives the first of two labels, so only the model with one label can be compared with it.
    peer = TextCrossEncoder(MODELS["bert"].model, specific_model_path=str(folder / "bert"), cuda=False)
    scores["fastembed_bert"] = np.array(list(peer.rerank_pairs(pairs, batch_size=16)))
    (folder / "pairs.json").write_text(json.dumps(pairs), encoding="utf-8")
    np.savez(folder / "scores.npz", **scores)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
