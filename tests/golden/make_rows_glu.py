"""Makes the rows of encoders with rotary or distance-biased attention and gated feed-forwards.

Run as ``python -m tests.golden.make_rows_glu``, with PyTorch, transformers and sentence-transformers installed.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from sentence_transformers import CrossEncoder, SentenceTransformer, SparseEncoder
from sentence_transformers.base.modules import Normalize, Transformer
from sentence_transformers.sentence_transformer.modules import Pooling
from sentence_transformers.sparse_encoder.modules import SpladePooling
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from tests.golden.make_rows_bert import (
    _FULL_PRECISION,
    _LIBRARY,
    _SHAPE,
    scores,
    vectors,
    weights_of_terms,
    word_pieces,
)
from tests.golden.row_maker import make_row

Config = dict[str, Any]
Change = Callable[[Config], None]


def save_dense(folder: Path, model: PreTrainedModel, words: PreTrainedTokenizerFast, pooling: str) -> None:
    """Save a model whose token vectors are pooled and normalized, as sentence-transformers does."""
    with tempfile.TemporaryDirectory() as plain:
        model.save_pretrained(plain)
        words.save_pretrained(plain)
        transformer = Transformer(plain, model_kwargs=dict(_FULL_PRECISION))
        modules = [transformer, Pooling(model.config.hidden_size, pooling), Normalize()]
        SentenceTransformer(modules=modules, device="cpu").save_pretrained(str(folder), create_model_card=False)


def dense(
    name: str,
    architecture: str,
    model: PreTrainedModel,
    words: PreTrainedTokenizerFast,
    pooling: str = "mean",
    *,
    config: Change | None = None,
) -> None:
    """Make a row of a model that gives vectors; ``config`` changes its configuration once it is saved."""
    with tempfile.TemporaryDirectory() as folder:
        save_dense(Path(folder), model, words, pooling)
        if config is not None:
            edit(Path(folder), config)
        make_row(
            name,
            Path(folder),
            vectors,
            architecture=architecture,
            head=f"{pooling} pooling + Normalize",
            kind="dense",
            library=_LIBRARY,
        )


def classification(
    name: str, architecture: str, head: str, model: PreTrainedModel, words: PreTrainedTokenizerFast
) -> None:
    """Make a row of a cross-encoder."""
    with tempfile.TemporaryDirectory() as plain, tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(plain)
        words.save_pretrained(plain)
        encoder = CrossEncoder(plain, device="cpu", model_kwargs=dict(_FULL_PRECISION))
        encoder.save_pretrained(folder, create_model_card=False)
        make_row(name, Path(folder), scores, architecture=architecture, head=head, kind="rerank", library=_LIBRARY)


def masked(name: str, architecture: str, model: PreTrainedModel, words: PreTrainedTokenizerFast, table: str) -> None:
    """Make a row of a SPLADE; ``table`` is the name of its word vectors."""
    with tempfile.TemporaryDirectory() as plain, tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(plain)
        words.save_pretrained(plain)
        transformer = Transformer(plain, transformer_task="fill-mask", model_kwargs=dict(_FULL_PRECISION))
        encoder = SparseEncoder(modules=[transformer, SpladePooling("max")], device="cpu")
        encoder.save_pretrained(folder, create_model_card=False)
        make_row(
            name,
            Path(folder),
            weights_of_terms,
            architecture=architecture,
            head="masked LM (SPLADE)",
            kind="sparse",
            library=_LIBRARY,
            scales={table: 0.125},
        )


def edit(folder: Path, change: Change) -> None:
    """Change the configuration that was saved."""
    path = folder / "config.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content, indent=2))


def modernbert_config(**changes: Any) -> transformers.ModernBertConfig:
    """A window of four tokens on each side, which most of the texts exceed; the first layer sees all."""
    ids = {"pad_token_id": 0, "bos_token_id": None, "eos_token_id": None, "cls_token_id": None, "sep_token_id": None}
    return transformers.ModernBertConfig(**{**_SHAPE, **ids, "num_hidden_layers": 3, "local_attention": 8, **changes})


def modernbert_before(config: Config) -> None:
    """Spell a configuration as transformers 4 and the model's first files do."""
    config.pop("layer_types")
    parameters = config.pop("rope_parameters")
    config["global_attn_every_n_layers"] = 2
    config["global_rope_theta"] = parameters["full_attention"]["rope_theta"]
    config["local_rope_theta"] = parameters["sliding_attention"]["rope_theta"]
    config |= {"position_embedding_type": "absolute", "layer_norm_eps": 1e-5, "reference_compile": True}
    config["torch_dtype"] = config.pop("dtype")


def _modernbert() -> None:
    name = "modernbert"
    words = word_pieces()
    dense(f"{name}-mean", name, transformers.ModernBertModel(modernbert_config()), words)
    thetas = {"full_attention": {"rope_theta": 900.0}, "sliding_attention": {"rope_theta": 70.0}}
    for parameters in thetas.values():
        parameters["rope_type"] = "default"  # type: ignore[assignment]
    mixed = ["full_attention", "sliding_attention", "full_attention"]
    other = {"attention_bias": True, "mlp_bias": True, "norm_bias": True, "hidden_activation": "silu"}
    dense(
        f"{name}-cls-before",
        name,
        transformers.ModernBertModel(modernbert_config(layer_types=mixed, rope_parameters=thetas, **other)),
        words,
        "cls",
        config=modernbert_before,
    )
    for pooling in ("cls", "mean"):
        config = modernbert_config(num_labels=1, classifier_pooling=pooling, classifier_bias=pooling == "mean")
        model = transformers.ModernBertForSequenceClassification(config)
        classification(f"{name}-classification-{pooling}", name, f"classification ({pooling})", model, words)
    table = "model.embeddings.tok_embeddings.weight"
    masked(f"{name}-masked", name, transformers.ModernBertForMaskedLM(modernbert_config()), words, table)


def main() -> None:
    """Make all rows."""
    transformers.logging.set_verbosity_error()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    _modernbert()


if __name__ == "__main__":
    main()
