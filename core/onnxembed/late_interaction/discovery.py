"""The description of a late-interaction model, read from its own files.

`conventions` reads how queries and documents are treated, `layers` what follows the token states. A dense model needs
no such metadata: its hidden states are taken as they are.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath

from onnxembed.errors import InputError
from onnxembed.hub.files import Files
from onnxembed.hub.folder import GRAPH_LAYOUTS
from onnxembed.late_interaction.conventions import MASK, POOLING, mask_token, read_conventions, says_conventions
from onnxembed.late_interaction.layers import ends_normalized, layer_files, read_layers
from onnxembed.late_interaction.spec import LateInteractionModel
from onnxembed.metadata.finish import finish
from onnxembed.metadata.stages import read_stages, require_known
from onnxembed.metadata.tokenizer import read_tokenizer_settings
from onnxembed.spec import PoolingType
from onnxembed.text.layout import is_text_model, require_text_model
from onnxembed.text.m3_files import COLBERT_HEAD, describe_with_heads, has_heads
from onnxembed.text.spec import DenseModel

_KNOWN_STAGES = frozenset({"Transformer", "Dense", "Normalize", MASK, POOLING})


def matches(files: Files) -> bool:
    """Tell whether the files are those of a text model that says how it treats queries and documents."""
    if not says_conventions(files):
        return False
    return is_text_model(files) or any(stage.path and stage.kind == "Transformer" for stage in read_stages(files))


def describe(files: Files) -> LateInteractionModel:
    """Describe the model that some files are of.

    Args:
        files: The files.

    Returns:
        The description.

    Raises:
        ModelNotFoundError: If there is neither a graph nor weights, or no tokenizer.
        UnsupportedModelError: If no file says how the model treats queries and documents, or a key is not known.
    """
    if has_heads(files):
        model = token_vectors_of(describe_with_heads(files, (COLBERT_HEAD,)))
        return replace(model, dim=0, token_head=COLBERT_HEAD, skip_first_token=True)
    stages = read_stages(files)
    require_known(files, stages, _KNOWN_STAGES)
    body = next((stage.path for stage in stages if stage.kind == "Transformer"), "")
    graph = require_text_model(files, body)
    said = read_conventions(files, stages, body)
    layers = read_layers(files, stages)
    normalized = ends_normalized(files, stages) or said.normalize
    tokenizer = read_tokenizer_settings(files, body, stored=bool(stages))
    finish(files, stages, (body,))
    expanded = said.query_length is not None
    return LateInteractionModel(
        name=files.model_name,
        sources=files.sources,
        dim=(layers[-1].outputs or 0) if layers else 0,  # else the graph says
        model_file=graph or PurePosixPath(body, GRAPH_LAYOUTS[0]).as_posix(),
        # The files of a folder are there; those of a repository are brought by their names.
        additional_files=tuple(file for layer in layers for file in layer_files(layer)) if files.sources else (),
        query_marker=said.query_marker,
        document_marker=said.document_marker,
        mask_token=(said.filler or mask_token(files)) if expanded else "",
        query_length=said.query_length,
        attend_to_expansion=expanded and said.attend,
        query_limit=said.query_limit,
        document_limit=said.document_limit,
        skip_rule=said.skip_rule,
        skip_words=said.skip_words,
        skip_in_documents=said.skip_in_documents,
        skip_in_queries=said.skip_in_queries,
        kept_tokens=said.kept_tokens,
        drop_padding_token=said.drop_padding_token,
        normalize_documents=normalized,
        normalize_queries=normalized,
        dense_stages=layers,
        token_pooling=said.token_pooling,
        prompts=said.prompts,
        default_prompt=said.default_prompt,
        compiled_pooling=PoolingType.DISABLED,
        body_folder=body,
        tokenizer=tokenizer,
        description="described by the files of its folder",
    )


def token_vectors_of(model: DenseModel) -> LateInteractionModel:
    """Describe the token vectors of a dense model: no markers, no expansion, nothing left out.

    A static model, in which tokens do not see each other, is an `InputError`.
    """
    if model.static:
        raise InputError(
            f"{model.name} is a table of fixed token vectors, without any that depend on the text; "
            "choose a model that runs as a graph"
        )
    return LateInteractionModel(
        name=model.name,
        sources=model.sources,
        dim=model.dim,
        model_file=model.model_file,
        additional_files=model.additional_files,
        pad_to_max_length=model.pad_to_max_length,
        query_task=model.query_task,
        document_task=model.passage_task,
        compiled_pooling=model.pooling,
        body_folder=model.body_folder,
        tokenizer=model.tokenizer,
        max_tokens=model.max_tokens,
        license=model.license,
        size_in_gb=model.size_in_gb,
        description=model.description,
    )
