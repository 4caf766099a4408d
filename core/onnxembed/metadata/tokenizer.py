"""What a model's files say of its tokenizer beside ``tokenizer.json``: limits, cases, special tokens.

transformers applies these over ``tokenizer.json`` where both speak of the same thing, and sentence-transformers sets
the limit; the keys are those of ``tokenizer_config.json`` and of the Transformer stage's own file.
"""

from __future__ import annotations

import sys
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from onnxembed.metadata.transformer import TRANSFORMER_FILES, transformer_facts
from onnxembed.spec import TokenizerSettings

if TYPE_CHECKING:
    from onnxembed.formats.facts import Facts
    from onnxembed.hub.files import Files

CONFIG = "tokenizer_config.json"
SPECIAL_TOKENS = "special_tokens_map.json"
# What the special tokens are called; transformers adds those that the vocabulary lacks.
TOKEN_NAMES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
TOKEN_LISTS = ("additional_special_tokens", "extra_special_tokens")
ADDED_TOKENS = "added_tokens.json"
"""An older list of tokens beside those of ``tokenizer.json``, with their ids."""
GENERAL_CLASSES = ("TokenizersBackend", "PreTrainedTokenizerFast")
# Of the normalizer of BERT's family: its attribute in `tokenizers`, by the key.
_NORMALIZER_KEYS = {
    "do_lower_case": "lowercase",
    "strip_accents": "strip_accents",
    "tokenize_chinese_chars": "handle_chinese_chars",
}


def read_tokenizer_settings(files: Files, body: str, *, stored: bool) -> TokenizerSettings:
    """Read what is said of the tokenizer in the folder of a transformer.

    Args:
        files: The files.
        body: The folder; empty for the model's own.
        stored: Whether sentence-transformers has saved the model, so that its rules for the limit count.

    Returns:
        The settings; what cannot be honoured is an `UnsupportedModelError`.
    """
    config = files.facts(PurePosixPath(body, CONFIG).as_posix())
    transformer = transformer_facts(files, body)
    stored = stored or any(files.has(PurePosixPath(body, name).as_posix()) for name in TRANSFORMER_FILES)
    _read_special_tokens(files, body, config)
    # The rules of padding and limits read them.
    for key in ("padding_side", "truncation_side"):
        config.expect(key, ("right", "left"), "right")
    for key in ("model_max_length", "max_length"):
        _length(config, key)
    config.expect("split_special_tokens", (False,), False)
    limit = _stated_limit(config, transformer) if stored else (None, "")
    # A class of its own makes its tokenizer anew, by the configuration; a general one takes tokenizer.json as it is.
    general = config.text("tokenizer_class", "") in GENERAL_CLASSES
    normalizer, prefix = _normalizer(config), _optional_flag(config, "add_prefix_space")
    return TokenizerSettings(
        stored=stored,
        limit=limit[0],
        limit_source=limit[1],
        lower_case=transformer.flag("do_lower_case", False),
        normalizer=() if general else normalizer,
        add_prefix_space=None if general else prefix,
        adds_bos=config.flag("add_bos_token", False),
        adds_eos=config.flag("add_eos_token", False),
    )


def _read_special_tokens(files: Files, body: str, config: Facts) -> None:
    """Take the keys of special tokens; the tokenizer's reader adds those that ``tokenizer.json`` lacks."""
    named = files.facts(PurePosixPath(body, SPECIAL_TOKENS).as_posix())
    files.json_object(PurePosixPath(body, ADDED_TOKENS).as_posix())  # brought for the tokenizer's reader
    for key in TOKEN_NAMES:
        _check_token(config, key)
    for key in TOKEN_LISTS:
        _check_tokens(config, key)
        _check_tokens(named, key)
    added = config.section("added_tokens_decoder")
    for key in added.keys():  # noqa: SIM118  # it is no mapping
        _check_token(added, key)
    for key in named.keys():  # noqa: SIM118  # it is no mapping
        if key.endswith("_token"):  # models name tokens of their own, too
            _check_token(named, key)


def _check_token(facts: Facts, key: str) -> None:
    """Take a token, a text or an object with one."""
    if not _is_token(facts.value(key)):
        raise facts.wrong(key, facts.value(key), "a token: a text, or an object with a text as its content")


def _check_tokens(facts: Facts, key: str) -> None:
    """Take tokens, in a list or by their names."""
    value = facts.value(key)
    tokens = list(value.values()) if isinstance(value, dict) else value
    if value is not None and not (isinstance(tokens, list) and all(map(_is_token, tokens))):
        raise facts.wrong(key, value, "tokens, in a list or by their names")


def _is_token(value: object) -> bool:
    return value is None or isinstance(value.get("content") if isinstance(value, dict) else value, str)


def _optional_flag(facts: Facts, key: str) -> bool | None:
    """Read true or false, or ``None`` where it is not said."""
    return facts.flag(key) if facts.value(key) is not None else None


def _length(facts: Facts, key: str) -> int | None:
    """Read a number of tokens; ``None`` for one that means that there is no limit."""
    value = facts.value(key)
    if value is not None and type(value) not in (int, float):
        raise facts.wrong(key, value, "a number of tokens")
    return value if type(value) is int and 0 < value <= sys.maxsize else None


def _normalizer(config: Facts) -> tuple[tuple[str, bool | None], ...]:
    """What is said of BERT's normalizer; a ``null`` of ``strip_accents`` says that accents follow the case."""
    stated: list[tuple[str, bool | None]] = []
    for key, attribute in _NORMALIZER_KEYS.items():
        there = key in config.keys()  # noqa: SIM118  # it is no mapping
        value = config.value(key)
        if isinstance(value, bool) or (there and value is None and key == "strip_accents"):
            stated.append((attribute, value))
        elif there and value is not None:
            raise config.wrong(key, value, "true or false")
    return tuple(stated)


def _stated_limit(config: Facts, transformer: Facts) -> tuple[int | None, str]:
    """The limit by sentence-transformers' rules: what its own file says, else ``model_max_length``.

    ``max_length`` of ``tokenizer_config.json`` is what the last call before saving was cut to, and never a limit.
    """
    arguments = [transformer.section(key) for key in ("tokenizer_args", "processor_kwargs")]
    for section in arguments:
        section.value("trust_remote_code")
        section.expect("truncation_side", ("right",), "right")
    text = _text_processing(transformer)
    candidates = (
        (_length(text, "max_length"), transformer.where),
        *((_length(section, "model_max_length"), section.where) for section in arguments),
        (_length(transformer, "max_seq_length"), transformer.where),
        (_length(config, "model_max_length"), config.where),
    )
    for limit, where in candidates:
        if limit is not None:
            return limit, PurePosixPath(where.replace("\\", "/")).name
    return None, ""


def _text_processing(transformer: Facts) -> Facts:
    """Read ``processing_kwargs``, arguments of the call of the tokenizer; those of other modalities do not matter."""
    section = transformer.section("processing_kwargs")
    for key in ("audio", "image", "video", "chat_template"):
        section.value(key)
    section.section("common").expect("return_tensors", ("pt",), "pt")
    text = section.section("text")
    text.expect("padding", (True, "longest"), True)
    text.expect("truncation", (True, "longest_first"), True)
    text.expect("add_special_tokens", (True,), True)
    return text
