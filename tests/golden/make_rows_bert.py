"""Makes the rows of BERT and its kin: pooled, with a classification head, with a masked-language-model head.

Run as ``python -m tests.golden.make_rows_bert``, with PyTorch, transformers and sentence-transformers installed.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import sentence_transformers
import torch
import transformers
from sentence_transformers import CrossEncoder, SentenceTransformer, SparseEncoder
from sentence_transformers.base.modules import Transformer
from sentence_transformers.sentence_transformer.modules import Pooling
from sentence_transformers.sparse_encoder.modules import SpladePooling
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import BertTokenizer, PreTrainedTokenizerFast

from tests.fixtures.dense_tokenizers import VOCABULARY
from tests.fixtures.model_rows import QUERY, TEXTS
from tests.golden.row_maker import make_row

_LIBRARY = f"sentence-transformers {sentence_transformers.__version__}"
_VOCABULARY = 180
_FULL_PRECISION = {"dtype": torch.float32}
_BODIES = ("bert", "ernie", "electra", "data2vec_text", "albert", "distilbert", "roberta", "mpnet", "deberta")
_DECODERS = (
    *(f"{body}.embeddings.word_embeddings.weight" for body in _BODIES),
    "cls.predictions.decoder.weight",
    "lm_head.decoder.weight",
)
"""What makes logits, made smaller: the rounding of large ones exceeds what the rows allow."""
_ROBERTA_TOKENS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")

_SHAPE = {
    "vocab_size": _VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 140,
}
_DISTILBERT_SHAPE = {
    "vocab_size": _VOCABULARY,
    "dim": 32,
    "hidden_dim": 48,
    "n_layers": 2,
    "n_heads": 4,
    "max_position_embeddings": 140,
}


@cache
def word_pieces() -> PreTrainedTokenizerFast:
    """Make a tokenizer like BERT's; it knows token types."""
    return BertTokenizer(vocab={token: number for number, token in enumerate(VOCABULARY)}, model_max_length=128)


@cache
def untyped_word_pieces() -> PreTrainedTokenizerFast:
    """Make the same tokenizer of the class that stands for no architecture: it hands no token types on."""
    names = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    special = dict(zip(names, VOCABULARY[:5], strict=True))
    return PreTrainedTokenizerFast(tokenizer_object=word_pieces().backend_tokenizer, model_max_length=128, **special)


def _roberta(built: Tokenizer) -> PreTrainedTokenizerFast:
    built.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=built,
        model_max_length=128,
        bos_token="<s>",
        cls_token="<s>",
        pad_token="<pad>",
        eos_token="</s>",
        sep_token="</s>",
        unk_token="<unk>",
        mask_token="<mask>",
        model_input_names=["input_ids", "attention_mask"],
    )


@cache
def byte_pairs() -> PreTrainedTokenizerFast:
    """Train a tokenizer like RoBERTa's."""
    built = Tokenizer(models.BPE())
    built.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    built.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=_VOCABULARY,
        special_tokens=[AddedToken(token, special=True) for token in _ROBERTA_TOKENS],
        show_progress=False,
    )
    built.train_from_iterator([*TEXTS, QUERY], trainer)
    return _roberta(built)


@cache
def unigrams() -> PreTrainedTokenizerFast:
    """Make a tokenizer like XLM-RoBERTa's: of the words of the texts, the likelier the longer, and of all letters."""
    words = sorted({f"\u2581{word}" for text in (*TEXTS, QUERY) for word in text.split(" ")})
    letters = sorted({letter for word in words for letter in word})
    pieces = [*((piece, 0.0) for piece in _ROBERTA_TOKENS), *((piece, -10.0) for piece in letters)]
    pieces += [(word, -5.0 - 1 / len(word)) for word in words if len(word) > 1]
    built = Tokenizer(models.Unigram(pieces, unk_id=_ROBERTA_TOKENS.index("<unk>"), byte_fallback=False))
    built.pre_tokenizer = pre_tokenizers.Metaspace()
    built.add_special_tokens([AddedToken(token, special=True) for token in _ROBERTA_TOKENS])
    return _roberta(built)


@dataclass(frozen=True)
class Family:
    """How the library makes a small model of a family.

    Attributes:
        name: Beginning of the names of its classes.
        tokens: Makes its tokenizer.
        config: Its settings.
    """

    name: str
    tokens: Callable[[], PreTrainedTokenizerFast]
    config: Mapping[str, Any]

    def save(self, folder: Path, end: str, **changes: Any) -> int:
        """Save a model with the head that the end of the class's name says; return the length of its vectors."""
        config = getattr(transformers, f"{self.name}Config")(**{**self.config, **changes})
        getattr(transformers, f"{self.name}{end}")(config).save_pretrained(folder)
        self.tokens().save_pretrained(folder)
        return int(config.hidden_size)


_BERT_CONFIG = {**_SHAPE, "pad_token_id": 0}
_ROBERTA_CONFIG = {**_SHAPE, "pad_token_id": 1, "type_vocab_size": 1, "layer_norm_eps": 1e-5}
FAMILIES: dict[str, Family] = {
    "bert": Family("Bert", word_pieces, _BERT_CONFIG),
    "electra": Family("Electra", word_pieces, {**_BERT_CONFIG, "embedding_size": 24}),
    "ernie": Family("Ernie", word_pieces, {**_BERT_CONFIG, "use_task_id": True}),
    "albert": Family(
        "Albert", word_pieces, {**_BERT_CONFIG, "embedding_size": 24, "num_hidden_layers": 4, "num_hidden_groups": 2}
    ),
    "distilbert": Family("DistilBert", word_pieces, {**_DISTILBERT_SHAPE, "pad_token_id": 0}),
    "roberta": Family("Roberta", byte_pairs, _ROBERTA_CONFIG),
    "xlm-roberta": Family("XLMRoberta", unigrams, _ROBERTA_CONFIG),
    "camembert": Family("Camembert", unigrams, _ROBERTA_CONFIG),
    "data2vec-text": Family("Data2VecText", byte_pairs, _ROBERTA_CONFIG),
    "mpnet": Family("MPNet", byte_pairs, {**_SHAPE, "pad_token_id": 1}),
}


def dense(
    architecture: str,
    pooling: str | Sequence[str] = "mean",
    *,
    name: str = "",
    end: str = "Model",
    change: Callable[[Path], None] | None = None,
    **changes: Any,
) -> None:
    """Make a row of a model whose token vectors are pooled."""
    with tempfile.TemporaryDirectory() as plain, tempfile.TemporaryDirectory() as folder:
        hidden = FAMILIES[architecture].save(Path(plain), end, **changes)
        transformer = Transformer(plain, model_kwargs=dict(_FULL_PRECISION))
        modules: list[torch.nn.Module] = [transformer, Pooling(hidden, pooling)]
        SentenceTransformer(modules=modules, device="cpu").save_pretrained(folder, create_model_card=False)
        if end != "Model":  # the files as they were before sentence-transformers left the head out
            for file in ("model.safetensors", "config.json"):
                shutil.copy(Path(plain, file), Path(folder, file))
        if change is not None:
            change(Path(folder))
        named = pooling if isinstance(pooling, str) else " + ".join(pooling)
        make_row(
            f"{architecture}-{name or (pooling if isinstance(pooling, str) else '-'.join(pooling))}",
            Path(folder),
            vectors,
            architecture=architecture,
            head=f"{named} pooling",
            kind="dense",
            library=_LIBRARY,
        )


def vectors(folder: Path) -> dict[str, Any]:
    """Compute vectors with sentence-transformers, in full precision."""
    model = SentenceTransformer(str(folder), device="cpu", model_kwargs=dict(_FULL_PRECISION))
    return {"documents": model.encode(list(TEXTS))}


def classification(
    architecture: str,
    labels: int = 1,
    *,
    name: str = "",
    tokens: Callable[[], PreTrainedTokenizerFast] | None = None,
    **changes: Any,
) -> None:
    """Make a row of a cross-encoder, with another tokenizer than its family's if need be."""
    with tempfile.TemporaryDirectory() as plain, tempfile.TemporaryDirectory() as folder:
        FAMILIES[architecture].save(Path(plain), "ForSequenceClassification", num_labels=labels, **changes)
        if tokens is not None:
            tokens().save_pretrained(plain)
        CrossEncoder(plain, device="cpu", model_kwargs=dict(_FULL_PRECISION)).save_pretrained(
            folder, create_model_card=False
        )
        make_row(
            f"{architecture}-classification{name}" + (f"-{labels}" if labels > 1 else ""),
            Path(folder),
            scores,
            architecture=architecture,
            head="classification" + (f" ({labels} labels)" if labels > 1 else ""),
            kind="rerank",
            library=_LIBRARY,
        )


def scores(folder: Path) -> dict[str, Any]:
    """Compute scores with sentence-transformers, in full precision."""
    model = CrossEncoder(str(folder), device="cpu", model_kwargs=dict(_FULL_PRECISION))
    return {"scores": model.predict([(QUERY, text) for text in TEXTS])}


def masked(architecture: str, *, name: str = "", **changes: Any) -> None:
    """Make a row of a SPLADE."""
    with tempfile.TemporaryDirectory() as plain, tempfile.TemporaryDirectory() as folder:
        FAMILIES[architecture].save(Path(plain), "ForMaskedLM", **changes)
        transformer = Transformer(plain, transformer_task="fill-mask", model_kwargs=dict(_FULL_PRECISION))
        SparseEncoder(modules=[transformer, SpladePooling("max")], device="cpu").save_pretrained(
            folder, create_model_card=False
        )
        make_row(
            f"{architecture}-masked{name}",
            Path(folder),
            weights_of_terms,
            architecture=architecture,
            head="masked LM (SPLADE)" if not name else f"masked LM (SPLADE), {name.strip('-')}",
            kind="sparse",
            library=_LIBRARY,
            scales=dict.fromkeys(_DECODERS, 0.125),
        )


def weights_of_terms(folder: Path) -> dict[str, Any]:
    """Compute the weights of each text's terms with sentence-transformers, in full precision."""
    model = SparseEncoder(str(folder), device="cpu", model_kwargs=dict(_FULL_PRECISION))
    found = []
    for row in model.encode(list(TEXTS), convert_to_sparse_tensor=False):
        there = row.nonzero().ravel().tolist()
        found.append({str(place): float(row[place]) for place in there})
    return {"documents": found}


def main() -> None:
    """Make all rows."""
    transformers.logging.set_verbosity_error()
    torch.manual_seed(0)
    for architecture in FAMILIES:
        dense(architecture)
        classification(architecture)
        masked(architecture)
    for architecture in ("bert", "roberta", "albert"):
        dense(architecture, "cls")
    classification("bert", 2)
    classification("bert", name="-untyped", tokens=untyped_word_pieces)
    classification("xlm-roberta", 3)
    masked("bert", name="-untied", tie_word_embeddings=False)
    masked("roberta", name="-untied", tie_word_embeddings=False)
    dense("ernie", name="mean-without-tasks", use_task_id=False)
    dense("electra", name="mean-one-length", embedding_size=32)
    dense("albert", name="mean-inner-group", inner_group_num=2, num_hidden_groups=1, hidden_act="relu")
    dense("roberta", name="mean-types", type_vocab_size=2)
    dense("bert", name="mean-of-masked-lm", end="ForMaskedLM", hidden_act="gelu_new")


if __name__ == "__main__":
    main()
