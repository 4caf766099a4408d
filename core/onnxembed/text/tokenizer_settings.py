"""A tokenizer made as transformers makes it: ``tokenizer.json``, and what the files beside it say otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnxembed.errors import UnsupportedModelError
from onnxembed.hub.files import FolderFiles
from onnxembed.metadata.tokenizer import CONFIG, GENERAL_CLASSES, SPECIAL_TOKENS, TOKEN_LISTS, TOKEN_NAMES
from onnxembed.spec import TokenizerSettings
from onnxembed.text.tokenizer_rules import token_flags, token_text

if TYPE_CHECKING:
    import tokenizers


def apply_settings(backend: tokenizers.Tokenizer, folder: Path, settings: TokenizerSettings) -> None:
    """Change a tokenizer to what the files in its folder say; what cannot be done is an `UnsupportedModelError`."""
    if settings.normalizer:
        backend.normalizer = _with_entries(backend.normalizer, dict(settings.normalizer))
    if settings.lower_case:
        backend.normalizer = _lower_case_first(backend.normalizer)
    if settings.add_prefix_space is not None:
        backend.pre_tokenizer = _with_prefix_space(backend.pre_tokenizer, settings.add_prefix_space)
    config = FolderFiles(folder).json_object(CONFIG)
    if config.get("tokenizer_class") not in GENERAL_CLASSES:
        for name in (CONFIG, SPECIAL_TOKENS):
            _check_word_pieces(backend, folder, name)
    ids = backend.encode("a").ids
    for there, key, name, position in (
        (settings.adds_bos, "add_bos_token", "bos_token", 0),
        (settings.adds_eos, "add_eos_token", "eos_token", -1),
    ):
        text = token_text(config.get(name))
        if there and text is not None and ids[position] != backend.token_to_id(text):
            raise UnsupportedModelError(
                f"{folder / CONFIG}: {key} is true, but the tokenizer of tokenizer.json does not put {text!r} there; "
                "save the model again with a tokenizer that does"
            )


def stated_tokens(folder: Path) -> Iterator[tuple[str, dict[str, bool]]]:
    """Give the special tokens that ``tokenizer_config.json`` names, with the flags of each, and those it adds.

    Of those it adds, ordinary ones are left out: ``tokenizer.json`` has them.
    """
    config = FolderFiles(folder).json_object(CONFIG)
    listed: list[Any] = [config.get(name) for name in TOKEN_NAMES]
    for name in TOKEN_LISTS:
        value = config.get(name)
        listed += list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    added = config.get("added_tokens_decoder")
    if isinstance(added, dict):
        listed += [token for token in added.values() if isinstance(token, dict) and token.get("special") is True]
    for token in listed:
        text = token_text(token)
        if text:
            yield text, token_flags(token)


def _check_word_pieces(backend: tokenizers.Tokenizer, folder: Path, name: str) -> None:
    """Refuse tokens of BERT's kind that a file names otherwise than ``tokenizer.json`` uses them.

    transformers 4 takes those of ``tokenizer.json``, version 5 makes the tokenizer anew with those of the other file.
    """
    from tokenizers import models

    if not isinstance(backend.model, models.WordPiece):
        return
    stated, encoding = FolderFiles(folder).json_object(name), backend.encode("")
    around = [token for token, there in zip(encoding.tokens, encoding.attention_mask, strict=True) if there]
    used_tokens = {"unk_token": backend.model.unk_token}
    if around:
        used_tokens |= {"cls_token": around[0], "sep_token": around[-1]}
    for key, used in used_tokens.items():
        text = token_text(stated.get(key))
        if text is not None and text != used:
            raise UnsupportedModelError(
                f"{folder / name}: {key} is {text!r}, but tokenizer.json uses {used!r} there, and versions of "
                "transformers disagree on which counts; save the tokenizer again, so that both say the same"
            )


def _with_prefix_space(pre_tokenizer: Any, there: bool) -> Any:
    """Say whether texts begin with a space, where bytes are split, alone or in a sequence."""
    from tokenizers import pre_tokenizers

    if isinstance(pre_tokenizer, pre_tokenizers.Sequence):
        steps: Any = pre_tokenizer
        return pre_tokenizers.Sequence([_with_prefix_space(step, there) for step in steps])
    if isinstance(pre_tokenizer, pre_tokenizers.ByteLevel):
        pre_tokenizer.add_prefix_space = there
    return pre_tokenizer


def _with_entries(normalizer: Any, entries: dict[str, bool | None]) -> Any:
    """Give a normalizer with other entries where it is that of BERT, alone or in a sequence; any other as it is."""
    from tokenizers import normalizers

    if isinstance(normalizer, normalizers.Sequence):
        return normalizers.Sequence([_with_entries(part, entries) for part in _parts(normalizer)])
    if not isinstance(normalizer, normalizers.BertNormalizer):
        return normalizer
    kept = {name: getattr(normalizer, name) for name in ("lowercase", "strip_accents", "handle_chinese_chars")}
    return normalizers.BertNormalizer(clean_text=normalizer.clean_text, **{**kept, **entries})


def _lower_case_first(normalizer: Any) -> Any:
    """Put lower case before a normalizer, unless it has that step; BERT's own switch is not such a step."""
    from tokenizers import normalizers

    parts = _parts(normalizer)
    if any(isinstance(part, normalizers.Lowercase) for part in parts):
        return normalizer
    return normalizers.Sequence([normalizers.Lowercase(), *parts])


def _parts(normalizer: Any) -> list[Any]:
    """The steps of a normalizer."""
    from tokenizers import normalizers

    if normalizer is None:
        return []
    steps: Any = normalizer
    return list(steps) if isinstance(normalizer, normalizers.Sequence) else [steps]
