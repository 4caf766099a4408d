"""The description of a multimodal late-interaction model, read from its ``config.json``."""

from __future__ import annotations

from collections.abc import Mapping

from onnxembed.errors import ModelNotFoundError, UnsupportedModelError
from onnxembed.hub.files import Files, graph_name
from onnxembed.hub.folder import CONFIG_FILE, GRAPH_LAYOUTS
from onnxembed.image.processor_file import NESTED_FILE
from onnxembed.multimodal.spec import MultimodalKind, MultimodalModel
from onnxembed.text.layout import require_tokenizer

_KIND_OF_TYPE: Mapping[str, MultimodalKind] = {
    "colpali": MultimodalKind.COLPALI,
    "paligemma": MultimodalKind.COLPALI,
    "colmodernvbert": MultimodalKind.COLMODERNVBERT,
    "modernvbert": MultimodalKind.COLMODERNVBERT,
    "colqwen2": MultimodalKind.COLQWEN2,
    "qwen2_vl": MultimodalKind.COLQWEN2,
}
_LAYOUTS = (*GRAPH_LAYOUTS, "model_v2.onnx")


def matches(files: Files) -> bool:
    """Tell whether ``config.json`` names a type of model that is known here."""
    return str(files.json_object(CONFIG_FILE).get("model_type")) in _KIND_OF_TYPE


def describe(files: Files) -> MultimodalModel:
    """Describe the model that some files are of.

    Args:
        files: The files.

    Returns:
        The description.

    Raises:
        ModelNotFoundError: If there is no graph or no tokenizer.
        UnsupportedModelError: If ``config.json`` names no ``model_type`` that is known here.
    """
    graph = next((found for name in _LAYOUTS if (found := graph_name(files, name)) is not None), None)
    if graph is None:
        raise ModelNotFoundError(
            f"{files.where} holds no graph: expected one of {', '.join(_LAYOUTS)}; models of this kind are not "
            "compiled from weights, export one to ONNX first"
        )
    require_tokenizer(files)
    config = files.json_object(CONFIG_FILE)
    kind = _KIND_OF_TYPE.get(str(config.get("model_type")))
    if kind is None:
        raise UnsupportedModelError(
            f"{files.label(CONFIG_FILE)} names the model_type {config.get('model_type')!r}; expected one of "
            f"{', '.join(_KIND_OF_TYPE)}. If the model is of one of these kinds nevertheless, describe it with "
            "add_custom_model(kind=...) and open it with specific_model_path="
        )
    width = config.get("embedding_dim")
    return MultimodalModel(
        name=files.model_name,
        sources=files.sources,
        kind=kind,
        dim=width if isinstance(width, int) and not isinstance(width, bool) and width > 0 else 0,
        model_file=graph,
        # What a folder holds is there; what a repository holds is brought by its name.
        additional_files=(NESTED_FILE,) if files.sources and files.has(NESTED_FILE) else (),
        description="described by the files of its folder",
    )
