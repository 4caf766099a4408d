"""Every key of a model's metadata is honoured, harmless for a reason, or refused by its name."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest

from onnxembed import TextEmbedding
from onnxembed.compile import refusal
from onnxembed.errors import UnsupportedModelError
from onnxembed.formats.facts import Facts
from onnxembed.hub.files import FolderFiles
from onnxembed.metadata import harmless
from onnxembed.text.discovery import describe
from tests.fixtures.model_rows import Row, all_rows, write_row

UNKNOWN = "a_key_of_tomorrow"
ROWS = all_rows("dense")


def places(row: Row) -> Iterator[tuple[str, Callable[[Any], Any]]]:
    """The files of the metadata, each with what leads from its content to an object that takes another key."""
    for name, content in row.files.items():
        if name.endswith(("tokenizer.json", ".index.json")) or not isinstance(content, dict | list):
            continue
        if name == "modules.json":
            for number in range(len(content)):
                yield name, itemgetter(number)
        else:
            yield name, lambda whole: whole
        if "modality_config" in content:
            yield name, lambda whole: whole["modality_config"]
            yield name, lambda whole: whole["modality_config"]["text"]
        if "parameters" in content:
            yield name, lambda whole: whole["parameters"]


def is_architecture(row: Row, name: str) -> bool:
    """Whether a file describes a transformer, which the compiler reads."""
    return name.rsplit("/", 1)[-1] == "config.json" and row.files[name].get("model_type") not in (None, "model2vec")


@pytest.mark.parametrize("row", ROWS)
def test_an_unknown_key_refuses_the_model_by_name(row: Row, tmp_path: Path) -> None:
    folder = write_row(row, tmp_path)
    describe(FolderFiles(folder))  # whose own keys are all known
    for name, inner in places(row):
        path = folder / name
        content = json.loads(path.read_text())
        inner(content)[UNKNOWN] = 5
        original = path.read_text()
        path.write_text(json.dumps(content))
        if is_architecture(row, name):
            describe(FolderFiles(folder))  # a graph would have it inside
            error = refusal(Facts(content, name))
            assert error is not None
            assert UNKNOWN in str(error)
        else:
            with pytest.raises(UnsupportedModelError, match=UNKNOWN) as raised:
                describe(FolderFiles(folder))
            assert name in str(raised.value)
        path.write_text(original)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("special_tokens_map.json", {"cls_token": "[CLS]", UNKNOWN: "x"}),
        ("tokenizer_config.json", {"model_max_length": 48, UNKNOWN: {}}),
        ("sentence_roberta_config.json", {"max_seq_length": 9, UNKNOWN: [1]}),
    ],
)
def test_files_of_older_versions(name: str, content: dict[str, object], tmp_path: Path) -> None:
    folder = write_row(row_named("reader-pooling-mean"), tmp_path)
    (folder / "sentence_bert_config.json").unlink()
    (folder / name).write_text(json.dumps(content))
    with pytest.raises(UnsupportedModelError, match=UNKNOWN):
        describe(FolderFiles(folder))


def test_a_null_is_not_said_but_known(tmp_path: Path) -> None:
    folder = write_row(row_named("reader-pooling-mean"), tmp_path)
    path = folder / "config_sentence_transformers.json"
    path.write_text(json.dumps({"similarity_fn_name": None, "prompts": None, "default_prompt_name": None}))
    model = describe(FolderFiles(folder))
    assert (model.similarity, model.named_prompts, model.default_prompt) == ("", (), "")


def test_accepted_keys_are_passed_over_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = write_row(row_named("reader-pooling-mean"), tmp_path)
    for name in ("config.json", "1_Pooling/config.json"):
        path = folder / name
        path.write_text(json.dumps(json.loads(path.read_text()) | {UNKNOWN: 5}))
    cache = tmp_path / "cache"
    with pytest.raises(UnsupportedModelError, match=r"1_Pooling.config\.json: the key 'a_key_of_tomorrow' \(value 5\)"):
        TextEmbedding(folder, cache_dir=cache)
    with caplog.at_level(logging.WARNING):
        model = TextEmbedding(folder, cache_dir=cache, accept_unknown=[UNKNOWN])
    assert sum(f"{UNKNOWN} is not known here and is passed over" in text for text in caplog.messages) == 2
    assert model.options["accept_unknown"] == (UNKNOWN,)
    assert model.embedding_size == 32
    other = TextEmbedding(folder, cache_dir=cache, accept_unknown=(UNKNOWN, "b"), lazy_load=True)
    assert other.fingerprint != model.fingerprint


def test_what_is_harmless_has_a_reason() -> None:
    lists = [value for name, value in vars(harmless).items() if name.endswith("_KEYS")]
    assert len(lists) >= 5
    assert all(reason.strip() for reasons in lists for reason in reasons.values())


def row_named(name: str) -> Row:
    row: Row = next(parameter.values[0] for parameter in ROWS if parameter.id == name)
    return row
