"""A key that nobody knows, in any file of a model of these kinds, refuses the model by name."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import onnxembed
from onnxembed.errors import ModelError
from tests.fixtures.model_rows import CLASSES, Row, all_rows, computed, difference, write_row

KEY = "an_unknown_key"
# By kind: rows that have every file and section between them.
ROWS = {
    "sparse": ("splade-bert-pruned", "splade-bert-router"),
    "late_interaction": ("late-bert-pylate", "late-bert-layered"),
    "rerank": ("rerank-bert-prompt", "rerank-bert-folder", "rerank-bert-4"),
    "image": ("vit-pooler", "resnet-basic"),
}
# Read by others: what the tokenizers library reads, and one entry for each prompt or label.
ANY_KEY = {"tokenizer.json": "", "prompts": "", "id2label": "", "label2id": "", "__version__": ""}


def places(content: Any, keys: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Give the keys that lead to each object in a file."""
    if isinstance(content, dict):
        yield keys
        for key, value in content.items():
            if key not in ANY_KEY:
                yield from places(value, (*keys, key))
    elif isinstance(content, list):
        for number, value in enumerate(content):
            yield from places(value, (*keys, number))


CASES = [
    pytest.param(row, name, keys, id=f"{row.name}-{name}-{'.'.join(map(str, keys))}")
    for kind, names in ROWS.items()
    for (row,) in (param.values for param in all_rows(kind))
    if isinstance(row, Row) and row.name in names
    for name, content in row.files.items()
    if Path(name).name not in (*ANY_KEY, "tokenizer_config.json")
    for keys in places(content)
]


def changed(row: Row, name: str, keys: tuple[Any, ...], folder: Path) -> Path:
    """Write a row's model with an unknown key in one of its files."""
    folder = write_row(row, folder)
    content = json.loads((folder / name).read_text())
    inner = content
    for key in keys:
        inner = inner[key]
    inner[KEY] = "some value"
    (folder / name).write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize(("row", "name", "keys"), CASES)
def test_an_unknown_key_refuses_the_model(row: Row, name: str, keys: tuple[Any, ...], tmp_path: Path) -> None:
    folder = changed(row, name, keys, tmp_path / "model")
    with pytest.raises(ModelError, match=rf"{Path(name).name}.*{KEY}"):
        getattr(onnxembed, CLASSES[row.kind])(folder, cache_dir=tmp_path / "cache")


@pytest.mark.parametrize("kind", ROWS)
def test_a_key_that_is_accepted_changes_nothing(kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    row = next(param.values[0] for param in all_rows(kind) if param.id == ROWS[kind][0])
    assert isinstance(row, Row)
    name = "preprocessor_config.json" if kind == "image" else "config_sentence_transformers.json"
    folder = changed(row, name, (), tmp_path / "model")
    with caplog.at_level(logging.WARNING):
        model = getattr(onnxembed, CLASSES[kind])(folder, cache_dir=tmp_path / "cache", accept_unknown=(KEY,))
    assert f"{KEY} is not known here" in caplog.text
    values = computed(row, model)
    assert max(difference(row.expected[name], values[name]) for name in values) < 1e-6


def test_the_compiler_reads_accepted_keys_of_a_picture_model(tmp_path: Path) -> None:
    row = next(param.values[0] for param in all_rows("image") if param.id == "vit-pooler")
    assert isinstance(row, Row)
    folder = changed(row, "config.json", (), tmp_path / "model")
    cache = tmp_path / "cache"
    accepted = onnxembed.ImageEmbedding(folder, cache_dir=cache, accept_unknown=(KEY,))
    values = computed(row, accepted)
    assert max(difference(row.expected[name], values[name]) for name in values) < 1e-6
    other = onnxembed.ImageEmbedding(write_row(row, tmp_path / "plain"), cache_dir=cache, lazy_load=True)
    assert accepted.fingerprint != other.fingerprint
