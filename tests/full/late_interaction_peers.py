"""Run by `test_late_interaction_peers` in the environment of the peers: a plain ColBERT in PyTorch, and fastembed.

Usage: ``python -m tests.full.late_interaction_peers FOLDER``. Writes two model folders there, ``colbert`` (a graph that
ends with the projection, as ColBERTv2 is published) and ``pylate`` (weights, a linear layer and PyLate's metadata), and
``vectors.npz`` with what PyTorch makes of the texts one by one, and fastembed of those of the first. The tokenizer is
BERT's own.
"""

from __future__ import annotations

import json
import shutil
import string
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from transformers import AutoTokenizer, BertConfig, BertModel

from benchmarks.texts import as_written, queries
from tests.golden.make_dense import minilm_folder

NAME = "colbert-ir/colbertv2.0"
LIMIT, DIM = 128, 24
PYLATE_QUERY, PYLATE_DOCUMENT = 24, 64


class PlainColbert(torch.nn.Module):  # type: ignore[misc]  # torch is installed apart from us: a base of no known type
    """BERT and a linear layer."""

    def __init__(self, seed: int, vocabulary: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        sizes = {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 96}
        config = BertConfig(vocab_size=vocabulary, initializer_range=0.3, attn_implementation="eager", **sizes)
        self.bert = BertModel(config, add_pooling_layer=False)
        self.linear = torch.nn.Linear(48, DIM, bias=False)
        self.eval()

    def forward(self, input_ids: Any, attention_mask: Any) -> Any:
        """Give the projected states."""
        return self.linear(self.bert(input_ids, attention_mask=attention_mask).last_hidden_state)


@torch.no_grad()  # type: ignore[untyped-decorator]  # torch is installed apart from us
def encode(
    model: PlainColbert,
    tokenizer: Any,
    text: str,
    *,
    marker: int,
    limit: int,
    fill: int = 0,
    unit: bool = True,
    skipped: frozenset[int] = frozenset(),
) -> np.ndarray:
    """Encode one text as the ColBERT paper and PyLate describe it.

    Args:
        model: The model.
        tokenizer: BERT's tokenizer.
        text: The text.
        marker: Id put after the first token.
        limit: Length it is cut to, the marker included.
        fill: Length it is filled to with mask tokens that are not attended to.
        unit: Whether rows are scaled to length 1.
        skipped: Ids whose rows are left out.

    Returns:
        (tokens, dim) float32.
    """
    ids = tokenizer(text, truncation=True, max_length=limit - 1)["input_ids"]
    ids = [ids[0], marker, *ids[1:]]
    missing = max(0, fill - len(ids))
    mask = torch.tensor([[1] * len(ids) + [0] * missing])
    ids += [tokenizer.mask_token_id] * missing
    rows = model(torch.tensor([ids]), mask)[0][[number not in skipped for number in ids]]
    return np.asarray(torch.nn.functional.normalize(rows, dim=1) if unit else rows)


def copy_tokenizer(folder: Path) -> Any:
    """Put BERT's tokenizer into a folder."""
    folder.mkdir()
    source = minilm_folder()
    for name in ("tokenizer.json", "special_tokens_map.json"):
        shutil.copy(source / name, folder / name)
    config = json.loads((source / "tokenizer_config.json").read_text(encoding="utf-8"))
    config |= {"model_max_length": LIMIT, "max_length": LIMIT}
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    return AutoTokenizer.from_pretrained(folder)


def write_colbert(folder: Path) -> tuple[PlainColbert, Any]:
    """Write the folder of a ColBERTv2: one graph."""
    tokenizer = copy_tokenizer(folder)
    model = PlainColbert(1, len(tokenizer))
    names = ["input_ids", "attention_mask"]
    example = torch.ones(2, 8, dtype=torch.long)
    torch.onnx.export(
        model,
        (example, example),
        str(folder / "model.onnx"),
        input_names=names,
        output_names=["contextual"],
        dynamic_axes={name: {0: "batch", 1: "tokens"} for name in [*names, "contextual"]},
        opset_version=17,
        dynamo=False,
    )
    (folder / "config.json").write_text(json.dumps({"model_type": "bert", "pad_token_id": 0}), encoding="utf-8")
    return model, tokenizer


def write_pylate(folder: Path) -> tuple[PlainColbert, Any]:
    """Write the folder of a PyLate model: weights, a linear layer, metadata."""
    tokenizer = copy_tokenizer(folder)
    tokenizer.add_tokens(["[Q] ", "[D] "])
    tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"))
    model = PlainColbert(2, len(tokenizer))
    save_file(
        {name: value.contiguous() for name, value in model.bert.state_dict().items()}, folder / "model.safetensors"
    )
    config = model.bert.config.to_dict() | {"architectures": ["BertModel"]}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "1_Dense").mkdir()
    save_file({"linear.weight": model.linear.weight.detach()}, folder / "1_Dense" / "model.safetensors")
    identity = "torch.nn.modules.linear.Identity"
    layer = {"in_features": 48, "out_features": DIM, "bias": False, "activation_function": identity}
    (folder / "1_Dense" / "config.json").write_text(json.dumps(layer), encoding="utf-8")
    stages = [("sentence_transformers.models.Transformer", ""), ("pylate.models.Dense.Dense", "1_Dense")]
    modules = [{"idx": n, "name": str(n), "path": path, "type": kind} for n, (kind, path) in enumerate(stages)]
    (folder / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
    metadata = {
        "query_prefix": "[Q] ",
        "document_prefix": "[D] ",
        "query_length": PYLATE_QUERY,
        "document_length": PYLATE_DOCUMENT,
        "attend_to_expansion_tokens": False,
        "skiplist_words": list(string.punctuation),
    }
    (folder / "config_sentence_transformers.json").write_text(json.dumps(metadata), encoding="utf-8")
    return model, tokenizer


def main(folder: Path) -> None:
    """Write all.

    Args:
        folder: Where to.
    """
    from fastembed import LateInteractionTextEmbedding

    documents = [*as_written(40), ""]
    asked = [*queries(20), "", queries(1, words=60)[0]]
    (folder / "texts.json").write_text(json.dumps({"documents": documents, "queries": asked}), encoding="utf-8")
    found: dict[str, Any] = {}
    model, tokenizer = write_colbert(folder / "colbert")
    skipped = frozenset(tokenizer.convert_tokens_to_ids(list(string.punctuation)))
    for number, text in enumerate(documents):
        found[f"colbert_documents_{number}"] = encode(model, tokenizer, text, marker=2, limit=LIMIT, skipped=skipped)
    for number, text in enumerate(asked):
        found[f"colbert_queries_{number}"] = encode(model, tokenizer, text, marker=1, limit=LIMIT, fill=32, unit=False)
    peer = LateInteractionTextEmbedding(NAME, specific_model_path=str(folder / "colbert"), cuda=False)
    found |= {f"fastembed_documents_{n}": rows for n, rows in enumerate(peer.embed(documents, batch_size=4))}
    found |= {f"fastembed_queries_{n}": rows for n, rows in enumerate(peer.query_embed(asked))}
    model, tokenizer = write_pylate(folder / "pylate")
    query, document = tokenizer.convert_tokens_to_ids(["[Q] ", "[D] "])
    for number, text in enumerate(documents):
        found[f"pylate_documents_{number}"] = encode(
            model, tokenizer, text, marker=document, limit=PYLATE_DOCUMENT, skipped=skipped
        )
    for number, text in enumerate(asked):
        found[f"pylate_queries_{number}"] = encode(
            model, tokenizer, text, marker=query, limit=PYLATE_QUERY, fill=PYLATE_QUERY
        )
    np.savez(folder / "vectors.npz", **found)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
