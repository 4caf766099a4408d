"""Makes the rows of DeBERTa, DeBERTa v2 and v3, and of the encoders of T5, mT5 and UMT5.

Run as ``python -m tests.golden.make_rows_relative``, with PyTorch, transformers and sentence-transformers installed.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import sentence_transformers
import torch
import transformers
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Transformer
from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from tests.fixtures.model_rows import TEXTS
from tests.golden.make_rows_bert import (
    FAMILIES,
    Family,
    byte_pairs,
    classification,
    dense,
    masked,
    unigrams,
    vectors,
    word_pieces,
)
from tests.golden.row_maker import make_row

_LIBRARY = f"sentence-transformers {sentence_transformers.__version__}"
_FULL_PRECISION = {"dtype": torch.float32}
_VOCABULARY = 180
_T5_TOKENS = ("<pad>", "</s>", "<unk>")
_SHAPE = {
    "vocab_size": _VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 140,
    "max_relative_positions": 20,
    "relative_attention": True,
    "position_biased_input": False,
    "pad_token_id": 0,
}
# The distances of the longest text are three times the largest that the tables tell apart.
_V3 = {
    **_SHAPE,
    "position_buckets": 12,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "pos_att_type": "p2c|c2p",
    "legacy": False,
}
_DEBERTAS: Mapping[str, Family] = {
    "deberta": Family("Deberta", byte_pairs, {**_SHAPE, "pos_att_type": "c2p|p2c"}),
    "deberta-v2": Family(
        "DebertaV2", word_pieces, {**_V3, "conv_kernel_size": 3, "conv_act": "gelu", "type_vocab_size": 2}
    ),
    "deberta-v3": Family("DebertaV2", unigrams, _V3),
}
_T5 = {
    "vocab_size": _VOCABULARY,
    "d_model": 32,
    "d_kv": 12,  # 4 heads of it are longer than a token's vector
    "d_ff": 48,
    "num_layers": 2,
    "num_heads": 4,
    "relative_attention_num_buckets": 16,
    "relative_attention_max_distance": 30,
}


@cache
def sentence_ends() -> PreTrainedTokenizerFast:
    """Make a tokenizer like T5's, which ends texts and begins them with nothing."""
    words = sorted({f"\u2581{word}" for text in TEXTS for word in text.split(" ")})
    letters = sorted({letter for word in words for letter in word})
    pieces = [*((piece, 0.0) for piece in _T5_TOKENS), *((piece, -10.0) for piece in letters)]
    pieces += [(word, -5.0 - 1 / len(word)) for word in words if len(word) > 1]
    built = Tokenizer(models.Unigram(pieces, unk_id=_T5_TOKENS.index("<unk>"), byte_fallback=False))
    built.pre_tokenizer = pre_tokenizers.Metaspace()
    built.add_special_tokens([AddedToken(token, special=True) for token in _T5_TOKENS])
    built.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=built,
        model_max_length=128,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        model_input_names=["input_ids", "attention_mask"],
    )


def t5(
    name: str, class_name: str, architecture: str, *, end: str = "EncoderModel", project: bool = False, **changes: Any
) -> None:
    """Make a row of an encoder; `project` adds what sentence-t5 has after its pooling."""
    with tempfile.TemporaryDirectory() as plain, tempfile.TemporaryDirectory() as folder:
        config = getattr(transformers, f"{class_name}Config")(**{**_T5, **changes})
        getattr(transformers, f"{class_name}{end}")(config).save_pretrained(plain)
        sentence_ends().save_pretrained(plain)
        modules: list[torch.nn.Module] = [
            Transformer(plain, model_kwargs=dict(_FULL_PRECISION)),
            Pooling(config.d_model, "mean"),
        ]
        if project:
            modules += [Dense(config.d_model, 24, bias=False, activation_function=torch.nn.Identity()), Normalize()]
        SentenceTransformer(modules=modules, device="cpu").save_pretrained(folder, create_model_card=False)
        if end != "EncoderModel":  # the files as they were before sentence-transformers left the decoder out
            for file in ("model.safetensors", "config.json"):
                shutil.copy(Path(plain, file), Path(folder, file))
        make_row(
            name,
            Path(folder),
            vectors,
            architecture=architecture,
            head="mean pooling + Dense + Normalize" if project else "mean pooling",
            kind="dense",
            library=_LIBRARY,
        )


def main() -> None:
    """Make all rows."""
    transformers.logging.set_verbosity_error()
    torch.manual_seed(0)
    FAMILIES.update(_DEBERTAS)
    for architecture in _DEBERTAS:
        dense(architecture)
        classification(architecture)
    for architecture in ("deberta", "deberta-v2", "deberta-v3"):
        masked(architecture)
    masked("deberta-v3", name="-legacy", legacy=True, embedding_size=24)
    dense(
        "deberta-v2",
        "cls",
        share_att_key=False,
        position_buckets=-1,
        position_biased_input=True,
        type_vocab_size=1,
        norm_rel_ebd="none",
        conv_kernel_size=0,
    )
    dense("deberta-v3", name="mean-c2p", pos_att_type=["c2p"], share_att_key=False)
    dense("deberta-v3", name="mean-p2c", pos_att_type=["p2c"], position_buckets=16)
    dense("deberta-v3", name="mean-no-distances", relative_attention=False, norm_rel_ebd="none")
    t5("t5-mean", "T5", "t5", num_layers=3)
    t5("t5-sentence", "T5", "t5", project=True, end="Model")
    t5("t5-gated", "T5", "t5", end="ForConditionalGeneration", feed_forward_proj="gated-gelu", d_kv=8)
    t5("mt5-mean", "MT5", "mt5")
    t5("mt5-sentence", "MT5", "mt5", project=True, feed_forward_proj="gated-silu", end="ForConditionalGeneration")
    t5("umt5-mean", "UMT5", "umt5")


if __name__ == "__main__":
    main()
