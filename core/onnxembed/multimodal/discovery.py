"""The description of a multimodal late-interaction model in a local folder, read from its ``config.json``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from onnxembed.api.graph_file import find_graph
from onnxembed.errors import ModelNotFoundError, UnsupportedModelError
from onnxembed.formats.json_file import read_object
from onnxembed.hub.folder import CONFIG_FILE, GRAPH_LAYOUTS, TOKENIZER_FILE
from onnxembed.multimodal.spec import MultimodalKind, MultimodalModel

_KIND_OF_TYPE: Mapping[str, MultimodalKind] = {
    "colpali": MultimodalKind.COLPALI,
    "paligemma": MultimodalKind.COLPALI,
    "colmodernvbert": MultimodalKind.COLMODERNVBERT,
    "modernvbert": MultimodalKind.COLMODERNVBERT,
    "colqwen2": MultimodalKind.COLQWEN2,
    "qwen2_vl": MultimodalKind.COLQWEN2,
}
_LAYOUTS = (*GRAPH_LAYOUTS, "model_v2.onnx")


def describe_multimodal_folder(folder: Path) -> MultimodalModel:
    """Describe the multimodal late-interaction model in a folder.

    Args:
        folder: An existing folder.

    Returns:
        A description whose name is the folder's path.

    Raises:
        ModelNotFoundError: If the folder holds no graph or no tokenizer.
        UnsupportedModelError: If ``config.json`` names no ``model_type`` that is known here.
    """
    graph = next((found for name in _LAYOUTS if (found := find_graph(folder, name)) is not None), None)
    if graph is None:
        raise ModelNotFoundError(
            f"the folder {folder} holds no graph: expected one of {', '.join(_LAYOUTS)}; models of this kind are not "
            "compiled from weights, export one to ONNX first"
        )
    if not (folder / TOKENIZER_FILE).is_file():
        raise ModelNotFoundError(
            f"the folder {folder} holds no {TOKENIZER_FILE}; expected the model's fast tokenizer there"
        )
    config = read_object(folder / CONFIG_FILE)
    kind = _KIND_OF_TYPE.get(str(config.get("model_type")))
    if kind is None:
        raise UnsupportedModelError(
            f"{folder / CONFIG_FILE} names the model_type {config.get('model_type')!r}; expected one of "
            f"{', '.join(_KIND_OF_TYPE)}. If the model is of one of these kinds nevertheless, describe it with "
            "add_custom_model(kind=...) and open it with specific_model_path="
        )
    width = config.get("embedding_dim")
    return MultimodalModel(
        name=str(folder),
        sources=(),
        kind=kind,
        dim=width if isinstance(width, int) and not isinstance(width, bool) and width > 0 else 0,
        model_file=graph.relative_to(folder).as_posix(),
        description="described by the files of its folder",
    )
