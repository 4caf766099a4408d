"""What the files beside ``tokenizer.json`` change of a tokenizer, and what they may not say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tokenizers
from tokenizers import models, pre_tokenizers, processors

from onnxembed.errors import UnsupportedModelError
from onnxembed.spec import TokenizerSettings
from onnxembed.text.tokenizer_settings import apply_settings
from tests.fixtures.dense_tokenizers import VOCABULARY, word_pieces, write_json

_BERT = {"cls_token": "[CLS]", "sep_token": {"content": "[SEP]"}, "unk_token": "[UNK]"}


def apply(folder: Path, backend: tokenizers.Tokenizer, **settings: Any) -> None:
    apply_settings(backend, folder, TokenizerSettings(stored=True, **settings))


@pytest.mark.parametrize("file", ["tokenizer_config.json", "special_tokens_map.json"])
@pytest.mark.parametrize("key", _BERT)
def test_word_pieces_with_other_tokens_than_the_files_name_are_refused(key: str, file: str, tmp_path: Path) -> None:
    write_json(tmp_path / file, _BERT | {key: "[MASK]"})
    with pytest.raises(UnsupportedModelError, match=rf"{file}: {key} is '\[MASK\]', but tokenizer\.json uses '\["):
        apply(tmp_path, word_pieces())


def test_word_pieces_with_the_tokens_that_the_files_name(tmp_path: Path) -> None:
    write_json(tmp_path / "tokenizer_config.json", _BERT | {"tokenizer_class": "BertTokenizer"})
    backend = word_pieces()
    backend.enable_padding(length=12, pad_token="[PAD]", pad_id=VOCABULARY.index("[PAD]"))
    apply(tmp_path, backend)
    assert backend.encode("hello").tokens[:3] == ["[CLS]", "hello", "[SEP]"]


def test_a_general_class_takes_the_tokens_of_the_tokenizer(tmp_path: Path) -> None:
    config = _BERT | {"cls_token": "[MASK]", "tokenizer_class": "PreTrainedTokenizerFast"}
    write_json(tmp_path / "tokenizer_config.json", config)
    backend = word_pieces()
    apply(tmp_path, backend)
    assert backend.encode("hello").tokens == ["[CLS]", "hello", "[SEP]"]


@pytest.mark.parametrize("nested", [False, True])
def test_texts_begin_with_a_space_where_the_files_say_so(nested: bool, tmp_path: Path) -> None:
    vocabulary = {token: number for number, token in enumerate(("<s>", "a", "b", "Ġ", "Ġa"))}
    backend = tokenizers.Tokenizer(models.BPE(vocabulary, [("Ġ", "a")]))
    level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    # Qwen's tokenizers split first.
    split = pre_tokenizers.Split(tokenizers.Regex(r"\s?\w+"), "isolated")
    backend.pre_tokenizer = pre_tokenizers.Sequence([split, level]) if nested else level
    backend.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    assert backend.encode("ab").tokens == ["<s>", "a", "b"]
    apply(tmp_path, backend, add_prefix_space=True)
    assert backend.encode("ab").tokens == ["<s>", "Ġa", "b"]
