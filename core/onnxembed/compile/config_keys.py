"""Keys of ``config.json`` that every architecture may have: those that change no vector, and those that must not."""

from __future__ import annotations

from onnxembed.errors import UnsupportedModelError
from onnxembed.formats.facts import Facts

_TRAINING = (
    "attention_dropout", "attention_probs_dropout_prob", "classifier_dropout", "classifier_dropout_prob", "dropout",
    "dropout_rate", "embd_pdrop", "embedding_dropout", "embed_dropout", "emb_pdrop", "hidden_dropout",
    "hidden_dropout_prob", "attn_pdrop", "attn_dropout", "mlp_dropout", "qa_dropout", "resid_pdrop",
    "seq_classif_dropout", "summary_first_dropout", "summary_last_dropout", "pooler_dropout",
    "initializer_cutoff_factor",
    "initializer_factor", "initializer_range", "gradient_checkpointing", "layerdrop", "problem_type",
    "finetuning_task", "deterministic_flash_attn", "reference_compile", "repad_logits_with_grad", "sparse_prediction",
    "sparse_pred_ignore_index", "norm_init", "decoder_bias_init",
)  # fmt: skip
_SHAPE_OF_ANSWERS = (
    "chunk_size_feed_forward", "output_attentions", "output_hidden_states", "output_past", "return_dict",
    "torchscript", "use_bfloat16", "use_cache", "cache_implementation", "pad_logits",
)  # fmt: skip
_RECORDS = (
    "_name_or_path", "_commit_hash", "_attn_implementation", "_attn_implementation_autoset", "attn_implementation",
    "_flash_attn_2_enabled", "transformers_version", "dtype", "torch_dtype", "model_type", "architectures", "auto_map",
    "task_specific_params", "id2label", "label2id", "_num_labels", "num_labels", "sentence_transformers", "language",
    "sbert_ce_default_activation_function", "transformers.js_config", "matryoshka_dimensions", "tokenizer_class",
    "prefix", "name", "license", "unsloth_version", "unsloth_fixed", "xla_device",
)  # fmt: skip
_TOKENS = (
    "bos_token_id", "eos_token_id", "sep_token_id", "cls_token_id", "mask_token_id", "pad_token_id", "unk_token_id",
    "decoder_start_token_id", "bos_token", "eos_token", "pad_token", "mask_token", "classifier_token_id",
)  # fmt: skip
_GENERATION = (
    "max_length", "min_length", "do_sample", "early_stopping", "num_beams", "num_beam_groups", "diversity_penalty",
    "temperature", "top_k", "top_p", "typical_p", "repetition_penalty", "length_penalty", "no_repeat_ngram_size",
    "encoder_no_repeat_ngram_size", "bad_words_ids", "num_return_sequences", "output_scores",
    "return_dict_in_generate", "forced_bos_token_id", "forced_eos_token_id", "remove_invalid_values",
    "exponential_decay_length_penalty", "suppress_tokens", "begin_suppress_tokens", "tf_legacy_loss",
)  # fmt: skip
_UNUSED_HEADS = ("summary_type", "summary_use_proj", "summary_activation", "summary_proj_to_labels")
_BERT_RECORDS = (
    "directionality", "pooler_fc_size", "pooler_num_attention_heads", "pooler_num_fc_layers", "pooler_size_per_head",
    "pooler_type", "tie_weights_", "down_scale_factor", "gap_size", "net_structure_type", "num_memory_blocks",
)  # fmt: skip

HARMLESS: frozenset[str] = frozenset(
    _TRAINING  # said for training, off when a model is used
    + _SHAPE_OF_ANSWERS  # which of its values the library returns, and in what pieces it computes them
    + _RECORDS  # what the file remembers of its making, and what the readers of other files take from it
    + _TOKENS  # ids for generating text and padding; an architecture that computes by one takes it
    + _GENERATION  # of text
    + _UNUSED_HEADS  # of ELECTRA's and others' multiple choice
    + _BERT_RECORDS  # left over from the first converters of BERT, DistilBERT and ALBERT; no model reads them
)
"""Keys that change no vector; a reader that computes by one of them takes it all the same."""

_DEFAULTS: tuple[tuple[str, object], ...] = (
    ("is_decoder", False),
    ("is_encoder_decoder", False),
    ("add_cross_attention", False),
    ("cross_attention_hidden_size", None),
    ("pruned_heads", {}),
)
"""What these say by default; another value would change every layer."""


def check_common_keys(config: Facts) -> None:
    """Refuse what no architecture here computes, unless the architecture has taken the key itself."""
    if config.has("quantization_config"):
        raise UnsupportedModelError(
            f"{config.where}: the weights are quantised (quantization_config); use the original weights"
        )
    for key, default in _DEFAULTS:
        if key in config.left():
            config.expect(key, (default,), default)
    config.value("quantization_config")
    config.value("tie_word_embeddings")  # `heads.vocabulary` reads it where there is a decoder
    config.value("tie_encoder_decoder")


def skip_halves(config: Facts) -> None:
    """Take what a model of two halves says of the other half, and of comparing the two."""
    for half in ("text_config", "vision_config"):
        older = config.value(f"{half}_dict")
        newer = config.value(half)
        if isinstance(older, dict) and isinstance(newer, dict):
            differing = [key for key, value in older.items() if key in newer and newer[key] != value]
            if differing:
                raise UnsupportedModelError(
                    f"{config.where}: {half}_dict and {half} say different things of {', '.join(sorted(differing))}; "
                    "save the model again with a present version of its library"
                )
    config.value("logit_scale_init_value")
