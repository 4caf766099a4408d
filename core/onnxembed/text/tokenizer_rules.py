"""What a model's files say about tokenising, as data: limits, padding, special tokens.

The files, all optional but the first: ``tokenizer.json``, ``tokenizer_config.json``, ``config.json``,
``special_tokens_map.json``, ``sentence_bert_config.json``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onnxembed.errors import InputError, ModelError
from onnxembed.hub.files import Files, FolderFiles, inside
from onnxembed.spec import TokenizerSettings

# Architectures whose position numbers begin after the padding id, so that two of the stated positions are not usable.
_OFFSET_POSITIONS = frozenset({"roberta", "xlm-roberta", "camembert", "mpnet", "xlm-roberta-xl", "data2vec-text"})

# Ids are fed as int32 to some graphs.
_MOST_IDS = 1 << 31
_TOKEN_FLAGS = ("single_word", "lstrip", "rstrip", "normalized")


@dataclass(frozen=True, slots=True)
class TokenizerRules:
    """How texts become tokens for one model.

    Attributes:
        max_length: Tokens that a text is cut to, special tokens included.
        max_length_source: Which file, or argument, the limit comes from.
        truncate_left: Whether the beginning of a long text is cut off instead of its end.
        pad_left: Whether padding goes before the text.
        pad_id: Token id of padding.
        table_rows: Tokens that the model has vectors for, ``None`` where its configuration does not say.
        token_types: Whether tokens have the types that ``tokenizer.json`` gives them, instead of 0 throughout.
    """

    max_length: int
    max_length_source: str
    truncate_left: bool
    pad_left: bool
    pad_id: int
    table_rows: int | None = None
    token_types: bool = True


def _limit(value: object) -> int | None:
    """A usable limit: a positive integer, not one of the sentinels that mean 'none'."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= sys.maxsize:
        return value
    return None


def _stated_limit(
    files: Files, tokenizer_config: Mapping[str, Any], config: Mapping[str, Any], settings: TokenizerSettings | None
) -> tuple[int, str]:
    """The limit of the model's own files, and the file that states it.

    Of a model that sentence-transformers has saved, its rules count; the description has them. Otherwise
    ``sentence_bert_config.json`` comes first, as in sentence-transformers; then the smaller valid one of the two
    entries of ``tokenizer_config.json``, as in fastembed; then the architecture's positions.
    """
    stored = settings is not None and settings.stored
    if settings is not None and settings.limit is not None:
        return settings.limit, settings.limit_source
    limit = _limit(files.json_object("sentence_bert_config.json").get("max_seq_length"))
    if limit is not None:
        return limit, "sentence_bert_config.json"
    configured = None if stored else configured_limit(tokenizer_config)
    if configured is not None:
        return configured, "tokenizer_config.json"
    positions = positions_of(config)
    if positions is not None:
        return positions, "config.json"
    raise ModelError(
        f"{files.where} states no token limit: expected a positive model_max_length in tokenizer_config.json; "
        "pass max_length= to choose one"
    )


def configured_limit(tokenizer_config: Mapping[str, Any]) -> int | None:
    """The smaller valid one of the two limits that ``tokenizer_config.json`` states; ``None`` without any."""
    limits = [_limit(tokenizer_config.get(key)) for key in ("model_max_length", "max_length")]
    return min((limit for limit in limits if limit is not None), default=None)


def positions_of(config: Mapping[str, Any]) -> int | None:
    """Positions that the architecture has room for."""
    for part in (config, text_config(config)):
        stated = _limit(part.get("max_position_embeddings")) or _limit(part.get("n_positions"))
        if stated is not None:
            # Fewer than three would leave none.
            return max(1, stated - 2) if part.get("model_type") in _OFFSET_POSITIONS else stated
    return None


def text_config(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part of a configuration that models of several modalities keep for their text encoder; empty without one."""
    nested = config.get("text_config")
    return nested if isinstance(nested, Mapping) else {}


def table_rows(config: Mapping[str, Any]) -> int | None:
    """Tokens that the model has vectors for: the largest vocabulary that ``config.json`` states."""
    stated = [_limit(part.get("vocab_size")) for part in (config, text_config(config))]
    return max((rows for rows in stated if rows is not None), default=None)


def read_rules(
    folder: Path,
    padding: Mapping[str, Any],
    truncation: Mapping[str, Any],
    token_id: Callable[[str], int | None],
    max_length: int | None,
    settings: TokenizerSettings | None = None,
) -> TokenizerRules:
    """Read how a model wants its texts tokenised; files that contradict themselves are refused as a `ModelError`.

    Args:
        folder: The model's folder.
        padding: Padding stored in ``tokenizer.json``; empty when there is none.
        truncation: Truncation stored there, likewise; its length is not taken, as in fastembed.
        token_id: Looks a token up in the vocabulary.
        max_length: The caller's limit, or ``None`` for the model's own; more than the architecture has positions for is
            an `InputError`.
        settings: What the files say beside ``tokenizer.json``, of a model that is described by them.

    Returns:
        The rules.
    """
    files = FolderFiles(folder)
    tokenizer_config = files.json_object("tokenizer_config.json")
    config = files.json_object("config.json")
    positions = positions_of(config)
    if max_length is None:
        limit, source = _stated_limit(files, tokenizer_config, config, settings)
        if positions is not None and limit > positions:
            limit, source = positions, "config.json"
    else:
        limit, source = max_length, "max_length="
        if positions is not None and limit > positions:
            raise InputError(f"max_length={max_length}: the model has {positions} positions; pass at most {positions}")
    return TokenizerRules(
        max_length=limit,
        max_length_source=source,
        truncate_left=_side(tokenizer_config.get("truncation_side"), truncation.get("direction")) == "left",
        pad_left=_side(tokenizer_config.get("padding_side"), padding.get("direction")) == "left",
        pad_id=_pad_id(folder, padding, tokenizer_config, config, token_id),
        table_rows=table_rows(config),
        token_types=_token_types(tokenizer_config),
    )


def _token_types(tokenizer_config: Mapping[str, Any]) -> bool:
    """Whether the model's tokenizer hands the types of tokens on.

    Where its inputs are listed without them it does not, nor does the class of transformers 5 that stands for no
    architecture, unless they are listed.
    """
    inputs = tokenizer_config.get("model_input_names")
    if isinstance(inputs, list):
        return "token_type_ids" in inputs
    return tokenizer_config.get("tokenizer_class") != "TokenizersBackend"


def _side(configured: object, stored: object) -> str:
    """``"left"`` or ``"right"``: the configured side, else the stored one, else right."""
    for value in (configured, stored):
        if isinstance(value, str) and value.lower() in ("left", "right"):
            return value.lower()
    return "right"


def token_text(token: object) -> str | None:
    """Read a token that is written as a string, or as an object with its text under ``content``."""
    if isinstance(token, Mapping):
        token = token.get("content")
    return token if isinstance(token, str) else None


def _pad_id(
    folder: Path,
    padding: Mapping[str, Any],
    tokenizer_config: Mapping[str, Any],
    config: Mapping[str, Any],
    token_id: Callable[[str], int | None],
) -> int:
    """The id of padding: the stored one, else config.json's, else that of the pad token in the vocabulary.

    One that the model has no vector for is 0, since masks hide padding whatever it is.
    """
    text = token_text(padding.get("pad_token")) or token_text(tokenizer_config.get("pad_token"))
    rows = table_rows(config) or _MOST_IDS
    stated = (padding.get("pad_id"), config.get("pad_token_id"), text_config(config).get("pad_token_id"))
    for value in (*stated, None if text is None else token_id(text)):
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MOST_IDS:
            return value if value < rows else 0
    raise ModelError(
        f"{folder} names no usable padding token (pad_token {text!r}): expected padding in tokenizer.json, or "
        "pad_token_id in config.json, or a pad_token of the vocabulary in tokenizer_config.json"
    )


def special_tokens(folder: Path) -> list[tuple[str, dict[str, bool]]]:
    """Read the tokens of ``special_tokens_map.json``, lists flattened: the text and the flags of each.

    Those written as plain strings have no flags.
    """
    tokens: list[tuple[str, dict[str, bool]]] = []
    for value in FolderFiles(folder).json_object("special_tokens_map.json").values():
        for token in value if isinstance(value, list) else [value]:
            text = token_text(token)
            if text is not None:
                tokens.append((text, token_flags(token)))
    return tokens


def token_flags(token: object) -> dict[str, bool]:
    """Read the flags of a token that is written as an object; those written as plain strings have none."""
    flags = token if isinstance(token, dict) else {}
    return {name: bool(flags[name]) for name in _TOKEN_FLAGS if name in flags}


def stated_limit(files: Files, settings: TokenizerSettings | None, folder: str) -> tuple[int, str] | None:
    """Read the token limit of a model's files and the file that states it; ``None`` where none does.

    ``settings`` are as in `read_rules`; ``folder`` is that of the tokenizer, empty for the model's own.
    """
    config = files.json_object(inside(folder, "config.json"))
    try:
        limit, source = _stated_limit(
            files, files.json_object(inside(folder, "tokenizer_config.json")), config, settings
        )
    except ModelError:
        return None
    positions = positions_of(config)
    return (positions, "config.json") if positions is not None and limit > positions else (limit, source)
