"""A tokenizer made as transformers makes it: ``tokenizer.json``, and what the files beside it say otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnxembed.errors import UnsupportedModelError
from onnxembed.hub.files import FolderFiles
from onnxembed.metadata.tokenizer import CONFIG, TOKEN_LISTS, TOKEN_NAMES
from onnxembed.spec import TokenizerSettings
from onnxembed.text.tokenizer_rules import token_flags, token_text

if TYPE_CHECKING:
    import tokenizers


def apply_settings(backend: tokenizers.Tokenizer, folder: Path, settings: TokenizerSettings) -> None:
    """Change a tokenizer to what the files in its folder say; what cannot be done is an `UnsupportedModelError`."""
    from tokenizers import pre_tokenizers

    if settings.normalizer:
        backend.normalizer = _with_entries(backend.normalizer, dict(settings.normalizer))
    if settings.lower_case:
        backend.normalizer = _lower_case_first(backend.normalizer)
    if settings.add_prefix_space is not None and isinstance(backend.pre_tokenizer, pre_tokenizers.ByteLevel):
        backend.pre_tokenizer.add_prefix_space = settings.add_prefix_space
    config = FolderFiles(folder).json_object(CONFIG)
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
