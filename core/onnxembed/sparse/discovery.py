"""The description of a sparse model, read from its own files.

sentence-transformers lists the stages of a SPLADE model. Of other files, ``idf.json`` beside a graph is the table of an
inference-free model, ``minicoil.triplet.model.npy`` holds MiniCOIL's matrices, an output ``attention_<n>`` makes a BM42
model; what is left is SPLADE where the graph's output, or the architecture, is that of a masked-language model.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath

from onnxembed.errors import UnsupportedModelError
from onnxembed.formats.onnx_graph import TensorInfo
from onnxembed.formats.weight_files import WEIGHTS_FILE
from onnxembed.hub.files import Files
from onnxembed.hub.folder import CONFIG_FILE, GRAPH_LAYOUTS
from onnxembed.metadata.finish import finish
from onnxembed.metadata.prompts import SETTINGS_FILE, read_prompts
from onnxembed.metadata.stages import Stage, read_stages
from onnxembed.sparse.spec import (
    ATTENTIONS,
    FACTS,
    IDF_FILE,
    MATRICES_FILE,
    STOP_WORDS_FILE,
    SparseKind,
    SparseModel,
)
from onnxembed.sparse.stages import (
    SpladeStages,
    are_sparse,
    ends_with_auto_encoder,
    read_auto_encoder,
    read_splade,
)
from onnxembed.spec import TOKENIZER_FILE
from onnxembed.text.layout import architectures, is_text_model, require_text_model
from onnxembed.text.m3_files import SPARSE_HEAD, describe_with_heads, has_heads
from onnxembed.text.pipeline import describe_pipeline
from onnxembed.text.spec import DenseModel, Prompts


def matches(files: Files) -> bool:
    """Tell whether the files are those of a sparse model.

    The architecture of a masked-language model alone decides only where neither stages nor a graph say more: many dense
    models are published with it.
    """
    stages = read_stages(files)
    if are_sparse(files, stages):
        return True
    if not is_text_model(files):
        return False
    outputs = _outputs(files, require_text_model(files))
    if _kind_of_files(files, outputs) is not None:
        return True
    if has_heads(files):
        return False  # a dense model that has sparse vectors too; asked for by the class or by kind=
    if stages:
        return False
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
    stages = read_stages(files)
    if ends_with_auto_encoder(stages):
        return _described_by_dense(files, stages)
    if are_sparse(files, stages):
        return _described_by_stages(files, read_splade(files, stages))
    if has_heads(files):
        return _with_token_weights(describe_with_heads(files, (SPARSE_HEAD,)))
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


def _described_by_stages(files: Files, said: SpladeStages) -> SparseModel:
    finish(files, said.read, (said.body,))
    graph = require_text_model(files, said.body)
    table = [PurePosixPath(said.query_table, name).as_posix() for name in (WEIGHTS_FILE, TOKENIZER_FILE)]
    return SparseModel(
        name=files.model_name,
        sources=files.sources,
        kind=SparseKind.SPLADE,
        model_file=graph or PurePosixPath(said.body, GRAPH_LAYOUTS[0]).as_posix(),
        additional_files=tuple(table) if said.query_table else (),
        body_folder=said.body,
        tokenizer=said.tokenizer,
        query_tokenizer=said.query_tokenizer,
        logarithms=said.logarithms,
        summed=said.summed,
        top_k=said.top_k,
        query_table=said.query_table,
        prompts=said.prompts,
        default_prompt=said.default_prompt,
        description="described by the files of its folder",
    )


def _described_by_dense(files: Files, stages: tuple[Stage, ...]) -> SparseModel:
    """Describe a dense model whose vectors are made sparse at the end."""
    encoder, kept = read_auto_encoder(files, stages[-1])
    dense = describe_pipeline(files, stages[:-1], None)
    settings = files.facts(SETTINGS_FILE)
    settings.expect("model_type", ("SparseEncoder",), "SparseEncoder")
    stored = read_prompts(settings)
    top_k = settings.optional_whole("max_active_dims") or kept
    finish(files, stages, (dense.body_folder,))
    needed = (*dense.additional_files, *([stages[-1].file(WEIGHTS_FILE)] if files.sources else ()))
    return SparseModel(
        name=files.model_name,
        sources=files.sources,
        kind=SparseKind.AUTO_ENCODER,
        model_file=dense.model_file,
        additional_files=needed,
        body_folder=dense.body_folder,
        tokenizer=dense.tokenizer,
        dense=replace(dense, additional_files=needed),
        encoder=encoder,
        vocab_size=encoder.entries,
        top_k=top_k,
        prompts=Prompts(stored.query, stored.document),
        default_prompt=None if stored.default_name is None else stored.default,
        description="described by the files of its folder",
    )


def _with_token_weights(model: DenseModel) -> SparseModel:
    """The sparse vectors of a dense model with BGE-M3's heads; it has no prompts for them."""
    return SparseModel(
        name=model.name,
        sources=model.sources,
        kind=SparseKind.TOKEN_WEIGHTS,
        model_file=model.model_file,
        additional_files=model.additional_files,
        body_folder=model.body_folder,
        tokenizer=model.tokenizer,
        description=model.description,
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
