"""Bodies of models, one file for each family of architectures."""

from __future__ import annotations

from onnxembed.compile.architecture import Architecture
from onnxembed.compile.architectures import (
    bert,
    clip,
    deberta,
    eurobert,
    gemma,
    gte,
    jina_bert,
    jina_v3,
    llama,
    modernbert,
    nomic_bert,
    resnet,
    siglip,
    t5,
    vit,
)

ARCHITECTURES: tuple[Architecture, ...] = (
    *bert.ARCHITECTURES,
    *clip.ARCHITECTURES,
    *deberta.ARCHITECTURES,
    *eurobert.ARCHITECTURES,
    *gemma.ARCHITECTURES,
    *gte.ARCHITECTURES,
    *jina_bert.ARCHITECTURES,
    *jina_v3.ARCHITECTURES,
    *llama.ARCHITECTURES,
    *modernbert.ARCHITECTURES,
    *nomic_bert.ARCHITECTURES,
    *resnet.ARCHITECTURES,
    *siglip.ARCHITECTURES,
    *t5.ARCHITECTURES,
    *vit.ARCHITECTURES,
)
"""All that can be compiled; of several that serve one model type, the one that knows the class."""
