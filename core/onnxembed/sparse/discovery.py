"""The description of a sparse model, read from its own files.

``idf.json`` beside a graph is the table of an inference-free model, ``minicoil.triplet.model.npy`` holds MiniCOIL's
matrices, an output ``attention_<n>`` makes a BM42 model; what is left is SPLADE where the graph's output, or the
architecture, is that of a masked-language model.
"""

from __future__ import annotations

from onnxembed.errors import UnsupportedModelError
from onnxembed.formats.onnx_graph import TensorInfo
from onnxembed.hub.files import Files
from onnxembed.hub.folder import CONFIG_FILE, GRAPH_LAYOUTS
from onnxembed.metadata.stages import read_stages
from onnxembed.sparse.spec import (
    ATTENTIONS,
    FACTS,
    IDF_FILE,
    MATRICES_FILE,
    STOP_WORDS_FILE,
    SparseKind,
    SparseModel,
)
from onnxembed.text.layout import architectures, is_text_model, require_text_model

_SPLADE_STAGES = frozenset({"MLMTransformer", "SpladePooling"})


def matches(files: Files) -> bool:
    """Tell whether the files are those of a sparse model.

    The architecture of a masked-language model alone decides only where neither stages nor a graph say more: many dense
    models are published with it.
    """
    if not is_text_model(files):
        return False
    outputs = _outputs(files, require_text_model(files))
    if _kind_of_files(files, outputs) is not None:
        return True
    stages = {stage.kind for stage in read_stages(files)}
    if stages:
        return not stages.isdisjoint(_SPLADE_STAGES)
    width = outputs[0].shape[-1] if outputs and outputs[0].shape else None
    return _gives_logits(files, outputs) or (not isinstance(width, int) and _is_masked(files))


def describe(files: Files) -> SparseModel:
    """Describe the model that some files are of.

    Args:
        files: The files.

    Returns:
        The description. Of a graph that is not here yet, only the files beside it say the kind.

    Raises:
        ModelNotFoundError: If there is neither a graph nor weights, or no tokenizer.
        UnsupportedModelError: If the files do not say which kind of sparse model it is.
    """
    graph = require_text_model(files)
    outputs = _outputs(files, graph)
    kind = _kind_of_files(files, outputs)
    if kind is None:
        if not _is_masked(files) and not _gives_logits(files, outputs):
            raise UnsupportedModelError(
                f"the files in {files.where} do not say which kind of sparse model it is; register it with "
                "SparseTextEmbedding.add_custom_model(model, kind, ...) and open it by that name with "
                "specific_model_path="
            )
        kind = SparseKind.SPLADE
    facts = FACTS[kind]
    stop_words = (STOP_WORDS_FILE,) if facts.requires_idf and files.has(STOP_WORDS_FILE) else ()
    return SparseModel(
        name=files.model_name,
        sources=files.sources,
        kind=kind,
        model_file=graph or GRAPH_LAYOUTS[0],
        additional_files=(*stop_words, *facts.files),
        requires_idf=facts.requires_idf,
        description="described by the files of its folder",
    )


def _outputs(files: Files, graph: str | None) -> tuple[TensorInfo, ...]:
    facts = None if graph is None else files.graph(graph)
    return () if facts is None else facts.outputs


def _kind_of_files(files: Files, outputs: tuple[TensorInfo, ...]) -> SparseKind | None:
    """The kind that only one sort of model has the files, or the outputs, of."""
    if files.has(MATRICES_FILE):
        return SparseKind.MINICOIL
    if any(ATTENTIONS.fullmatch(output.name) for output in outputs):
        return SparseKind.BM42
    return SparseKind.INFERENCE_FREE if files.has(IDF_FILE) else None


def _is_masked(files: Files) -> bool:
    return any(name.endswith("ForMaskedLM") for name in architectures(files))


def _gives_logits(files: Files, outputs: tuple[TensorInfo, ...]) -> bool:
    """Whether the first output has as many numbers as the vocabulary has entries."""
    width = outputs[0].shape[-1] if outputs and outputs[0].shape else None
    return isinstance(width, int) and width == files.json_object(CONFIG_FILE).get("vocab_size")
