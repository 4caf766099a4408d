"""Small bodies with tokenizers, as transformers saves them, for the makers of rows of sparse models, cross-encoders and
late interaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import tokenizers
import transformers
from tokenizers import decoders, models, pre_tokenizers, processors, trainers

from tests.fixtures.dense_tokenizers import VOCABULARY
from tests.fixtures.model_rows import QUERY, TEXTS

LIMIT = 64
_SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}


@cache
def word_pieces(extra: tuple[str, ...] = ()) -> transformers.PreTrainedTokenizerFast:
    """Make a tokenizer of word pieces, as BERT has it; ``extra`` are further tokens.

    It is not trained: that gives other ids at every run.
    """
    vocabulary = {token: number for number, token in enumerate(VOCABULARY)}
    made: transformers.PreTrainedTokenizerFast = transformers.BertTokenizer(vocab=vocabulary, model_max_length=LIMIT)
    made.add_special_tokens({"additional_special_tokens": list(extra)})
    return made


@cache
def word_pieces_without_class(extra: tuple[str, ...] = ()) -> transformers.PreTrainedTokenizerFast:
    """The same, saved without a class of its own: transformers 5 gives no types of tokens then."""
    backend = tokenizers.Tokenizer.from_str(word_pieces(extra).backend_tokenizer.to_str())
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=LIMIT,
    )


@cache
def byte_pairs(extra: tuple[str, ...] = ()) -> transformers.PreTrainedTokenizerFast:
    """Train a tokenizer of pairs of bytes with the markers of RoBERTa."""
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *extra]
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        [*TEXTS, QUERY],
        trainers.BpeTrainer(
            vocab_size=400,
            special_tokens=special,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="<unk>",
        pad_token="<pad>",
        bos_token="<s>",
        cls_token="<s>",
        sep_token="</s>",
        eos_token="</s>",
        mask_token="<mask>",
        model_max_length=LIMIT,
        model_input_names=["input_ids", "attention_mask"],
    )


_Config = Callable[..., Any]
CONFIGS: Mapping[str, tuple[_Config, dict[str, Any], Callable[..., Any]]] = {
    "bert": (transformers.BertConfig, {**_SIZES, "max_position_embeddings": LIMIT}, word_pieces),
    "bert-without-class": (
        transformers.BertConfig,
        {**_SIZES, "max_position_embeddings": LIMIT},
        word_pieces_without_class,
    ),
    "electra": (
        transformers.ElectraConfig,
        {**_SIZES, "embedding_size": 16, "max_position_embeddings": LIMIT},
        word_pieces,
    ),
    "distilbert": (
        transformers.DistilBertConfig,
        {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48, "max_position_embeddings": LIMIT},
        word_pieces,
    ),
    "mpnet": (transformers.MPNetConfig, {**_SIZES, "max_position_embeddings": LIMIT + 2}, byte_pairs),
    "albert": (
        transformers.AlbertConfig,
        {**_SIZES, "embedding_size": 16, "max_position_embeddings": LIMIT},
        word_pieces,
    ),
    "roberta": (
        transformers.RobertaConfig,
        {**_SIZES, "max_position_embeddings": LIMIT + 2, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2},
        byte_pairs,
    ),
    "xlm-roberta": (
        transformers.XLMRobertaConfig,
        {**_SIZES, "max_position_embeddings": LIMIT + 2, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2},
        byte_pairs,
    ),
    "modernbert": (
        transformers.ModernBertConfig,
        {
            **_SIZES,
            "num_hidden_layers": 3,
            "max_position_embeddings": LIMIT,
            "local_attention": 40,
            "global_attn_every_n_layers": 3,
            "pad_token_id": 1,
            "bos_token_id": 0,
            "eos_token_id": 2,
            "cls_token_id": 0,
            "sep_token_id": 2,
        },
        byte_pairs,
    ),
    "deberta-v2": (
        transformers.DebertaV2Config,
        {
            **_SIZES,
            "max_position_embeddings": LIMIT,
            "relative_attention": True,
            "position_buckets": 16,
            "pos_att_type": ["p2c", "c2p"],
            "share_att_key": True,
            "norm_rel_ebd": "layer_norm",
            "position_biased_input": False,
            "max_relative_positions": -1,
            "type_vocab_size": 0,
        },
        word_pieces,
    ),
}


def save_body(
    family: str, auto: Any, folder: Path, *, extra: tuple[str, ...] = (), **config: Any
) -> transformers.PreTrainedTokenizerFast:
    """Save a small model of a family and its tokenizer.

    Args:
        family: A key of `CONFIGS`.
        auto: The class of transformers that makes it, such as ``AutoModelForMaskedLM``.
        folder: Where to.
        extra: Further tokens of the tokenizer.
        config: Further settings.

    Returns:
        The tokenizer.
    """
    made, settings, tokenizer_of = CONFIGS[family]
    tokenizer: transformers.PreTrainedTokenizerFast = tokenizer_of(extra)
    settings = {**settings, "vocab_size": len(tokenizer), **config}
    folder.mkdir(parents=True, exist_ok=True)
    auto.from_config(made(**settings)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return tokenizer
