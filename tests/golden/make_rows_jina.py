"""Makes the rows of Jina's encoders, which transformers does not have as they were published.

JinaBERT's values are computed here, in plain PyTorch. Those of Jina embeddings v3 come from transformers, for whose
class the adapters of a task are added to the weights.

Run as ``python -m tests.golden.make_rows_jina``, with PyTorch, transformers and sentence-transformers installed.
"""

from __future__ import annotations

import json
import math
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from torch.nn import functional
from transformers import AutoTokenizer

from tests.fixtures.model_rows import QUERY, TEXTS
from tests.golden.make_rows_bert import _FULL_PRECISION, _LIBRARY, _SHAPE, unigrams, word_pieces
from tests.golden.make_rows_glu import classification, dense, masked, respell, save_dense
from tests.golden.row_maker import make_row

Tensors = Mapping[str, torch.Tensor]
_PLAIN = f"plain PyTorch {torch.__version__.split('+')[0]}"
_TASKS = ("retrieval.query", "retrieval.passage", "separation")
_RANK = 3


def jina_bert_config(**changes: Any) -> dict[str, Any]:
    """A small JinaBERT, as its own code spells it."""
    return {
        "_name_or_path": "jinaai/jina-bert-implementation", "architectures": ["JinaBertForMaskedLM"],
        "attention_probs_dropout_prob": 0.0, "auto_map": {"AutoModel": "modeling_bert.JinaBertModel"},
        "classifier_dropout": None, "emb_pooler": "mean", "feed_forward_type": "geglu",
        "gradient_checkpointing": False, "hidden_act": "gelu", "hidden_dropout_prob": 0.1, "hidden_size": 32,
        "initializer_range": 0.02, "intermediate_size": 48, "layer_norm_eps": 1e-12, "max_position_embeddings": 140,
        "model_max_length": 128, "model_type": "bert", "num_attention_heads": 4, "num_hidden_layers": 2,
        "pad_token_id": 0, "position_embedding_type": "alibi", "torch_dtype": "float16",
        "transformers_version": "4.26.0", "type_vocab_size": 2, "use_cache": True, "vocab_size": 180, **changes,
    }  # fmt: skip


def jina_bert_weights(config: Mapping[str, Any], prefix: str, *, for_code: bool) -> dict[str, torch.Tensor]:
    """Name all weights of a JinaBERT, in the shapes of its configuration."""
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (config["vocab_size"], hidden),
        "embeddings.token_type_embeddings.weight": (2, hidden),
        "pooler.dense.weight": (hidden, hidden),
        "pooler.dense.bias": (hidden,),
    }
    norms = ["embeddings.LayerNorm"]
    for number in range(config["num_hidden_layers"]):
        layer = f"encoder.layer.{number}"
        for name in ("self.query", "self.key", "self.value", "output.dense"):
            shapes |= {
                f"{layer}.attention.{name}.weight": (hidden, hidden),
                f"{layer}.attention.{name}.bias": (hidden,),
            }
        wide, narrow = ("up_gated_layer", "down_layer") if for_code else ("gated_layers", "wo")
        shapes[f"{layer}.mlp.{wide}.weight"] = (2 * inner, hidden)
        shapes |= {f"{layer}.mlp.{narrow}.weight": (hidden, inner), f"{layer}.mlp.{narrow}.bias": (hidden,)}
        norms += [f"{layer}.attention.output.LayerNorm"]
        if for_code:
            norms += [f"{layer}.attention.self.layer_norm_{part}" for part in "qk"]
            norms += [f"{layer}.layer_norm_{number}" for number in (1, 2)]
        else:
            norms += [f"{layer}.mlp.layernorm"]
    for norm in norms:
        shapes |= {f"{norm}.weight": (hidden,), f"{norm}.bias": (hidden,)}
    return {prefix + name: torch.zeros(shape) for name, shape in shapes.items()}


def slopes(heads: int) -> list[float]:
    """The slopes of ALiBi's reference code, which starts from the ratio of a power of two."""
    power = 2 ** math.floor(math.log2(heads))
    ratio = 2 ** (-(2 ** -(math.log2(power) - 3)))
    first = [ratio * ratio**place for place in range(power)]
    return first if power == heads else first + slopes(2 * power)[0::2][: heads - power]


def jina_bert(tensors: Tensors, config: Mapping[str, Any], ids: list[int], types: list[int]) -> torch.Tensor:
    """Compute the token vectors of one text (tokens, hidden)."""
    epsilon, heads, hidden = config["layer_norm_eps"], config["num_attention_heads"], config["hidden_size"]
    gate = {"geglu": functional.gelu, "reglu": functional.relu}[config["feed_forward_type"]]

    def norm(name: str, value: torch.Tensor) -> torch.Tensor:
        return functional.layer_norm(value, (hidden,), tensors[f"{name}.weight"], tensors[f"{name}.bias"], epsilon)

    def line(name: str, value: torch.Tensor) -> torch.Tensor:
        return functional.linear(value, tensors[f"{name}.weight"], tensors.get(f"{name}.bias"))

    words = tensors["embeddings.word_embeddings.weight"][ids]
    value = norm("embeddings.LayerNorm", words + tensors["embeddings.token_type_embeddings.weight"][types])
    places = torch.arange(len(ids))
    distance = (places[None] - places[:, None]).abs()
    bias = -torch.tensor(slopes(heads))[:, None, None] * distance
    for number in range(config["num_hidden_layers"]):
        layer = f"encoder.layer.{number}"
        for_code = f"{layer}.layer_norm_1.weight" in tensors
        query, key, content = (line(f"{layer}.attention.self.{name}", value) for name in ("query", "key", "value"))
        if for_code:
            query = norm(f"{layer}.attention.self.layer_norm_q", query)
            key = norm(f"{layer}.attention.self.layer_norm_k", key)
        query, key, content = (part.view(len(ids), heads, -1).transpose(0, 1) for part in (query, key, content))
        scores = query @ key.transpose(1, 2) / math.sqrt(hidden // heads) + bias
        context = (scores.softmax(-1) @ content).transpose(0, 1).reshape(len(ids), hidden)
        attended = norm(f"{layer}.attention.output.LayerNorm", line(f"{layer}.attention.output.dense", context) + value)
        if for_code:
            value = norm(f"{layer}.layer_norm_1", attended + value)
            up, opened = line(f"{layer}.mlp.up_gated_layer", value).chunk(2, -1)
            value = norm(f"{layer}.layer_norm_2", line(f"{layer}.mlp.down_layer", up * gate(opened)) + value)
        else:
            opened, up = line(f"{layer}.mlp.gated_layers", attended).chunk(2, -1)
            value = norm(f"{layer}.mlp.layernorm", line(f"{layer}.mlp.wo", gate(opened) * up) + attended)
    return value


def jina_bert_vectors(folder: Path) -> dict[str, Any]:
    """Compute the vectors of the texts, the mean of their tokens' scaled to length 1."""
    config = json.loads((folder / "config.json").read_text())
    tensors = {name.removeprefix("bert."): tensor for name, tensor in load_file(folder / "model.safetensors").items()}
    tokens = AutoTokenizer.from_pretrained(folder)
    found = []
    for text in TEXTS:
        ids = tokens(text, truncation=True, max_length=128)["input_ids"]
        found.append(functional.normalize(jina_bert(tensors, config, ids, [0] * len(ids)).mean(0), dim=0))
    return {"documents": torch.stack(found).numpy()}


def jina_bert_scores(folder: Path) -> dict[str, Any]:
    """Compute the scores of the texts, the sigmoid of one logit."""
    config = json.loads((folder / "config.json").read_text())
    tensors = {name.removeprefix("bert."): tensor for name, tensor in load_file(folder / "model.safetensors").items()}
    tokens = AutoTokenizer.from_pretrained(folder)
    found = []
    for text in TEXTS:
        encoded = tokens([QUERY], [text], truncation=True, max_length=128)
        first = jina_bert(tensors, config, encoded["input_ids"][0], encoded["token_type_ids"][0])[0]
        pooled = torch.tanh(functional.linear(first, tensors["pooler.dense.weight"], tensors["pooler.dense.bias"]))
        logit = functional.linear(pooled, tensors["classifier.weight"], tensors["classifier.bias"])
        found.append(torch.sigmoid(logit)[0])
    return {"scores": torch.stack(found).numpy()}


def save_jina_bert(folder: Path, config: dict[str, Any], prefix: str, *, for_code: bool) -> None:
    """Save a JinaBERT where the files of a BERT of its size are."""
    (folder / "config.json").write_text(json.dumps(config, indent=2))
    save_file(
        jina_bert_weights(config, prefix, for_code=for_code), folder / "model.safetensors", metadata={"format": "pt"}
    )


def _jina_bert() -> None:
    for name, for_code, prefix, changes in (
        ("jina-bert-mean", False, "", {}),
        ("jina-bert-reglu", False, "bert.", {"feed_forward_type": "reglu", "architectures": ["BertModel"]}),
        ("jina-bert-code", True, "bert.", {"num_attention_heads": 6, "hidden_size": 36}),
    ):
        config = jina_bert_config(**changes)
        shape = {key: config[key] for key in ("hidden_size", "num_attention_heads")}
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder)
            bert = transformers.BertModel(transformers.BertConfig(**{**_SHAPE, **shape}))
            save_dense(path, bert, word_pieces(), "mean")
            save_jina_bert(path, config, prefix, for_code=for_code)
            make_row(
                name,
                path,
                jina_bert_vectors,
                architecture="jina-bert" + (" (code)" if for_code else ""),
                head="mean pooling + Normalize",
                kind="dense",
                library=_PLAIN,
            )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        word_pieces().save_pretrained(path)
        config = jina_bert_config(architectures=["JinaBertForSequenceClassification"], id2label={"0": "LABEL_0"})
        save_jina_bert(path, config, "bert.", for_code=False)
        tensors = load_file(path / "model.safetensors")
        tensors |= {"classifier.weight": torch.zeros(1, 32), "classifier.bias": torch.zeros(1)}
        save_file(tensors, path / "model.safetensors", metadata={"format": "pt"})
        make_row(
            "jina-bert-classification",
            path,
            jina_bert_scores,
            architecture="jina-bert",
            head="classification",
            kind="rerank",
            library=_PLAIN,
        )


def jina_v3_config(**changes: Any) -> transformers.JinaEmbeddingsV3Config:
    """A small Jina embeddings v3 of transformers."""
    ids = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
    return transformers.JinaEmbeddingsV3Config(**{**_SHAPE, **ids, **changes})


def jina_v3_before(**changes: Any) -> dict[str, Any]:
    """The same as its own code spells it, with adapters."""
    return {
        "architectures": ["XLMRobertaModel"], "attention_probs_dropout_prob": 0.1,
        "auto_map": {"AutoModel": "jinaai/xlm-roberta-flash-implementation--modeling_lora.XLMRobertaLoRA"},
        "bos_token_id": 0, "classifier_dropout": None, "emb_pooler": None, "eos_token_id": 2, "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1, "hidden_size": 32, "initializer_range": 0.02, "intermediate_size": 48,
        "layer_norm_eps": 1e-05, "load_trained_adapters": True, "lora_adaptations": list(_TASKS), "lora_alpha": 2,
        "lora_dropout_p": 0.0, "lora_main_params_trainable": False, "lora_rank": _RANK,
        "matryoshka_dimensions": [8, 16, 32], "max_position_embeddings": 140, "model_type": "xlm-roberta",
        "num_attention_heads": 4, "num_hidden_layers": 2, "output_past": True, "pad_token_id": 1,
        "position_embedding_type": "rotary", "rotary_emb_base": 20000.0,
        "task_instructions": {task: f"{task}: " for task in _TASKS}, "torch_dtype": "bfloat16",
        "transformers_version": "4.30.2", "truncate_dim": None, "type_vocab_size": 1, "use_cache": True,
        "use_flash_attn": True, "use_reg_tokens": False, "vocab_size": 180, **changes,
    }  # fmt: skip


_JINA_NAMES = (
    (r"^layers\.", "encoder.layers."),
    (r"^embeddings\.LayerNorm", "emb_ln"),
    (r"\.self_attn\.o_proj", ".mixer.out_proj"),
    (r"\.self_attn\.qkv_proj", ".mixer.Wqkv"),
    (r"\.post_attention_layernorm", ".norm1"),
    (r"\.post_mlp_layernorm", ".norm2"),
)
_ORIGINAL, _ADAPTER = ".parametrizations.weight.original", ".parametrizations.weight.0.lora_"


def add_adapters(path: Path) -> None:
    """Put adapters beside every matrix and table of a file."""
    tensors = {}
    for name, tensor in load_file(path).items():
        if tensor.ndim < 2:
            tensors[name] = tensor
            continue
        stem, (rows, columns) = name.removesuffix(".weight"), tensor.shape
        table, count = "embeddings" in name, len(_TASKS)
        tensors[stem + _ORIGINAL] = tensor
        tensors[f"{stem}{_ADAPTER}A"] = torch.zeros((count, rows, _RANK) if table else (count, _RANK, columns))
        tensors[f"{stem}{_ADAPTER}B"] = torch.zeros((count, _RANK, columns) if table else (count, rows, _RANK))
    save_file(tensors, path, metadata={"format": "pt"})


def adapted(task: int | None) -> Callable[[Path], dict[str, Any]]:
    """Compute with the adapters of a task added to the weights; ``None`` for none of them."""

    def compute(folder: Path) -> dict[str, Any]:
        tensors = load_file(folder / "model.safetensors")
        plain = {}
        for name, tensor in tensors.items():
            if _ADAPTER in name:
                continue
            stem, found = name.removesuffix(_ORIGINAL), tensor
            if stem != name and task is not None:
                down, up = (tensors[f"{stem}{_ADAPTER}{letter}"][task] for letter in "AB")
                found = tensor + (down @ up if "embeddings" in name else up @ down) * (2 / _RANK)
            plain[name if stem == name else f"{stem}.weight"] = found
        with tempfile.TemporaryDirectory() as other:
            shutil.copytree(folder, other, dirs_exist_ok=True)
            save_file(plain, Path(other, "model.safetensors"), metadata={"format": "pt"})
            jina_v3_config(architectures=["JinaEmbeddingsV3Model"]).save_pretrained(other)
            model = SentenceTransformer(other, device="cpu", model_kwargs=dict(_FULL_PRECISION))
            return {"documents": model.encode(list(TEXTS))}

    return compute


def _jina_v3() -> None:
    name, words = "jina_embeddings_v3", unigrams()
    dense("jina-v3-mean", name, transformers.JinaEmbeddingsV3Model(jina_v3_config()), words)
    classification(
        "jina-v3-classification",
        name,
        "classification",
        transformers.JinaEmbeddingsV3ForSequenceClassification(jina_v3_config(num_labels=1)),
        words,
    )
    table = "roberta.embeddings.word_embeddings.weight"
    masked("jina-v3-masked", name, transformers.JinaEmbeddingsV3ForMaskedLM(jina_v3_config()), words, table)
    packed = {"self_attn.qkv_proj": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")}
    for task, options in ((None, {}), (1, {"task_id": "retrieval.passage"})):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder)
            save_dense(path, transformers.JinaEmbeddingsV3Model(jina_v3_config()), words, "mean")
            respell(path, _JINA_NAMES, packed, "roberta.")
            add_adapters(path / "model.safetensors")
            (path / "config.json").write_text(json.dumps(jina_v3_before(), indent=2))
            make_row(
                f"jina-v3-{'no-task' if task is None else 'task'}",
                path,
                adapted(task),
                architecture="jina_embeddings_v3 (xlm-roberta)",
                head=f"mean pooling + Normalize, {'no task' if task is None else 'adapters of a task'}",
                kind="dense",
                library=f"{_LIBRARY}, adapters added to the weights",
                options=options,
            )


def main() -> None:
    """Make all rows."""
    transformers.logging.set_verbosity_error()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    _jina_bert()
    _jina_v3()


if __name__ == "__main__":
    main()
