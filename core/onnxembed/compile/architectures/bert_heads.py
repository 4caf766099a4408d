"""The heads of BERT and its kin, as data: what each family calls their weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from onnxembed.compile.body import Activation, ClassificationHead, Linear, Norm, VocabularyHead
from onnxembed.spec import PoolingType

HEADS = (
    "pooler.",
    "classifier.",
    "pre_classifier.",
    "cls.",
    "lm_head.",
    "vocab_",
    "generator_",
    "discriminator_predictions.",
    "predictions.",
    "sop_classifier.",
    "embeddings.position_ids",
    "embeddings.token_type_ids",
    "embeddings.task_type_embeddings.",
)
"""Beginnings of the names of heads' weights in every family, and of tables that merely count."""

_WORDS = "embeddings.word_embeddings.weight"


@dataclass(frozen=True, slots=True)
class HeadSizes:
    """Lengths of a token's vector and of a word's, the number of labels, and what the layers of the body use."""

    hidden: int
    embedding: int
    labels: int
    activation: str
    epsilon: float


Heads = tuple[VocabularyHead, ClassificationHead]
HeadMaker = Callable[[HeadSizes], Heads]
"""Describes both heads."""


def classes(name: str) -> tuple[str, ...]:
    """The classes of a family whose weights hold its body."""
    ends = ("Model", "ForMaskedLM", "ForPreTraining", "ForSequenceClassification", "LMHeadModel")
    return tuple(f"{name}{end}" for end in ends)


def bert_heads(sizes: HeadSizes) -> Heads:
    """BERT's own."""
    hidden, transform = sizes.hidden, "cls.predictions.transform"
    steps = (
        Linear(f"{transform}.dense", hidden, hidden),
        Activation(sizes.activation),
        Norm(f"{transform}.LayerNorm", hidden, sizes.epsilon),
    )
    biases = ("cls.predictions.decoder.bias", "cls.predictions.bias")
    vocabulary = VocabularyHead(steps, "cls.predictions.decoder.weight", hidden, _WORDS, biases)
    return vocabulary, _classification(sizes, "pooler.dense", "tanh", "classifier")


def electra_heads(sizes: HeadSizes) -> Heads:
    """ELECTRA's: its generator predicts words from vectors of their length, always by the plain GELU."""
    steps = (
        Linear("generator_predictions.dense", sizes.hidden, sizes.embedding),
        Activation("gelu"),
        Norm("generator_predictions.LayerNorm", sizes.embedding, sizes.epsilon),
    )
    vocabulary = VocabularyHead(steps, "generator_lm_head.weight", sizes.embedding, _WORDS, ("generator_lm_head.bias",))
    return vocabulary, _classification(sizes, "classifier.dense", "gelu", "classifier.out_proj")


def roberta_heads(sizes: HeadSizes) -> Heads:
    """RoBERTa's and MPNet's, always by the plain GELU."""
    hidden = sizes.hidden
    steps = (
        Linear("lm_head.dense", hidden, hidden),
        Activation("gelu"),
        Norm("lm_head.layer_norm", hidden, sizes.epsilon),
    )
    vocabulary = VocabularyHead(
        steps, "lm_head.decoder.weight", hidden, _WORDS, ("lm_head.decoder.bias", "lm_head.bias")
    )
    return vocabulary, _classification(sizes, "classifier.dense", "tanh", "classifier.out_proj")


def distilbert_heads(sizes: HeadSizes) -> Heads:
    """DistilBERT's."""
    hidden = sizes.hidden
    steps = (
        Linear("vocab_transform", hidden, hidden),
        Activation(sizes.activation),
        Norm("vocab_layer_norm", hidden, sizes.epsilon),
    )
    vocabulary = VocabularyHead(steps, "vocab_projector.weight", hidden, _WORDS, ("vocab_projector.bias",))
    return vocabulary, _classification(sizes, "pre_classifier", "relu", "classifier")


def albert_heads(sizes: HeadSizes) -> Heads:
    """ALBERT's."""
    steps = (
        Linear("predictions.dense", sizes.hidden, sizes.embedding),
        Activation(sizes.activation),
        Norm("predictions.LayerNorm", sizes.embedding, sizes.epsilon),
    )
    biases = ("predictions.decoder.bias", "predictions.bias")
    vocabulary = VocabularyHead(steps, "predictions.decoder.weight", sizes.embedding, _WORDS, biases)
    return vocabulary, _classification(sizes, "pooler", "tanh", "classifier")


def _classification(sizes: HeadSizes, dense: str, activation: str, output: str) -> ClassificationHead:
    steps = (
        Linear(dense, sizes.hidden, sizes.hidden),
        Activation(activation),
        Linear(output, sizes.hidden, sizes.labels),
    )
    return ClassificationHead(PoolingType.CLS, steps)
