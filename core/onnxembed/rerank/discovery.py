"""The description of a cross-encoder, read from its own files, and what they say of its score.

``config.json`` names the architecture and, in folders of sentence-transformers, the activation; newer ones name the
latter in ``config_sentence_transformers.json``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from onnxembed.errors import ModelNotFoundError, UnsupportedModelError
from onnxembed.formats.onnx_graph import TensorInfo
from onnxembed.hub.files import Files, FolderFiles, graph_name
from onnxembed.hub.folder import CONFIG_FILE, GRAPH_LAYOUTS
from onnxembed.metadata.prompts import SETTINGS_FILE
from onnxembed.metadata.stages import read_stages
from onnxembed.rerank.spec import Activation, CrossEncoderModel
from onnxembed.spec import TOKENIZER_FILE
from onnxembed.text.layout import architectures, require_tokenizer

_ACTIVATIONS: Mapping[str, Activation] = {"Identity": Activation.RAW, "Sigmoid": Activation.SIGMOID}
_HEAD = "ForSequenceClassification"
MOST_LABELS = 2
"""A score is one logit, or the difference of two; more labels have no order."""


def matches(files: Files) -> bool:
    """Tell whether the files are those of a cross-encoder: a classification head, by name or by its few labels."""
    if not files.has(TOKENIZER_FILE):
        return False
    stated = files.json_object(SETTINGS_FILE).get("model_type")
    if isinstance(stated, str):
        return stated == "CrossEncoder"
    if read_stages(files):
        return False
    named = architectures(files)
    if named:
        return any(name.endswith(_HEAD) for name in named)
    graph = graph_name(files, GRAPH_LAYOUTS[0])
    facts = None if graph is None else files.graph(graph)
    shape = None if facts is None else facts.outputs[0].shape
    return shape is not None and len(shape) == 2 and shape[1] in range(1, MOST_LABELS + 1)


def describe(files: Files) -> CrossEncoderModel:
    """Describe the model that some files are of.

    Args:
        files: The files.

    Returns:
        The description. The head of a graph that is not here yet is checked when it is loaded.

    Raises:
        ModelNotFoundError: If there is no graph or no tokenizer.
        UnsupportedModelError: If the model has no classification head of one or two labels.
    """
    graph = graph_name(files, GRAPH_LAYOUTS[0])
    if graph is None:
        raise ModelNotFoundError(
            f"{files.where} holds no graph: expected one of {', '.join(GRAPH_LAYOUTS)}. "
            "Classification heads are not compiled from weights; export the model to ONNX"
        )
    require_tokenizer(files)
    named = architectures(files)
    if named and not any(name.endswith(_HEAD) for name in named):
        raise UnsupportedModelError(
            f"{files.label(CONFIG_FILE)} names the architecture {', '.join(named)}, which has no "
            f"classification head; a cross-encoder's ends in {_HEAD}. Is this an embedding model?"
        )
    facts = files.graph(graph)
    if facts is not None:
        check_head(files.label(graph), facts.outputs[0])
    return CrossEncoderModel(
        name=files.model_name,
        sources=files.sources,
        model_file=graph,
        description="described by the files of its folder",
    )


def check_head(where: str | Path, output: TensorInfo) -> None:
    """Refuse a graph whose first output, as far as it is stated, is no score: (batch,), (batch, 1) or (batch, 2)."""
    shape = output.shape
    if shape is None:
        return
    labels = shape[-1] if len(shape) == 2 else 1
    if len(shape) in (1, 2) and (not isinstance(labels, int) or 1 <= labels <= MOST_LABELS):
        return
    described = ", ".join("?" if size is None else str(size) for size in shape)
    raise UnsupportedModelError(
        f"{where} has no classification head that gives a score: its output {output.name!r} is ({described}); expected "
        f"(batch, labels) with at most {MOST_LABELS} labels. Is this an embedding model, or a classifier?"
    )


def read_activation(folder: Path) -> Activation:
    """Read which function a model's files apply to its score, ``RAW`` or ``SIGMOID``.

    Nothing said is the sigmoid, sentence-transformers' default for one label, and for two labels the same as their
    softmax. Another function is an `UnsupportedModelError`.
    """
    files = FolderFiles(folder)
    config = files.json_object(CONFIG_FILE)
    nested = config.get("sentence_transformers")
    named = (
        files.json_object(SETTINGS_FILE).get("activation_fn"),
        nested.get("activation_fn") if isinstance(nested, dict) else None,
        config.get("sbert_ce_default_activation_function"),
    )
    function = next((name for name in named if isinstance(name, str)), None)
    if function is None:
        return Activation.SIGMOID
    activation = _ACTIVATIONS.get(function.rsplit(".", 1)[-1])
    if activation is None:
        raise UnsupportedModelError(
            f"{folder} names the activation {function!r}; known are {', '.join(_ACTIVATIONS)}. "
            "Pass activation='raw' or 'sigmoid'"
        )
    return activation
