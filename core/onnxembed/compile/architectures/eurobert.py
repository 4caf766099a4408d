"""EuroBERT: Llama's layers, looking both ways, with heads of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from onnxembed.compile.architectures.decoder import LANGUAGE_HEAD, WORDS, decoder_body, decoder_family
from onnxembed.compile.architectures.llama import LlamaLike, no_windows
from onnxembed.compile.body import Activation, ClassificationHead, Linear, VocabularyHead
from onnxembed.compile.labels import label_count
from onnxembed.spec import PoolingType

if TYPE_CHECKING:
    from onnxembed.compile.body import Body
    from onnxembed.compile.checkpoint import Checkpoint
    from onnxembed.formats.facts import Facts

_LAYERS = LlamaLike(no_windows, attention_bias=True, inner_bias=True, epsilon=1e-5)
_POOLINGS = {"bos": PoolingType.CLS, "mean": PoolingType.MEAN, "late": PoolingType.MEAN}
_LATE = "late"


def _eurobert(checkpoint: Checkpoint) -> Body:
    """Read the configuration of a EuroBERT."""
    config = checkpoint.config
    facts = _LAYERS.facts(checkpoint, causal=False)
    body = decoder_body(checkpoint, facts)
    tied, biases = config.flag("tie_word_embeddings"), ("lm_head.bias",) if facts.inner_bias else ()
    return replace(
        body,
        unused=(*body.unused, "dense.", "classifier."),
        vocabulary_head=VocabularyHead((), LANGUAGE_HEAD, facts.hidden, WORDS if tied else None, biases),
        classification_head=_classification(config, facts.hidden),
    )


def _classification(config: Facts, hidden: int) -> ClassificationHead:
    """What is pooled: token vectors, or with "late" what the first layer makes of each; the last layer is linear."""
    older = config.text("clf_pooling", _LATE)  # of the model's own code, before transformers had it
    pooling = config.text("classifier_pooling", older)
    config.expect("classifier_pooling", tuple(_POOLINGS), older)
    first, last = (
        (Linear("dense", hidden, hidden), Activation("gelu")),
        Linear("classifier", hidden, label_count(config)),
    )
    if pooling == _LATE:
        return ClassificationHead(_POOLINGS[pooling], (last,), before=first)
    return ClassificationHead(_POOLINGS[pooling], (*first, last))


ARCHITECTURES = (
    decoder_family(
        "eurobert", ("EuroBertModel", "EuroBertForMaskedLM", "EuroBertForSequenceClassification"), _eurobert
    ),
)
"""EuroBERT by itself."""
