"""The description of a sparse model in a local folder, read from its own files.

``idf.json`` beside a graph is the table of an inference-free model, ``minicoil.triplet.model.npy`` holds MiniCOIL's
matrices, an output ``attention_<n>`` makes a BM42 model; what is left is SPLADE where the graph's output, or the
architecture, is that of a masked-language model.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from onnxembed.api.graph_file import find_graph
from onnxembed.errors import ModelError, ModelNotFoundError, UnsupportedModelError
from onnxembed.formats.onnx_graph import TensorInfo, inspect_graph
from onnxembed.hub.folder import GRAPH_LAYOUTS, WEIGHTS_FILE
from onnxembed.sparse.spec import SparseKind, SparseModel

_IDF_FILE = "idf.json"
_MINICOIL_FILES = ("minicoil.triplet.model.npy", "minicoil.triplet.model.vocab")
_STOP_WORDS_FILE = "stopwords.txt"
_IDF_KINDS = frozenset({SparseKind.BM42, SparseKind.MINICOIL})


def describe_sparse_folder(folder: Path) -> SparseModel:
    """Describe the sparse model in a folder.

    Args:
        folder: An existing folder.

    Returns:
        A description whose name is the folder's path.

    Raises:
        ModelNotFoundError: If the folder holds neither a graph nor weights, or no tokenizer.
        UnsupportedModelError: If its files do not tell which kind of sparse model it is.
    """
    graph = find_graph(folder, GRAPH_LAYOUTS[0])
    if graph is None and not (folder / WEIGHTS_FILE).is_file():
        tried = ", ".join((*GRAPH_LAYOUTS, WEIGHTS_FILE))
        raise ModelNotFoundError(f"the folder {folder} holds no model: expected one of {tried}")
    if not (folder / "tokenizer.json").is_file():
        raise ModelNotFoundError(
            f"the folder {folder} holds no tokenizer.json; expected the model's fast tokenizer there"
        )
    outputs = () if graph is None else inspect_graph(graph).outputs
    kind = _kind(folder, outputs)
    extra = {
        SparseKind.INFERENCE_FREE: (_IDF_FILE,),
        SparseKind.MINICOIL: _MINICOIL_FILES,
    }.get(kind, ())
    if kind in _IDF_KINDS and (folder / _STOP_WORDS_FILE).is_file():
        extra = (_STOP_WORDS_FILE, *extra)
    return SparseModel(
        name=str(folder),
        sources=(),
        kind=kind,
        model_file=graph.relative_to(folder).as_posix() if graph is not None else GRAPH_LAYOUTS[0],
        additional_files=extra,
        requires_idf=kind in _IDF_KINDS,
        description="described by the files of its folder",
    )


def _kind(folder: Path, outputs: tuple[TensorInfo, ...]) -> SparseKind:
    if (folder / _MINICOIL_FILES[0]).is_file():
        return SparseKind.MINICOIL
    if any(re.fullmatch(r"attention_\d+|cls_attention", output.name) for output in outputs):
        return SparseKind.BM42
    if (folder / _IDF_FILE).is_file():
        return SparseKind.INFERENCE_FREE
    config = _config(folder)
    architectures = config.get("architectures")
    masked = isinstance(architectures, list) and any(str(name).endswith("ForMaskedLM") for name in architectures)
    last = outputs[0].shape[-1] if outputs and outputs[0].shape else None
    if masked or (isinstance(last, int) and last == config.get("vocab_size")):
        return SparseKind.SPLADE
    raise UnsupportedModelError(
        f"the files in {folder} do not tell which kind of sparse model it is; register it with "
        "SparseTextEmbedding.add_custom_model(model, kind, ...) and open it by that name with specific_model_path="
    )


def _config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path} is not valid JSON in UTF-8 ({error})") from error
    return content if isinstance(content, dict) else {}
