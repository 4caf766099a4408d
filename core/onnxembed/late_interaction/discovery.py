"""The description of a late-interaction model in a local folder, read from its own metadata.

PyLate writes ``config_sentence_transformers.json`` and ``modules.json``; the ColBERT code writes ``artifact.metadata``.
A dense model needs no such metadata: its hidden states are taken as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onnxembed.api.graph_file import find_graph
from onnxembed.errors import InputError, ModelError, ModelNotFoundError, UnsupportedModelError
from onnxembed.formats.json_file import read_json_file, read_object
from onnxembed.hub.folder import GRAPH_LAYOUTS, WEIGHTS_FILE, safe_relative
from onnxembed.late_interaction.spec import PUNCTUATION, LateInteractionModel, SkipRule
from onnxembed.spec import DenseModel, PoolingType

_PYLATE_FILE = "config_sentence_transformers.json"
_COLBERT_FILE = "artifact.metadata"
_PYLATE_KEYS = frozenset({"query_prefix", "document_prefix", "query_length", "document_length", "skiplist_words"})
_IDENTITY = frozenset({"Identity", ""})
_STAGES = frozenset({"Transformer", "Dense", "Normalize"})


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


def describe_late_interaction_folder(folder: Path) -> LateInteractionModel:
    """Describe the late-interaction model in a folder.

    Args:
        folder: An existing folder.

    Returns:
        A description whose name is the folder's path.

    Raises:
        ModelNotFoundError: If the folder holds neither a graph nor weights, or no tokenizer.
        UnsupportedModelError: If nothing there tells how the model treats queries and documents.
    """
    graph = find_graph(folder, GRAPH_LAYOUTS[0])
    if graph is None and not (folder / WEIGHTS_FILE).is_file():
        tried = ", ".join((*GRAPH_LAYOUTS, WEIGHTS_FILE))
        raise ModelNotFoundError(f"the folder {folder} holds no model: expected one of {tried}")
    if not (folder / "tokenizer.json").is_file():
        raise ModelNotFoundError(
            f"the folder {folder} holds no tokenizer.json; expected the model's fast tokenizer there"
        )
    conventions = _conventions(folder)
    stages = _dense_stages(folder)
    expanded = conventions.expanded
    return LateInteractionModel(
        name=str(folder),
        sources=(),
        dim=_stage_width(folder, stages),
        model_file=graph.relative_to(folder).as_posix() if graph is not None else GRAPH_LAYOUTS[0],
        query_marker=conventions.query_marker,
        document_marker=conventions.document_marker,
        mask_token=_mask_token(folder) if expanded else "",
        query_length=conventions.query_limit if expanded else None,
        attend_to_expansion=expanded and conventions.attend,
        query_limit=conventions.query_limit,
        document_limit=conventions.document_limit,
        skip_rule=conventions.skip_rule,
        skip_words=conventions.skip_words,
        drop_padding_token=conventions.drop_padding_token,
        dense_stages=stages,
        compiled_pooling=PoolingType.DISABLED,
        description="described by the files of its folder",
    )


def token_vectors_of(model: DenseModel) -> LateInteractionModel:
    """Describe the token vectors of a dense model: no markers, no expansion, nothing left out.

    Args:
        model: The dense model.

    Returns:
        The description, under the same name.

    Raises:
        InputError: If the model is a static one, in which tokens do not see each other.
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
        max_tokens=model.max_tokens,
        license=model.license,
        size_in_gb=model.size_in_gb,
        description=model.description,
    )


def _conventions(folder: Path) -> _Conventions:
    stored = read_object(folder / _PYLATE_FILE)
    if not _PYLATE_KEYS.isdisjoint(stored):
        return _pylate_conventions(folder / _PYLATE_FILE, stored)
    stored = read_object(folder / _COLBERT_FILE)
    if stored:
        return _colbert_conventions(folder / _COLBERT_FILE, stored)
    raise UnsupportedModelError(
        f"{folder} does not say how it marks queries and documents: expected {_PYLATE_FILE} as PyLate writes it, or "
        f"{_COLBERT_FILE}. Open it under a model's name with specific_model_path=, describe it with "
        "add_custom_model(), or pass dense=True for the plain token vectors of a dense model"
    )


def _pylate_conventions(path: Path, stored: Mapping[str, Any]) -> _Conventions:
    """PyLate's entries and its defaults. An empty prefix is none; an empty list of words skips nothing."""
    words = stored.get("skiplist_words")
    if words is not None and not (isinstance(words, list) and all(isinstance(word, str) for word in words)):
        raise ModelError(f"{path}: skiplist_words is {words!r:.100}; expected a list of strings")
    skipped = PUNCTUATION if words is None else tuple(words)
    return _Conventions(
        query_marker=_text(path, stored, "query_prefix", "[Q] ") or None,
        document_marker=_text(path, stored, "document_prefix", "[D] ") or None,
        query_limit=_length(path, stored, "query_length", 32),
        document_limit=_length(path, stored, "document_length", 180),
        expanded=_flag(path, stored, "do_query_expansion", default=True),
        attend=_flag(path, stored, "attend_to_expansion_tokens", default=False),
        skip_rule=SkipRule.VOCABULARY if skipped else SkipRule.NONE,
        skip_words=skipped,
        drop_padding_token=False,
    )


def _colbert_conventions(path: Path, stored: Mapping[str, Any]) -> _Conventions:
    return _Conventions(
        query_marker=_text(path, stored, "query_token_id", "[unused0]"),
        document_marker=_text(path, stored, "doc_token_id", "[unused1]"),
        query_limit=_length(path, stored, "query_maxlen", 32),
        document_limit=_length(path, stored, "doc_maxlen", 220),
        expanded=True,
        attend=_flag(path, stored, "attend_to_mask_tokens", default=False),
        skip_rule=SkipRule.FIRST_PIECE if _flag(path, stored, "mask_punctuation", default=True) else SkipRule.NONE,
        skip_words=PUNCTUATION,
        drop_padding_token=True,
    )


def _text(path: Path, stored: Mapping[str, Any], key: str, default: str) -> str:
    value = stored.get(key)
    if value is None:
        return default
    if not isinstance(value, str):
        raise ModelError(f"{path}: {key} is {value!r:.100}; expected a string")
    return value


def _length(path: Path, stored: Mapping[str, Any], key: str, default: int) -> int:
    value = stored.get(key)
    if value is None:
        return default
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ModelError(f"{path}: {key} is {value!r:.100}; expected a number of tokens, at least 1")
    return value


def _flag(path: Path, stored: Mapping[str, Any], key: str, *, default: bool) -> bool:
    value = stored.get(key)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise ModelError(f"{path}: {key} is {value!r:.100}; expected true or false")
    return value


def _mask_token(folder: Path) -> str:
    """The token that fills queries, as the tokenizer's files name it."""
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        token = read_object(folder / name).get("mask_token")
        text = token.get("content") if isinstance(token, dict) else token
        if isinstance(text, str):
            return text
    raise ModelError(
        f"{folder} fills queries with mask tokens, but names none: expected a mask_token in special_tokens_map.json or "
        "tokenizer_config.json"
    )


def _dense_stages(folder: Path) -> tuple[str, ...]:
    """The folders of the linear layers, in order."""
    listed = read_json_file(folder / "modules.json")
    stages: list[str] = []
    for module in listed if isinstance(listed, list) else []:
        kind = str(module.get("type", "")).rsplit(".", 1)[-1] if isinstance(module, dict) else ""
        if kind not in _STAGES:
            raise UnsupportedModelError(
                f"{folder / 'modules.json'} lists the stage {kind!r}, which is not supported; "
                f"supported are {', '.join(sorted(_STAGES))}"
            )
        if kind == "Dense":
            stages.append(safe_relative(str(module.get("path", "")).rstrip("/")))
            _check_stage(folder / stages[-1])
    return tuple(stages)


def _check_stage(stage: Path) -> None:
    config = read_object(stage / "config.json")
    activation = str(config.get("activation_function", "")).rsplit(".", 1)[-1]
    if activation not in _IDENTITY or config.get("use_residual") is True:
        raise UnsupportedModelError(
            f"{stage / 'config.json'} describes more than a linear layer (activation {activation or 'Identity'!r}, "
            f"residual {bool(config.get('use_residual'))}); only plain linear layers are supported"
        )
    if not (stage / WEIGHTS_FILE).is_file():
        raise ModelNotFoundError(f"{stage} holds no {WEIGHTS_FILE}; expected the weights of the linear layer there")


def _stage_width(folder: Path, stages: tuple[str, ...]) -> int:
    """Numbers of a vector as the last linear layer has it; 0 where there is none and the graph tells."""
    width = read_object(folder / stages[-1] / "config.json").get("out_features") if stages else None
    return width if isinstance(width, int) and not isinstance(width, bool) and width > 0 else 0
