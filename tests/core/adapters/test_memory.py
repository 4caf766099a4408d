"""Sparse vectors in memory: replaced, removed, filtered, and written to a file that is read as it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from onnxembed import SparseEmbedding, SparseTextEmbedding
from onnxembed.adapters.memory import SAVED_FILE, SparseMemory, named, read_file, sparse_core_model, write_file
from onnxembed.errors import InputError, InputTypeError, ModelError
from tests.fixtures.passages import PASSAGES


@pytest.fixture
def memory() -> SparseMemory[str]:
    held: SparseMemory[str] = SparseMemory()
    held.add("abc", ["x", "y", "z"], [SparseEmbedding([float(n)], [7]) for n in (1, 2, 3)])
    return held


def found(held: SparseMemory[str], k: int = 9) -> list[tuple[str, str, float]]:
    return held.search(SparseEmbedding([1.0], [7]), k, idf=False)


def test_best_first(memory: SparseMemory[str]) -> None:
    assert found(memory) == [("c", "z", 3.0), ("b", "y", 2.0), ("a", "x", 1.0)]
    assert found(memory, 1) == [("c", "z", 3.0)]
    assert found(SparseMemory()) == []


def test_names_replace_and_remove(memory: SparseMemory[str]) -> None:
    memory.add(["b", "b"], ["old", "new"], [SparseEmbedding([8.0], [7]), SparseEmbedding([9.0], [7])])
    assert found(memory) == [("b", "new", 9.0), ("c", "z", 3.0), ("a", "x", 1.0)]
    memory.remove(["c", "unknown"])
    assert [name for name, _, _ in found(memory)] == ["b", "a"]
    assert len(memory) == 2


def test_what_is_kept_is_counted_after_the_filter(memory: SparseMemory[str]) -> None:
    query = SparseEmbedding([1.0], [7])
    assert memory.search(query, 1, idf=False, keep=lambda item: item != "z") == [("b", "y", 2.0)]


def test_items_without_a_name_get_one() -> None:
    first, second, third = named([None, "given", None])
    assert second == "given"
    assert first != third


def filled(model: SparseTextEmbedding) -> SparseMemory[str]:
    held: SparseMemory[str] = SparseMemory()
    held.add(map(str, range(len(PASSAGES))), PASSAGES, model.passage_embed(PASSAGES))
    return held


def test_a_file_is_read_as_it_was(tmp_path: Path) -> None:
    model = sparse_core_model(None, PASSAGES)
    held = filled(model)
    write_file(tmp_path / "new" / "folder", held, model, str.upper)
    again, core = read_file(tmp_path / "new" / "folder", None, str.lower)
    assert core.fingerprint == model.fingerprint
    assert core.statistics == model.statistics
    query = next(model.query_embed("wheels violin"))
    expected = [(name, item.lower(), score) for name, item, score in held.search(query, 6, idf=True)]
    assert again.search(query, 6, idf=True) == expected
    again, core = read_file(tmp_path / "new" / "folder", model, str)
    assert core is model
    assert [path.name for path in (tmp_path / "new" / "folder").iterdir()] == [SAVED_FILE]


def test_another_model_is_refused(tmp_path: Path) -> None:
    model = SparseTextEmbedding("Qdrant/bm25")
    write_file(tmp_path, filled(model), model, str)
    with pytest.raises(InputError, match="were made by another model or with other settings"):
        read_file(tmp_path, SparseTextEmbedding("Qdrant/bm25", language="german"), str)


def test_a_model_that_cannot_be_saved_is_asked_for(tmp_path: Path) -> None:
    class Stemmer:
        def stem_word(self, word: str) -> str:
            return word[:3]

    model = SparseTextEmbedding("Qdrant/bm25", stemmer=Stemmer())
    write_file(tmp_path, filled(model), model, str)
    with pytest.raises(InputError, match="pass it as embedding="):
        read_file(tmp_path, None, str)


def test_damaged_files_and_missing_ones(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="pass the folder that persist"):
        read_file(tmp_path, None, str)
    model = SparseTextEmbedding("Qdrant/bm25")
    write_file(tmp_path, filled(model), model, str)
    data = (tmp_path / SAVED_FILE).read_bytes()
    for damaged in (b"", data[:100], data[: len(data) // 2], b"PK" + data[10:]):
        (tmp_path / SAVED_FILE).write_bytes(damaged)
        with pytest.raises(ModelError, match="cannot be read"):
            read_file(tmp_path, None, str)
    with (tmp_path / SAVED_FILE).open("wb") as file:
        np.savez(file, format="something else")
    with pytest.raises(ModelError, match="its format is 'something else'"):
        read_file(tmp_path, None, str)


def test_models_are_checked() -> None:
    with pytest.raises(InputTypeError, match="embedding is int, expected a SparseTextEmbedding"):
        sparse_core_model(3, [])  # type: ignore[arg-type]
    assert sparse_core_model(None, ["the of"]).statistics is None
