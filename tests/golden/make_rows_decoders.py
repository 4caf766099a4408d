"""Makes the rows of decoders, and of EuroBERT, which is made like one.

Run as ``python -m tests.golden.make_rows_decoders``, with PyTorch, transformers and sentence-transformers installed.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import sentence_transformers
import torch
import transformers
from sentence_transformers import CrossEncoder, SentenceTransformer, SparseEncoder
from sentence_transformers.base.modules import Dense, Normalize, Transformer
from sentence_transformers.sentence_transformer.modules import Pooling
from sentence_transformers.sparse_encoder.modules import SpladePooling
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from tests.fixtures.model_rows import QUERY, TEXTS
from tests.golden.row_maker import make_row

_VOCABULARY = 320
_SHAPE = {
    "vocab_size": _VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 40,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
}
_TERMS = 24
_SPECIAL = ("<|end|>", "<|start|>", "<|pad|>")
_LIBRARY = f"sentence-transformers {sentence_transformers.__version__}"
_FULL_PRECISION = {"dtype": torch.float32}
_WORDS = ["yes", "no"]
# In the way of Qwen3-Reranker: the instruction is the system's message, or stands in the template.
_CHAT = """\
{%- set instruction = messages | selectattr("role", "eq", "system") | map(attribute="content") | first \
| default("find what answers the query", true) -%}
{%- set query = messages | selectattr("role", "eq", "query") | map(attribute="content") | first -%}
{%- set document = messages | selectattr("role", "eq", "document") | map(attribute="content") | first -%}
<|start|>system
Does the document answer the query? Say "yes" or "no".<|end|>
<|start|>user
<Instruct>: {{ instruction }}
<Query>: {{ query }}
<Document>: {{ document }}<|end|>
<|start|>assistant
"""

Compute = Callable[[Path], Mapping[str, Any]]


def tokenizer(template: str, pad: str, side: str = "right") -> PreTrainedTokenizerFast:
    """Train a tokenizer on bytes; ``template`` says which special tokens stand around a text."""
    built = Tokenizer(models.BPE())
    built.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    built.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=_VOCABULARY,
        special_tokens=[AddedToken(token, special=True) for token in _SPECIAL],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    built.train_from_iterator([*TEXTS, QUERY, *_WORDS * 50], trainer)
    ids = [(token, built.token_to_id(token)) for token in _SPECIAL]
    built.post_processor = processors.TemplateProcessing(
        single=template, pair=f"{template} {template.replace('$A', '$B')}", special_tokens=ids
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=built, pad_token=pad, eos_token=_SPECIAL[0], bos_token=_SPECIAL[1], padding_side=side
    )


def save_vectors(
    folder: Path,
    model: PreTrainedModel,
    words: PreTrainedTokenizerFast,
    pooling: str,
    *,
    dense: int = 0,
    prompts: Mapping[str, str] | None = None,
    **saving: Any,
) -> None:
    """Save a model as sentence-transformers does: pooled, through Dense layers if there are any, normalized."""
    with tempfile.TemporaryDirectory() as plain:
        model.save_pretrained(plain)
        words.save_pretrained(plain)
        transformer = Transformer(plain, model_kwargs=dict(_FULL_PRECISION))
    modules: list[torch.nn.Module] = [transformer, Pooling(model.config.hidden_size, pooling)]
    size = model.config.hidden_size
    for wide in (2 * dense, dense) if dense else ():
        modules.append(Dense(size, wide, bias=False, activation_function=torch.nn.Identity()))
        size = wide
    SentenceTransformer(
        modules=[*modules, Normalize()], device="cpu", prompts=None if prompts is None else dict(prompts)
    ).save_pretrained(str(folder), create_model_card=False)
    if saving:
        for path in folder.glob("model*.safetensors*"):
            path.unlink()
        model.to(saving.pop("dtype", torch.float32)).save_pretrained(folder, **saving)


def vectors(folder: Path) -> dict[str, Any]:
    """Compute vectors with sentence-transformers, in full precision."""
    model = SentenceTransformer(str(folder), device="cpu", model_kwargs=dict(_FULL_PRECISION))
    values = {"documents": model.encode(list(TEXTS)), "queries": model.encode_query(list(TEXTS))}
    return values | ({"passages": model.encode_document(list(TEXTS))} if model.prompts.get("document") else {})


def scores(folder: Path) -> dict[str, Any]:
    """Compute scores with sentence-transformers, in full precision."""
    model = CrossEncoder(str(folder), device="cpu", model_kwargs=dict(_FULL_PRECISION))
    return {"scores": model.predict([(QUERY, text) for text in TEXTS])}


def weights_of_terms(folder: Path) -> dict[str, Any]:
    """Compute the weights of each text's terms with sentence-transformers, in full precision."""
    model = SparseEncoder(str(folder), device="cpu", model_kwargs=dict(_FULL_PRECISION))
    rows = model.encode(list(TEXTS), convert_to_sparse_tensor=False)
    return {"documents": [{str(place): float(row[place]) for place in row.nonzero().ravel().tolist()} for row in rows]}


def edit(folder: Path, name: str, change: Callable[[dict[str, Any]], None]) -> None:
    """Change a JSON file that was saved."""
    path = folder / name
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content, indent=2))


def older_spelling(config: dict[str, Any]) -> None:
    """Spell rotary positions as transformers 4 does."""
    parameters = config.pop("rope_parameters")
    if "full_attention" in parameters:
        config["rope_theta"] = parameters["full_attention"].pop("rope_theta")
        config["rope_local_base_freq"] = parameters["sliding_attention"].pop("rope_theta")
        parameters = parameters["full_attention"]
    else:
        config["rope_theta"] = parameters.pop("rope_theta")
    config["rope_scaling"] = None if parameters["rope_type"] == "default" else parameters
    config["torch_dtype"] = config.pop("dtype")
    config.pop("layer_types", None)


def shape(**changes: Any) -> dict[str, Any]:
    """Give the shape of the small models with some of it changed."""
    return {**_SHAPE, "pad_token_id": None, "bos_token_id": None, "eos_token_id": None, **changes}


def dense_row(
    name: str,
    architecture: str,
    head: str,
    model: PreTrainedModel,
    words: PreTrainedTokenizerFast,
    pooling: str,
    *,
    config: Callable[[dict[str, Any]], None] | None = None,
    **saving: Any,
) -> None:
    """Make a row of a model that gives vectors."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        save_vectors(path, model, words, pooling, **saving)
        if config is not None:
            edit(path, "config.json", config)
        make_row(f"decoder-{name}", path, vectors, architecture=architecture, head=head, kind="dense", library=_LIBRARY)


def rerank_row(name: str, architecture: str, head: str, model: PreTrainedModel, words: PreTrainedTokenizerFast) -> None:
    """Make a row of a model that scores pairs."""
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as plain:
        model.save_pretrained(plain)
        words.save_pretrained(plain)
        reranker = CrossEncoder(plain, device="cpu", model_kwargs=dict(_FULL_PRECISION))
        reranker.save_pretrained(folder)
        Path(folder, "README.md").unlink(missing_ok=True)
        make_row(
            f"decoder-{name}",
            Path(folder),
            scores,
            architecture=architecture,
            head=head,
            kind="rerank",
            library=_LIBRARY,
        )


def sparse_row(name: str, architecture: str, model: PreTrainedModel, words: PreTrainedTokenizerFast) -> None:
    """Make a row of a SPLADE."""
    with tempfile.TemporaryDirectory() as plain, tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(plain)
        words.save_pretrained(plain)
        transformer = Transformer(plain, transformer_task="fill-mask", model_kwargs=dict(_FULL_PRECISION))
        SparseEncoder(
            modules=[transformer, SpladePooling("max")], device="cpu", max_active_dims=_TERMS
        ).save_pretrained(folder, create_model_card=False)
        make_row(
            f"decoder-{name}",
            Path(folder),
            weights_of_terms,
            architecture=architecture,
            head="masked LM (SPLADE)",
            kind="sparse",
            library=_LIBRARY,
        )


def _qwen() -> None:
    ended = tokenizer("$A <|end|>", "<|end|>", "left")
    prompts = {"query": "Instruct: find it\nQuery:", "document": ""}
    dense_row(
        "qwen3",
        "qwen3",
        "last token pooling",
        transformers.Qwen3Model(transformers.Qwen3Config(**shape(head_dim=16, rope_theta=1e6))),
        ended,
        "lasttoken",
        prompts=prompts,
    )
    dense_row(
        "qwen3-shards",
        "qwen3",
        "last token pooling, bfloat16 shards, transformers 4 spelling",
        transformers.Qwen3Model(
            transformers.Qwen3Config(
                **shape(
                    head_dim=8,
                    attention_bias=True,
                    rope_parameters={
                        "rope_type": "yarn",
                        "rope_theta": 1e4,
                        "factor": 4.0,
                        "original_max_position_embeddings": 32,
                    },
                )
            )
        ),
        ended,
        "lasttoken",
        config=older_spelling,
        dtype=torch.bfloat16,
        max_shard_size="25KB",
    )
    windows = {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 1}
    dense_row(
        "qwen2",
        "qwen2",
        "last token pooling",
        transformers.Qwen2Model(transformers.Qwen2Config(**shape(), **windows)),
        ended,
        "lasttoken",
        config=older_spelling,
    )
    dense_row(
        "qwen2-both-ways",
        "qwen2 (is_causal: false)",
        "mean pooling",
        transformers.Qwen2Model(transformers.Qwen2Config(**shape(), **windows, is_causal=False)),
        tokenizer("$A <|end|>", "<|pad|>"),
        "mean",
    )
    rerank_row(
        "qwen3-classification",
        "qwen3",
        "classification",
        transformers.Qwen3ForSequenceClassification(
            transformers.Qwen3Config(**shape(head_dim=16, num_labels=1, pad_token_id=0))
        ),
        ended,
    )
    asked = tokenizer("$A", "<|pad|>", "left")
    asked.chat_template = _CHAT
    # Two layers: after three, the library's float32 is 5e-6 from its float64.
    rerank_row(
        "qwen3-yes-no",
        "qwen3",
        "yes and no",
        transformers.Qwen3ForCausalLM(
            transformers.Qwen3Config(**shape(head_dim=16, tie_word_embeddings=True, num_hidden_layers=2))
        ),
        asked,
    )
    rerank_row(
        "qwen2-yes-no",
        "qwen2",
        "yes and no, lm_head of its own",
        transformers.Qwen2ForCausalLM(transformers.Qwen2Config(**shape())),
        asked,
    )


def _llama() -> None:
    started = tokenizer("<|start|> $A", "<|pad|>")
    scaling = {
        "rope_type": "llama3",
        "rope_theta": 5e5,
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 32,
    }
    dense_row(
        "llama",
        "llama",
        "last token pooling",
        transformers.LlamaModel(transformers.LlamaConfig(**shape(rope_parameters=scaling))),
        started,
        "lasttoken",
        config=older_spelling,
    )
    linear = {"rope_type": "linear", "rope_theta": 1e4, "factor": 2.0}
    dense_row(
        "llama-biases",
        "llama",
        "mean pooling",
        transformers.LlamaModel(
            transformers.LlamaConfig(
                **shape(rope_parameters=linear, attention_bias=True, mlp_bias=True, num_key_value_heads=4)
            )
        ),
        started,
        "mean",
    )
    rerank_row(
        "llama-classification",
        "llama",
        "classification",
        transformers.LlamaForSequenceClassification(
            transformers.LlamaConfig(**shape(num_labels=1, pad_token_id=started.pad_token_id))
        ),
        started,
    )
    dense_row(
        "mistral",
        "mistral",
        "last token pooling",
        transformers.MistralModel(transformers.MistralConfig(**shape(sliding_window=4))),
        tokenizer("<|start|> $A <|end|>", "<|end|>", "left"),
        "lasttoken",
        prompts={"web_search_query": "Instruct: find it\nQuery: ", "query": "Query: "},
        config=older_spelling,
    )
    mixed = {
        "sliding_window": 4,
        "head_dim": 8,
        "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
    }
    dense_row(
        "ministral",
        "ministral",
        "last token pooling",
        transformers.MinistralModel(transformers.MinistralConfig(**shape(**mixed))),
        started,
        "lasttoken",
    )
    dynamic = {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}
    dense_row(
        "mistral-both-ways",
        "mistral (is_causal: false)",
        "mean pooling",
        transformers.MistralModel(
            transformers.MistralConfig(**shape(sliding_window=None, is_causal=False, rope_parameters=dynamic))
        ),
        tokenizer("<|start|> $A <|end|>", "<|end|>", "left"),
        "mean",
    )
    rerank_row(
        "mistral-classification",
        "mistral",
        "classification",
        transformers.MistralForSequenceClassification(
            transformers.MistralConfig(**shape(sliding_window=None, num_labels=1, pad_token_id=started.pad_token_id))
        ),
        started,
    )


def _gemma() -> None:
    around = tokenizer("<|start|> $A <|end|>", "<|pad|>")
    kinds = ["sliding_attention", "full_attention", "sliding_attention"]
    special = {"pad_token_id": around.pad_token_id}
    sizes = {"head_dim": 16, "query_pre_attn_scalar": 24, "sliding_window": 6, "layer_types": kinds}
    dense_row(
        "gemma3-embedding",
        "gemma3_text (both ways)",
        "mean pooling + Dense + Dense + Normalize",
        transformers.Gemma3TextModel(
            transformers.Gemma3TextConfig(**shape(**sizes, **special, use_bidirectional_attention=True))
        ),
        around,
        "mean",
        dense=24,
        prompts={"query": "task: search result | query: ", "document": "title: none | text: "},
    )
    dense_row(
        "gemma3-embedding-mean",
        "gemma3_text (both ways)",
        "mean pooling",
        transformers.Gemma3TextModel(
            transformers.Gemma3TextConfig(**shape(**sizes, **special, use_bidirectional_attention=True))
        ),
        around,
        "mean",
    )
    linear = {
        "full_attention": {"rope_type": "linear", "rope_theta": 1e6, "factor": 8.0},
        "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
    }

    def older(config: dict[str, Any]) -> None:
        older_spelling(config)
        config["sliding_window_pattern"] = 2

    dense_row(
        "gemma3",
        "gemma3_text",
        "last token pooling",
        transformers.Gemma3TextModel(
            transformers.Gemma3TextConfig(**shape(**sizes, **special, rope_parameters=linear, attention_bias=True))
        ),
        around,
        "lasttoken",
        config=older,
    )
    rerank_row(
        "gemma3-classification",
        "gemma3_text",
        "classification",
        transformers.Gemma3TextForSequenceClassification(
            transformers.Gemma3TextConfig(**shape(**sizes, **special, num_labels=1))
        ),
        around,
    )

    rerank_row(
        "gemma-classification",
        "gemma",
        "classification",
        transformers.GemmaForSequenceClassification(
            transformers.GemmaConfig(**shape(head_dim=8, num_labels=1, **special))
        ),
        around,
    )
    dense_row(
        "gemma",
        "gemma",
        "mean pooling",
        transformers.GemmaModel(transformers.GemmaConfig(**shape(head_dim=16, **special))),
        around,
        "mean",
        config=older_spelling,
    )
    capped = {"attn_logit_softcapping": 2.0, "sliding_window": 6, "query_pre_attn_scalar": 12}
    dense_row(
        "gemma2",
        "gemma2",
        "last token pooling",
        transformers.Gemma2Model(transformers.Gemma2Config(**shape(head_dim=16, **capped, **special))),
        around,
        "lasttoken",
        config=older_spelling,
    )
    rerank_row(
        "gemma2-classification",
        "gemma2",
        "classification",
        transformers.Gemma2ForSequenceClassification(
            transformers.Gemma2Config(**shape(head_dim=8, num_labels=1, attn_logit_softcapping=None, **special))
        ),
        around,
    )


def _eurobert() -> None:
    around = tokenizer("<|start|> $A <|end|>", "<|pad|>")
    special = {"pad_token_id": around.pad_token_id}
    dense_row(
        "eurobert",
        "eurobert",
        "mean pooling",
        transformers.EuroBertModel(transformers.EuroBertConfig(**shape(**special, rope_theta=2.5e5))),
        around,
        "mean",
        config=older_spelling,
    )
    sparse_row(
        "eurobert-masked",
        "eurobert",
        transformers.EuroBertForMaskedLM(
            transformers.EuroBertConfig(**shape(**special, mlp_bias=True, num_hidden_layers=2))
        ),
        around,
    )
    for pooling in ("late", "bos", "mean"):
        rerank_row(
            f"eurobert-classification-{pooling}",
            "eurobert",
            f"classification ({pooling})",
            transformers.EuroBertForSequenceClassification(
                transformers.EuroBertConfig(**shape(**special, num_labels=1, classifier_pooling=pooling))
            ),
            around,
        )


if __name__ == "__main__":
    torch.manual_seed(0)
    torch.set_num_threads(1)
    _qwen()
    _llama()
    _gemma()
    _eurobert()
