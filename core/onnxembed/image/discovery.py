"""The description of an image model in a local folder, read from its graph.

What is done to pictures stands in ``preprocessor_config.json``. Which output is the vector is told by the names that
transformers gives them: ``image_embeds`` lies in the space shared with texts, ``pooler_output`` is the whole image, and
``last_hidden_state`` holds one vector a patch, the first of which stands for the image in vision transformers.
"""

from __future__ import annotations

import logging
from pathlib import Path

from onnxembed.api.graph_file import find_graph
from onnxembed.errors import ModelNotFoundError
from onnxembed.formats.onnx_graph import TensorInfo, inspect_graph
from onnxembed.hub.folder import GRAPH_LAYOUTS
from onnxembed.image.spec import PROCESSOR_FILE, ImageModel, vector_width
from onnxembed.spec import PoolingType

logger = logging.getLogger("onnxembed.models")

_VISION_LAYOUTS = ("onnx/vision_model.onnx", "vision_model.onnx")
_NESTED_PROCESSOR_FILE = "processor_config.json"
_VECTOR_OUTPUTS = ("image_embeds", "image_embeddings", "sentence_embedding", "pooler_output")


def describe_image_folder(folder: Path) -> ImageModel:
    """Describe the image model in a folder.

    Args:
        folder: An existing folder.

    Returns:
        A description whose name is the folder's path. Its vectors are scaled to length 1.

    Raises:
        ModelNotFoundError: If the folder holds no graph, or nothing that says how pictures are prepared.
    """
    graph = _graph(folder)
    if graph is None:
        raise ModelNotFoundError(
            f"the folder {folder} holds no graph: expected one of {', '.join((*_VISION_LAYOUTS, *GRAPH_LAYOUTS))}. "
            "Image models are not compiled from weights; export the model to ONNX"
        )
    processor_file = next((name for name in (PROCESSOR_FILE, _NESTED_PROCESSOR_FILE) if (folder / name).is_file()), "")
    if not processor_file:
        raise ModelNotFoundError(
            f"the folder {folder} holds no {PROCESSOR_FILE}, which says how pictures are prepared; "
            "fetch it from where the model comes from"
        )
    output = _output(inspect_graph(graph).outputs)
    pooling = _pooling(folder, output)
    return ImageModel(
        name=str(folder),
        sources=(),
        dim=vector_width(output.shape, pooling) or 0,
        model_file=graph.relative_to(folder).as_posix(),
        processor_file=processor_file,
        pooling=pooling,
        output=output.name,
        description="described by the files of its folder",
    )


def _graph(folder: Path) -> Path | None:
    """The graph; one of the image side alone comes before one that may want texts, too."""
    for name in _VISION_LAYOUTS:
        if (folder / name).is_file():
            return folder / name
    return find_graph(folder, GRAPH_LAYOUTS[0])


def _output(outputs: tuple[TensorInfo, ...]) -> TensorInfo:
    by_name = {output.name: output for output in outputs}
    return next((by_name[name] for name in _VECTOR_OUTPUTS if name in by_name), outputs[0])


def _pooling(folder: Path, output: TensorInfo) -> PoolingType:
    """One vector an image as it is; of a feature map the mean; of patches the first."""
    shape = output.shape
    if shape is None or sum(size != 1 for size in shape[1:]) <= 1:
        return PoolingType.DISABLED
    if len(shape) != 3:
        return PoolingType.MEAN
    logger.warning(
        "%s does not say how it pools; the first vector of each image is taken. Describe it with add_custom_model() to "
        "choose",
        folder,
    )
    return PoolingType.CLS
