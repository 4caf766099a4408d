"""The description of an image model, read from its graph and the files beside it.

What is done to pictures stands in ``preprocessor_config.json``. Which output is the vector follows from the names
that transformers gives them: ``image_embeds`` lies in the space shared with texts, ``pooler_output`` is the whole
image, and ``last_hidden_state`` holds one vector per patch, the first of which stands for the image in vision
transformers.
"""

from __future__ import annotations

import logging

from onnxembed.errors import ModelError, ModelNotFoundError
from onnxembed.formats.facts import Facts
from onnxembed.formats.onnx_graph import TensorInfo
from onnxembed.formats.weight_files import WEIGHTS_FILE
from onnxembed.hub.files import Files, graph_name
from onnxembed.hub.folder import CONFIG_FILE, GRAPH_LAYOUTS
from onnxembed.image.processor_config import processor_of
from onnxembed.image.processor_file import processor_file
from onnxembed.image.spec import COMPILED_OUTPUT, PROCESSOR_FILE, ImageModel, vector_width
from onnxembed.spec import GraphHead, PoolingType

logger = logging.getLogger("onnxembed.models")

_VISION_LAYOUTS = ("onnx/vision_model.onnx", "vision_model.onnx")
_VECTOR_OUTPUTS = ("image_embeds", "image_embeddings", "sentence_embedding", "pooler_output")
_AXES = 4
_DESCRIBED = "described by the files of its folder"


def matches(files: Files) -> bool:
    """Tell whether the files are those of an image model: pictures alone go in, and a file says how."""
    graph = _graph(files)
    if processor_file(files) is None:
        return False
    if graph is None:
        return files.has(WEIGHTS_FILE) and _refusal(files) is None
    facts = files.graph(graph)
    return facts is None or (len(facts.inputs) == 1 and len(facts.inputs[0].shape or (None,) * _AXES) == _AXES)


def describe(files: Files) -> ImageModel:
    """Describe the model that some files are of.

    Args:
        files: The files.

    Returns:
        The description. Its vectors are scaled to length 1. Of a graph that is not here yet, the output, the pooling
        and the length of the vectors remain open.

    Raises:
        ModelNotFoundError: If there is no graph, or nothing that says how pictures are prepared.
    """
    graph = _graph(files)
    if graph is None and not files.has(WEIGHTS_FILE):
        raise ModelNotFoundError(
            f"{files.where} holds no model: expected one of "
            f"{', '.join((*_VISION_LAYOUTS, *GRAPH_LAYOUTS, WEIGHTS_FILE))}"
        )
    stated = processor_file(files)
    if stated is None:
        raise ModelNotFoundError(
            f"{files.where} holds no {PROCESSOR_FILE}, which says how pictures are prepared; "
            "fetch it from where the model comes from"
        )
    processor_of(files)  # refuses what is not known here
    if graph is None:
        refused = _refusal(files)
        if refused is not None:
            raise refused
        return ImageModel(
            name=files.model_name,
            sources=files.sources,
            dim=0,
            processor_file=stated,
            output=COMPILED_OUTPUT,
            description=_DESCRIBED,
        )
    facts = files.graph(graph)
    output = None if facts is None else _output(facts.outputs)
    pooling = PoolingType.DISABLED if output is None else _pooling(files, output)
    return ImageModel(
        name=files.model_name,
        sources=files.sources,
        dim=0 if output is None else vector_width(output.shape, pooling) or 0,
        model_file=graph,
        processor_file=stated,
        pooling=pooling,
        output=0 if output is None else output.name,
        description=_DESCRIBED,
    )


def _refusal(files: Files) -> ModelError | None:
    """Tell from the configuration why weights cannot be compiled, if they cannot."""
    from onnxembed.compile import refusal

    config = Facts(files.json_object(CONFIG_FILE), files.label(CONFIG_FILE))
    return refusal(config, head=GraphHead.PICTURE_VECTOR, accepted=files.accept_unknown)


def _graph(files: Files) -> str | None:
    """The graph; one of the image side alone comes before one that may want texts, too."""
    alone = next((name for name in _VISION_LAYOUTS if files.has(name)), None)
    return alone or graph_name(files, GRAPH_LAYOUTS[0])


def _output(outputs: tuple[TensorInfo, ...]) -> TensorInfo:
    by_name = {output.name: output for output in outputs}
    return next((by_name[name] for name in _VECTOR_OUTPUTS if name in by_name), outputs[0])


def _pooling(files: Files, output: TensorInfo) -> PoolingType:
    """One vector per image as it is; of a feature map the mean; of patches the first."""
    shape = output.shape
    if shape is None or sum(size != 1 for size in shape[1:]) <= 1:
        return PoolingType.DISABLED
    if len(shape) != 3:
        return PoolingType.MEAN
    logger.warning(
        "%s does not say how it pools; the first vector of each image is taken. Describe it with add_custom_model() to "
        "choose",
        files.where,
    )
    return PoolingType.CLS
