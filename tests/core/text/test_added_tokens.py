"""``added_tokens.json``, which libraries still read beside ``tokenizer.json``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from onnxembed import TextEmbedding
from onnxembed.errors import UnsupportedModelError
from tests.fixtures.dense_tokenizers import CLS_ID
from tests.fixtures.small_models import write_bert_folder


def opened(folder: Path, added: dict[str, int], cache: Path) -> TextEmbedding:
    write_bert_folder(folder)
    (folder / "added_tokens.json").write_text(json.dumps(added))
    return TextEmbedding(folder, cache_dir=cache)


def test_what_tokenizer_json_has_as_well_is_harmless(tmp_path: Path) -> None:
    model = opened(tmp_path / "model", {"[CLS]": CLS_ID}, tmp_path / "cache")
    assert model.embed_to_array(["hello world"]).shape == (1, 32)


@pytest.mark.parametrize(("token", "number", "there"), [("[EXTRA]", 7, "none"), ("[CLS]", 9, str(CLS_ID))])
def test_a_token_that_tokenizer_json_lacks_refuses_by_name(tmp_path: Path, token: str, number: int, there: str) -> None:
    with pytest.raises(UnsupportedModelError) as refused:
        opened(tmp_path / "model", {token: number}, tmp_path / "cache").embed_to_array(["hello world"])
    assert f"added_tokens.json: the token {token!r} has the id {number}, in tokenizer.json {there}" in str(
        refused.value
    )
