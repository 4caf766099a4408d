"""The description of a late-interaction model, read from its own files.

PyLate writes ``config_sentence_transformers.json`` and ``modules.json``; the ColBERT code writes ``artifact.metadata``.
A dense model needs no such metadata: its hidden states are taken as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from onnxembed.errors import InputError, ModelError, ModelNotFoundError, UnsupportedModelError
from onnxembed.formats.weight_files import WEIGHTS_FILE
from onnxembed.hub.files import Files
from onnxembed.hub.folder import CONFIG_FILE, GRAPH_LAYOUTS, safe_relative
from onnxembed.late_interaction.spec import PUNCTUATION, LateInteractionModel, SkipRule
from onnxembed.metadata.prompts import SETTINGS_FILE
from onnxembed.metadata.stages import STAGES_FILE, read_stages
from onnxembed.spec import PoolingType
from onnxembed.text.layout import is_text_model, require_text_model
from onnxembed.text.spec import DenseModel
from onnxembed.text.tokenizer_rules import token_text

_COLBERT_FILE = "artifact.metadata"
_PYLATE_KEYS = frozenset({"query_prefix", "document_prefix", "query_length", "document_length", "skiplist_words"})
_IDENTITY = frozenset({"Identity", ""})
_KNOWN_STAGES = frozenset({"Transformer", "Dense", "Normalize"})


@dataclass(frozen=True, slots=True)
class _Conventions:
    """What the metadata of a folder say of queries and documents."""

    query_marker: str | None
    document_marker: str | None
    query_limit: int
    document_limit: int
    expanded: bool
    attend: bool
    skip_rule: SkipRule
    skip_words: tuple[str, ...]
    drop_padding_token: bool


def matches(files: Files) -> bool:
    """Tell whether the files are those of a text model that says how it treats queries and documents."""
    return is_text_model(files) and (
        not _PYLATE_KEYS.isdisjoint(files.json_object(SETTINGS_FILE)) or bool(files.json_object(_COLBERT_FILE))
    )


def describe(files: Files) -> LateInteractionModel:
    """Describe the model that some files are of.

    Args:
        files: The files.

    Returns:
        The description.

    Raises:
        ModelNotFoundError: If there is neither a graph nor weights, or no tokenizer.
        UnsupportedModelError: If no file says how the model treats queries and documents.
    """
    graph = require_text_model(files)
    conventions = _conventions(files)
    layers = _dense_layers(files)
    expanded = conventions.expanded
    return LateInteractionModel(
        name=files.model_name,
        sources=files.sources,
        dim=_width(files, layers),
        model_file=graph or GRAPH_LAYOUTS[0],
        # The files of a folder are there; those of a repository are brought by their names.
        additional_files=tuple(file for layer in layers for file in _layer_files(layer)) if files.sources else (),
        query_marker=conventions.query_marker,
        document_marker=conventions.document_marker,
        mask_token=_mask_token(files) if expanded else "",
        query_length=conventions.query_limit if expanded else None,
        attend_to_expansion=expanded and conventions.attend,
        query_limit=conventions.query_limit,
        document_limit=conventions.document_limit,
        skip_rule=conventions.skip_rule,
        skip_words=conventions.skip_words,
        drop_padding_token=conventions.drop_padding_token,
        dense_stages=layers,
        compiled_pooling=PoolingType.DISABLED,
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


def _conventions(files: Files) -> _Conventions:
    stored = files.json_object(SETTINGS_FILE)
    if not _PYLATE_KEYS.isdisjoint(stored):
        return _pylate_conventions(files.label(SETTINGS_FILE), stored)
    stored = files.json_object(_COLBERT_FILE)
    if stored:
        return _colbert_conventions(files.label(_COLBERT_FILE), stored)
    raise UnsupportedModelError(
        f"{files.where} does not say how it marks queries and documents: expected {SETTINGS_FILE} as PyLate writes it, "
        f"or {_COLBERT_FILE}. Open it under a model's name with specific_model_path=, describe it with "
        "add_custom_model(), or pass dense=True for the plain token vectors of a dense model"
    )


def _pylate_conventions(where: str, stored: Mapping[str, Any]) -> _Conventions:
    """PyLate's entries and its defaults. An empty prefix is none; an empty list of words skips nothing."""
    words = stored.get("skiplist_words")
    if words is not None and not (isinstance(words, list) and all(isinstance(word, str) for word in words)):
        raise ModelError(f"{where}: skiplist_words is {words!r:.100}; expected a list of strings")
    skipped = PUNCTUATION if words is None else tuple(words)
    return _Conventions(
        query_marker=_text(where, stored, "query_prefix", "[Q] ") or None,
        document_marker=_text(where, stored, "document_prefix", "[D] ") or None,
        query_limit=_length(where, stored, "query_length", 32),
        document_limit=_length(where, stored, "document_length", 180),
        expanded=_flag(where, stored, "do_query_expansion", default=True),
        attend=_flag(where, stored, "attend_to_expansion_tokens", default=False),
        skip_rule=SkipRule.VOCABULARY if skipped else SkipRule.NONE,
        skip_words=skipped,
        drop_padding_token=False,
    )


def _colbert_conventions(where: str, stored: Mapping[str, Any]) -> _Conventions:
    return _Conventions(
        query_marker=_text(where, stored, "query_token_id", "[unused0]"),
        document_marker=_text(where, stored, "doc_token_id", "[unused1]"),
        query_limit=_length(where, stored, "query_maxlen", 32),
        document_limit=_length(where, stored, "doc_maxlen", 220),
        expanded=True,
        attend=_flag(where, stored, "attend_to_mask_tokens", default=False),
        skip_rule=SkipRule.FIRST_PIECE if _flag(where, stored, "mask_punctuation", default=True) else SkipRule.NONE,
        skip_words=PUNCTUATION,
        drop_padding_token=True,
    )


def _text(where: str, stored: Mapping[str, Any], key: str, default: str) -> str:
    value = stored.get(key)
    if value is None:
        return default
    if not isinstance(value, str):
        raise ModelError(f"{where}: {key} is {value!r:.100}; expected a string")
    return value


def _length(where: str, stored: Mapping[str, Any], key: str, default: int) -> int:
    value = stored.get(key)
    if value is None:
        return default
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ModelError(f"{where}: {key} is {value!r:.100}; expected a number of tokens, at least 1")
    return value


def _flag(where: str, stored: Mapping[str, Any], key: str, *, default: bool) -> bool:
    value = stored.get(key)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise ModelError(f"{where}: {key} is {value!r:.100}; expected true or false")
    return value


def _mask_token(files: Files) -> str:
    """The token that fills queries, as the tokenizer's files name it."""
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        text = token_text(files.json_object(name).get("mask_token"))
        if text is not None:
            return text
    raise ModelError(
        f"{files.where} fills queries with mask tokens, but names none: expected a mask_token in "
        "special_tokens_map.json or tokenizer_config.json"
    )


def _dense_layers(files: Files) -> tuple[str, ...]:
    """The folders of the linear layers, in order."""
    layers: list[str] = []
    for stage in read_stages(files):
        if stage.kind not in _KNOWN_STAGES:
            raise UnsupportedModelError(
                f"{files.label(STAGES_FILE)} lists the stage {stage.kind!r}, which is not supported; "
                f"supported are {', '.join(sorted(_KNOWN_STAGES))}"
            )
        if stage.kind == "Dense":
            layers.append(safe_relative(stage.path))
            _check_layer(files, stage.path)
    return tuple(layers)


def _layer_files(layer: str) -> tuple[str, str]:
    """The configuration and the weights of a linear layer."""
    return (PurePosixPath(layer, CONFIG_FILE).as_posix(), PurePosixPath(layer, WEIGHTS_FILE).as_posix())


def _check_layer(files: Files, layer: str) -> None:
    config_file, weights_file = _layer_files(layer)
    config = files.json_object(config_file)
    activation = str(config.get("activation_function", "")).rsplit(".", 1)[-1]
    if activation not in _IDENTITY or config.get("use_residual") is True:
        raise UnsupportedModelError(
            f"{files.label(config_file)} describes more than a linear layer (activation {activation or 'Identity'!r}, "
            f"residual {bool(config.get('use_residual'))}); only plain linear layers are supported"
        )
    if not files.has(weights_file):
        raise ModelNotFoundError(
            f"{files.label(layer)} holds no {WEIGHTS_FILE}; expected the weights of the linear layer there"
        )


def _width(files: Files, layers: tuple[str, ...]) -> int:
    """Numbers of a vector as the last linear layer has it; 0 where there is none and the graph says."""
    width = files.json_object(_layer_files(layers[-1])[0]).get("out_features") if layers else None
    return width if isinstance(width, int) and not isinstance(width, bool) and width > 0 else 0
