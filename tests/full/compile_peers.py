"""Run by `test_compile` in the environment of the peers: models of a realistic size, saved, and exported by PyTorch.

Usage: ``python -m tests.full.compile_peers FOLDER``; writes ``<name>/`` and ``<name>.onnx`` for each of `MODELS` there.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

_SHAPE = {"hidden_size": 384, "intermediate_size": 1536, "num_hidden_layers": 6, "num_attention_heads": 12}
_DECODER = {**_SHAPE, "intermediate_size": 1152, "num_attention_heads": 6, "num_key_value_heads": 2, "head_dim": 64}
_GATED = {**_SHAPE, "intermediate_size": 1024, "num_attention_heads": 6, "pad_token_id": 0}
_ROBERTA = {**_SHAPE, "pad_token_id": 1, "type_vocab_size": 1, "max_position_embeddings": 514}
_DISTANCES = {**_SHAPE, "relative_attention": True, "pos_att_type": ["c2p", "p2c"], "position_biased_input": False}
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "bert": ("Bert", _SHAPE),
    "electra": ("Electra", {**_SHAPE, "embedding_size": 128}),
    "albert": ("Albert", {**_SHAPE, "embedding_size": 128}),
    "distilbert": ("DistilBert", {"dim": 384, "hidden_dim": 1536, "n_layers": 6, "n_heads": 12}),
    "xlm-roberta": ("XLMRoberta", _ROBERTA),
    "roberta": ("Roberta", _ROBERTA),
    "qwen3": ("Qwen3", _DECODER),
    "gemma3_text": ("Gemma3Text", _DECODER),
    "eurobert": ("EuroBert", {**_DECODER, "pad_token_id": 0}),
    "modernbert": (
        "ModernBert",
        {**_GATED, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2, "local_attention": 128},
    ),
    "nomic_bert": ("NomicBert", _GATED),
    "gte": ("Gte", _GATED),
    "jina_embeddings_v3": ("JinaEmbeddingsV3", {**_GATED, "intermediate_size": 1536}),
    "mpnet": ("MPNet", {**_SHAPE, "pad_token_id": 1, "max_position_embeddings": 514}),
    "deberta": ("Deberta", _DISTANCES),
    "deberta-v3": (
        "DebertaV2",
        {**_DISTANCES, "position_buckets": 256, "norm_rel_ebd": "layer_norm", "share_att_key": True},
    ),
    "t5": ("T5Encoder", {"d_model": 384, "d_kv": 64, "d_ff": 1536, "num_layers": 6, "num_heads": 6}),
}
"""The beginning of the names of each model's classes, and its settings."""


def main(folder: Path) -> None:
    """Write the models.

    Args:
        folder: Where to.
    """
    import torch
    import transformers

    class TokenVectors(torch.nn.Module):  # type: ignore[misc]  # PyTorch is not typed here
        def __init__(self, model: Any) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            return self.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state

    torch.manual_seed(0)
    names = ["input_ids", "attention_mask"]
    ids = torch.randint(5, 1000, (2, 16))
    axes = {0: "batch", 1: "sequence"}
    for name, (classes, settings) in MODELS.items():
        config = getattr(transformers, f"{classes.removesuffix('Encoder')}Config")(vocab_size=30_000, **settings)
        model = getattr(transformers, f"{classes}Model")(config).eval()
        model.save_pretrained(folder / name)
        torch.onnx.export(
            TokenVectors(model),
            (ids, torch.ones_like(ids)),
            str(folder / f"{name}.onnx"),
            input_names=names,
            output_names=["last_hidden_state"],
            dynamic_axes=dict.fromkeys([*names, "last_hidden_state"], axes),
            opset_version=17,
            dynamo=False,
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
