"""The description of a cross-encoder in a local folder, and what its files say of its score.

``config.json`` names the architecture and, in folders of sentence-transformers, the activation; newer ones name the
latter in ``config_sentence_transformers.json``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from onnxembed.api.graph_file import find_graph
from onnxembed.errors import ModelError, ModelNotFoundError, UnsupportedModelError
from onnxembed.formats.onnx_graph import TensorInfo, inspect_graph
from onnxembed.hub.folder import CONFIG_FILE, GRAPH_LAYOUTS, TOKENIZER_FILE
from onnxembed.rerank.spec import Activation, CrossEncoderModel

_ACTIVATIONS: Mapping[str, Activation] = {"Identity": Activation.RAW, "Sigmoid": Activation.SIGMOID}
_HEAD = "ForSequenceClassification"
MOST_LABELS = 2
"""A score is one logit, or the difference of two; more labels have no order."""


def describe_cross_encoder_folder(folder: Path) -> CrossEncoderModel:
    """Describe the cross-encoder in a folder.

    Args:
        folder: An existing folder.

    Returns:
        A description whose name is the folder's path.

    Raises:
        ModelNotFoundError: If the folder holds no graph or no tokenizer.
        UnsupportedModelError: If the model has no classification head of one or two labels.
    """
    graph = find_graph(folder, GRAPH_LAYOUTS[0])
    if graph is None:
        raise ModelNotFoundError(
            f"the folder {folder} holds no graph: expected one of {', '.join(GRAPH_LAYOUTS)}. "
            "Classification heads are not compiled from weights; export the model to ONNX"
        )
    if not (folder / TOKENIZER_FILE).is_file():
        raise ModelNotFoundError(
            f"the folder {folder} holds no {TOKENIZER_FILE}; expected the model's fast tokenizer there"
        )
    architectures = _read(folder, CONFIG_FILE).get("architectures")
    if (
        isinstance(architectures, list)
        and architectures
        and not any(str(name).endswith(_HEAD) for name in architectures)
    ):
        raise UnsupportedModelError(
            f"{folder / CONFIG_FILE} names the architecture {', '.join(map(str, architectures))}, which has no "
            f"classification head; a cross-encoder's ends in {_HEAD}. Is this an embedding model?"
        )
    check_head(graph, inspect_graph(graph).outputs[0])
    return CrossEncoderModel(
        name=str(folder),
        sources=(),
        model_file=graph.relative_to(folder).as_posix(),
        description="described by the files of its folder",
    )


def check_head(graph: Path, output: TensorInfo) -> None:
    """Refuse a graph whose first output, as far as it is stated, is no score: (batch,), (batch, 1) or (batch, 2).

    Args:
        graph: The file, for the message.
        output: Its first output.

    Raises:
        UnsupportedModelError: If it is another shape.
    """
    shape = output.shape
    if shape is None:
        return
    labels = shape[-1] if len(shape) == 2 else 1
    if len(shape) in (1, 2) and (not isinstance(labels, int) or 1 <= labels <= MOST_LABELS):
        return
    described = ", ".join("?" if size is None else str(size) for size in shape)
    raise UnsupportedModelError(
        f"{graph} has no classification head that gives a score: its output {output.name!r} is ({described}); expected "
        f"(batch, labels) with at most {MOST_LABELS} labels. Is this an embedding model, or a classifier?"
    )


def read_activation(folder: Path) -> Activation:
    """Read what a model's files say becomes of its score.

    Args:
        folder: The model's folder.

    Returns:
        ``Activation.RAW`` or ``Activation.SIGMOID``; the latter where nothing is said, which is
        sentence-transformers' default for one label, and for two labels the same as their softmax.

    Raises:
        UnsupportedModelError: If they name another function.
    """
    config = _read(folder, CONFIG_FILE)
    nested = config.get("sentence_transformers")
    named = (
        _read(folder, "config_sentence_transformers.json").get("activation_fn"),
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


def _read(folder: Path, name: str) -> dict[str, Any]:
    """A JSON object, empty when the file is missing."""
    path = folder / name
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path} is not valid JSON in UTF-8 ({error})") from error
    return content if isinstance(content, dict) else {}
