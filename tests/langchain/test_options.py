"""The adapter offers every option of the core, and nothing is imported before it is needed."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from langchain_onnxembed import OnnxEmbeddings
from onnxembed import TextEmbedding
from onnxembed.errors import InputError
from tests.fixtures.model_rows import TEXTS, all_rows, write_row

# The core's name and ours, where they differ.
RENAMED = {
    "cuda": "device",
    "specific_model_path": "model_path",
    "dim": "dimensions",
    "passage_prompt": "document_prompt",
    "passage_prompt_name": "document_prompt_name",
}
# Options of a call in the core.
PER_CALL = {"batch_size", "output_precision", "parallel", "ranges"}


def core_options() -> dict[str, inspect.Parameter]:
    parameters = dict(inspect.signature(TextEmbedding.__init__).parameters)
    del parameters["self"]
    return parameters


def test_fields_are_the_cores_options() -> None:
    expected = {RENAMED.get(name, name) for name in core_options()} | PER_CALL
    assert set(OnnxEmbeddings.model_fields) == expected


def test_defaults_are_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ONNXEMBED_CACHE", raising=False)
    embeddings = OnnxEmbeddings()
    ours = {name: getattr(embeddings, RENAMED.get(name, name)) for name in core_options()}
    theirs = {name: parameter.default for name, parameter in core_options().items()}
    # Frameworks build objects long before they use them.
    assert (ours.pop("lazy_load"), theirs.pop("lazy_load")) == (True, False)
    # A dictionary of JSON has lists alone.
    assert (ours.pop("accept_unknown"), theirs.pop("accept_unknown")) == (None, ())
    # Left to the core, so that an exported folder may say another.
    assert (ours.pop("truncate"), embeddings.engine.options["truncate"], theirs.pop("truncate")) == (None, True, True)
    assert ours == theirs
    per_call = inspect.signature(TextEmbedding.passage_embed).parameters
    assert {name: getattr(embeddings, name) for name in PER_CALL} == {name: per_call[name].default for name in PER_CALL}


def test_public_names() -> None:
    import langchain_onnxembed

    assert sorted(langchain_onnxembed.__all__) == langchain_onnxembed.__all__
    assert set(langchain_onnxembed.__all__) <= set(dir(langchain_onnxembed))
    for name in sorted(set(langchain_onnxembed.__all__) - {"OnnxMilvusSparse"}):
        assert getattr(langchain_onnxembed, name).__name__ == name
    with pytest.raises(AttributeError, match="has no attribute 'OnnxEmbedding'"):
        langchain_onnxembed.OnnxEmbedding  # noqa: B018


@pytest.mark.parametrize(
    ("statement", "unwanted"),
    [
        ("import langchain_onnxembed", {"onnxembed", "langchain_core", "pydantic", "numpy"}),
        ("from langchain_onnxembed import OnnxEmbeddings", {"onnxruntime", "tokenizers", "PIL", "tqdm.auto"}),
        ("from langchain_onnxembed import OnnxEmbeddings", {"langchain_qdrant", "qdrant_client", "huggingface_hub"}),
        ("from langchain_onnxembed import OnnxEmbeddings; OnnxEmbeddings()", {"onnxruntime", "huggingface_hub"}),
    ],
)
def test_imports_are_late(statement: str, unwanted: set[str]) -> None:
    code = f"{statement}\nimport sys\nprint(sorted(set(sys.modules) & {unwanted!r}))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_docstring_has_the_sections_that_langchain_asks_for() -> None:
    doc = inspect.getdoc(OnnxEmbeddings) or ""
    sections = [
        "Setup:",
        "Key init args:",
        "Instantiate:",
        "Embed single text:",
        "Embed multiple texts:",
        "Async:",
    ]
    positions = [doc.index(f"\n{section}") for section in sections]
    assert doc.startswith("Onnx embedding model integration.")
    assert positions == sorted(positions)


def test_prompts_by_name(tmp_path: Path) -> None:
    row = next(row.values[0] for row in all_rows("dense") if row.id == "reader-prompts")
    folder, cache = write_row(row, tmp_path / "model"), tmp_path / "cache"
    named = OnnxEmbeddings(
        model=str(folder), cache_dir=cache, query_prompt_name="clustering", document_prompt_name="clustering"
    )
    expected = row.expected["prompt clustering"]
    assert np.abs(np.array(named.embed_documents(list(TEXTS))) - expected).max() < 1e-6
    assert np.abs(np.array(named.embed_query(TEXTS[0])) - expected[0]).max() < 1e-6
    with pytest.raises(InputError, match="document_prompt_name='other'"):
        OnnxEmbeddings(model=str(folder), cache_dir=cache, document_prompt_name="other")
