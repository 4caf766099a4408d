"""Makes the rows of encoders with rotary or distance-biased attention and gated feed-forwards.

Run as ``python -m tests.golden.make_rows_glu``, with PyTorch, transformers and sentence-transformers installed.
"""

from __future__ import annotations

import json
import math
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import load_file, save_file
from sentence_transformers import CrossEncoder, SentenceTransformer, SparseEncoder
from sentence_transformers.base.modules import Normalize, Transformer
from sentence_transformers.sentence_transformer.modules import Pooling
from sentence_transformers.sparse_encoder.modules import SpladePooling
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from tests.fixtures.model_rows import TEXTS
from tests.golden.make_rows_bert import (
    _FULL_PRECISION,
    _LIBRARY,
    _SHAPE,
    scores,
    unigrams,
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


_NOMIC_NAMES = (
    (r"^layers\.", "encoder.layers."),
    (r"^embeddings\.LayerNorm", "emb_ln"),
    (r"\.self_attn\.o_proj", ".attn.out_proj"),
    (r"\.self_attn\.qkv_proj", ".attn.Wqkv"),
    (r"\.mlp\.up_proj", ".mlp.fc11"),
    (r"\.mlp\.gate_proj", ".mlp.fc12"),
    (r"\.mlp\.down_proj", ".mlp.fc2"),
    (r"\.post_attention_layernorm", ".norm1"),
    (r"\.post_mlp_layernorm", ".norm2"),
)
_GTE_NAMES = (
    (r"^layers\.", "encoder.layer."),
    (r"\.self_attn\.", ".attention."),
    (r"\.post_attention_layernorm", ".attn_ln"),
    (r"\.post_mlp_layernorm", ".mlp_ln"),
)


def respell(
    folder: Path, names: tuple[tuple[str, str], ...], packed: Mapping[str, tuple[str, ...]], prefix: str
) -> None:
    """Give weights the names that the model's own code gave them; ``packed`` says which lie in one there."""
    path = folder / "model.safetensors"
    tensors = load_file(path)
    for name in list(tensors):
        for whole, parts in packed.items():
            found = re.fullmatch(rf"(.*\.){re.escape(parts[0])}\.(weight|bias)", name)
            if found:
                pieces = [tensors.pop(f"{found[1]}{part}.{found[2]}") for part in parts]
                tensors[f"{found[1]}{whole}.{found[2]}"] = torch.cat(pieces)
    spelled = {}
    for name, tensor in tensors.items():
        for pattern, replacement in names:
            name = re.sub(pattern, replacement, name)
        spelled[prefix + name] = tensor
    save_file(spelled, path, metadata={"format": "pt"})


def published(
    name: str,
    architecture: str,
    model: PreTrainedModel,
    words: PreTrainedTokenizerFast,
    pooling: str,
    *,
    names: tuple[tuple[str, str], ...],
    packed: Mapping[str, tuple[str, ...]],
    config: Config,
    prefix: str = "",
    encode: Callable[[SentenceTransformer], Any] | None = None,
) -> None:
    """Make a row of files as the model's own code wrote them; transformers reads their weights by a table of its own.

    ``config`` is their configuration. ``encode`` gives the values where the library's own differ.
    """
    with tempfile.TemporaryDirectory() as folder:
        save_dense(Path(folder), model, words, pooling)
        native = Path(folder, "config.json").read_text()
        respell(Path(folder), names, packed, prefix)
        Path(folder, "config.json").write_text(json.dumps(config, indent=2))

        def compute(path: Path) -> dict[str, Any]:
            with tempfile.TemporaryDirectory() as other:
                shutil.copytree(path, other, dirs_exist_ok=True)
                Path(other, "config.json").write_text(native)
                loaded = SentenceTransformer(other, device="cpu", model_kwargs=dict(_FULL_PRECISION))
                return {"documents": loaded.encode(list(TEXTS)) if encode is None else encode(loaded)}

        make_row(
            name,
            Path(folder),
            compute,
            architecture=architecture,
            head=f"{pooling} pooling + Normalize",
            kind="dense",
            library=_LIBRARY if encode is None else f"{_LIBRARY}, frequencies by the paper's formula",
        )


def turns(theta: float, size: int) -> torch.Tensor:
    """The frequencies of rotary positions."""
    return 1.0 / theta ** (torch.arange(0, size, 2, dtype=torch.float32) / size)


def nomic_config(**changes: Any) -> transformers.NomicBertConfig:
    """A small NomicBERT of transformers."""
    return transformers.NomicBertConfig(**{**_SHAPE, "intermediate_size": 256, "pad_token_id": 0, **changes})


def nomic_before(**changes: Any) -> Config:
    """The same as its own code spells it."""
    return {
        "activation_function": "swiglu", "architectures": ["NomicBertModel"], "attn_pdrop": 0.0,
        "auto_map": {"AutoModel": "modeling_hf_nomic_bert.NomicBertModel"}, "bos_token_id": None, "causal": False,
        "dense_seq_output": True, "embd_pdrop": 0.0, "eos_token_id": None, "fused_bias_fc": True,
        "fused_dropout_add_ln": True, "initializer_range": 0.02, "layer_norm_epsilon": 1e-12,
        "max_trained_positions": 2048, "mlp_fc1_bias": False, "mlp_fc2_bias": False, "model_type": "nomic_bert",
        "n_embd": 32, "n_head": 4, "n_inner": 200, "n_layer": 2, "n_positions": 128, "pad_vocab_size_multiple": 9,
        "parallel_block": False, "parallel_block_tied_norm": False, "prenorm": False, "qkv_proj_bias": False,
        "reorder_and_upcast_attn": False, "resid_pdrop": 0.0, "rotary_emb_base": 1000, "rotary_emb_fraction": 1.0,
        "rotary_emb_interleaved": False, "rotary_emb_scale_base": None, "rotary_scaling_factor": None,
        "scale_attn_by_inverse_layer_idx": False, "scale_attn_weights": True, "summary_activation": None,
        "summary_first_dropout": 0.0, "summary_proj_to_labels": True, "summary_type": "cls_index",
        "summary_use_proj": True, "torch_dtype": "float32", "transformers_version": "4.37.2", "type_vocab_size": 2,
        "use_cache": True, "use_flash_attn": True, "use_rms_norm": False, "use_xentropy": True, "vocab_size": 175,
        **changes,
    }  # fmt: skip


def stretched(model: SentenceTransformer) -> Any:
    """Encode each text with the frequencies of its own length, beyond 12 tokens slowed down by a factor of 2."""
    rotary = model[0].model.rotary_emb
    found = []
    for text in TEXTS:
        tokens = model.tokenizer(text, truncation=True)["input_ids"]
        growth = max(1.0, 2 * len(tokens) / 12 - 1)
        rotary.inv_freq = turns(1000 * growth ** (8 / 6), 8)
        found.append(model.encode(text))
    return found


def _nomic() -> None:
    name, words = "nomic_bert", word_pieces()
    dense("nomic-bert-mean", name, transformers.NomicBertModel(nomic_config()), words)
    packed = {"self_attn.qkv_proj": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")}
    for label, config, encode in (
        ("before", nomic_before(), None),
        ("stretched", nomic_before(rotary_scaling_factor=2, max_trained_positions=12), stretched),
    ):
        model = transformers.NomicBertModel(nomic_config())
        published(
            f"nomic-bert-{label}",
            name,
            model,
            words,
            "mean",
            names=_NOMIC_NAMES,
            packed=packed,
            config=config,
            encode=encode,
        )
    model = transformers.NomicBertForSequenceClassification(nomic_config(num_labels=1))
    classification("nomic-bert-classification", name, "classification", model, words)
    table = "nomic_bert.embeddings.word_embeddings.weight"
    masked("nomic-bert-masked", name, transformers.NomicBertForMaskedLM(nomic_config()), words, table)


def gte_config(**changes: Any) -> transformers.GteConfig:
    """A small GTE of transformers."""
    return transformers.GteConfig(**{**_SHAPE, "pad_token_id": 1, **changes})


def gte_before(**changes: Any) -> Config:
    """The same as its own code spells it."""
    return {
        "architectures": ["NewModel"], "attention_probs_dropout_prob": 0.0,
        "auto_map": {"AutoModel": "modeling.NewModel"}, "classifier_dropout": 0.1, "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1, "hidden_size": 32, "initializer_range": 0.02, "intermediate_size": 48,
        "layer_norm_eps": 1e-12, "layer_norm_type": "layer_norm", "logn_attention_clip1": False,
        "logn_attention_scale": False, "max_position_embeddings": 128, "model_type": "new", "num_attention_heads": 4,
        "num_hidden_layers": 2, "pack_qkv": True, "pad_token_id": 1, "position_embedding_type": "rope",
        "rope_scaling": {"factor": 8.0, "type": "ntk"}, "rope_theta": 20000, "torch_dtype": "float16",
        "transformers_version": "4.39.1", "type_vocab_size": 1, "unpad_inputs": False,
        "use_memory_efficient_attention": False, "vocab_size": 180, **changes,
    }  # fmt: skip


def scaled(frequencies: torch.Tensor) -> Callable[[SentenceTransformer], Any]:
    """Encode with other frequencies."""

    def encode(model: SentenceTransformer) -> Any:
        model[0].model.rotary_emb.inv_freq = frequencies
        return model.encode(list(TEXTS))

    return encode


def _gte() -> None:
    name, words = "gte", unigrams()
    dense("gte-cls", name, transformers.GteModel(gte_config(type_vocab_size=2)), words, "cls")
    packed = {
        "self_attn.qkv_proj": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
        "mlp.up_gate_proj": ("mlp.up_proj", "mlp.gate_proj"),
    }
    mixed = {"factor": 2.0, "type": "ntk", "mixed_b": 0.75}
    growth = math.log(2) / 4**0.75
    slower = torch.exp(growth * torch.arange(1, 5, dtype=torch.float32) ** 0.75)
    for label, changes, types, frequencies in (
        ("before", {}, 1, turns(160_000, 8) / 8 ** (2 / 8)),
        ("mixed", {"rope_scaling": mixed, "type_vocab_size": 0}, 0, turns(20_000, 8) / slower),
    ):
        model = transformers.GteModel(gte_config(type_vocab_size=types))
        published(
            f"gte-{label}",
            "gte (new)",
            model,
            words,
            "cls",
            names=_GTE_NAMES,
            packed=packed,
            config=gte_before(**changes),
            prefix="new." if label == "before" else "",
            encode=scaled(frequencies),
        )
    classification(
        "gte-classification",
        name,
        "classification",
        transformers.GteForSequenceClassification(gte_config(num_labels=1)),
        words,
    )
    table = "gte.embeddings.word_embeddings.weight"
    masked("gte-masked", name, transformers.GteForMaskedLM(gte_config()), words, table)


def main() -> None:
    """Make all rows."""
    transformers.logging.set_verbosity_error()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    for make in (_modernbert, _nomic, _gte):
        make()


if __name__ == "__main__":
    main()
