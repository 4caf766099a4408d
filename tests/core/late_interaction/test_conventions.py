"""What MultiVectorEncoder's modules say beyond the rows: prompts, refusals, the tokens of vectors, joined vectors."""

from __future__ import annotations

import builtins
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnxembed import LateInteractionTextEmbedding
from onnxembed.errors import InputError, MissingExtraError, ModelError, UnsupportedModelError
from onnxembed.late_interaction.spec import TokenPooling
from onnxembed.late_interaction.token_pooling import joined, joined_by_text
from tests.fixtures.model_rows import Row, all_rows, write_row

Change = Callable[[dict[str, Any]], object]


def changed(name: str, file: str, change: Change, folder: Path) -> Path:
    """Write a row's model with one of its files changed."""
    row = next(param.values[0] for param in all_rows("late_interaction") if param.id == name)
    assert isinstance(row, Row)
    folder = write_row(row, folder)
    content = json.loads((folder / file).read_text())
    change(content)
    (folder / file).write_text(json.dumps(content))
    return folder


def values(*entries: tuple[str, Any], of: str = "") -> Change:
    """Set entries of a file, or of a section of it."""

    def change(content: dict[str, Any]) -> None:
        (content[of] if of else content).update(entries)

    return change


@pytest.mark.parametrize(
    ("name", "file", "change", "message"),
    [
        (
            "late-bert-filled",
            "sentence_bert_config.json",
            values(("strategy", "max"), of="query_expansion"),
            r"query_expansion.strategy is 'max'; known here: 'fixed', 'min'",
        ),
        (
            "late-bert-layered",
            "sentence_bert_config.json",
            values(("query_length", 4)),
            "query_length is 4, expected at least query_expansion.length, 8",
        ),
        (
            "late-bert-layered",
            "3_MultiVectorMask/config.json",
            values(("skiplist_tasks", ["answer"])),
            r"skiplist_tasks is \['answer'\]",
        ),
        ("late-bert-layered", "5_HierarchicalTokenPooling/config.json", values(("tasks", 3)), "tasks is 3"),
        (
            "late-bert-filled",
            "3_Normalize/config.json",
            values(("module_input_name", "sentence_embedding")),
            "module_input_name is 'sentence_embedding'",
        ),
        (
            "late-bert-pylate",
            "config_sentence_transformers.json",
            values(("model_type", "CrossEncoder")),
            "model_type is 'CrossEncoder'",
        ),
    ],
)
def test_what_is_not_known_is_refused(name: str, file: str, change: Change, message: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=message):
        LateInteractionTextEmbedding(changed(name, file, change, tmp_path / "m"))


def test_a_layer_after_scaling_is_refused(tmp_path: Path) -> None:
    folder = changed("late-bert-filled", "config.json", lambda _: None, tmp_path / "m")
    stages = json.loads((folder / "modules.json").read_text())
    (folder / "modules.json").write_text(json.dumps([stages[0], stages[3], stages[1], stages[2]]))
    with pytest.raises(UnsupportedModelError, match="lists Dense after Normalize"):
        LateInteractionTextEmbedding(folder)


def test_only_kept_tokens_have_vectors_in_documents(tmp_path: Path) -> None:
    folder = changed("late-bert-plain", "config.json", lambda _: None, tmp_path / "m")
    model = LateInteractionTextEmbedding(folder)
    whole, tokens = next(model.embed("the fox")), next(model.tokens("the fox"))
    mask = folder / "2_MultiVectorMask" / "config.json"
    from tokenizers import Tokenizer

    kept = Tokenizer.from_file(str(folder / "tokenizer.json")).token_to_id(tokens[1])
    mask.write_text(json.dumps(json.loads(mask.read_text()) | {"keep_only_token_ids": [kept]}))
    other = LateInteractionTextEmbedding(folder)
    assert next(other.tokens("the fox")) == tokens[1:2]
    assert np.abs(next(other.embed("the fox")) - whole[1:2]).max() < 1e-6
    assert len(next(other.query_embed("the fox"))) == len(tokens)


def test_the_default_prompt_is_that_of_embed_alone(tmp_path: Path) -> None:
    change = values(
        ("prompts", {"query": "find ", "document": "text ", "other": "some "}), ("default_prompt_name", "other")
    )
    folder = changed("late-bert-plain", "config_sentence_transformers.json", change, tmp_path / "m")
    model = LateInteractionTextEmbedding(folder)
    plain = changed("late-bert-plain", "config.json", lambda _: None, tmp_path / "plain")
    without = LateInteractionTextEmbedding(plain)
    for call, prompt in ((model.embed, "some "), (model.passage_embed, "text ")):
        assert np.abs(next(call("fox")) - next(without.embed(f"{prompt}fox"))).max() < 1e-6
    assert np.abs(next(model.query_embed("fox")) - next(without.query_embed("find fox"))).max() < 1e-6
    assert next(model.tokens("fox")) == next(without.tokens("some fox"))
    assert next(model.tokens("fox", "query")) == next(without.tokens("find fox", "query"))


def test_joined_vectors_belong_to_no_token(tmp_path: Path) -> None:
    model = LateInteractionTextEmbedding(changed("late-bert-layered", "config.json", lambda _: None, tmp_path / "m"))
    with pytest.raises(InputError, match="joins the vectors of several tokens"):
        model.tokens("fox")
    assert len(next(model.tokens("fox", "query"))) == len(next(model.query_embed("fox")))


def test_two_of_three_vectors_are_joined() -> None:
    vectors = np.array([[1, 0], [0, 1], [0.1, 1], [0, -1]], np.float32)
    pooled = joined(vectors, TokenPooling(factor=1.5, protected=1))
    assert pooled[0].tolist() == [1, 0]
    assert np.array(sorted(pooled[1:].tolist())) == pytest.approx(np.array([[0, -1], [0.05, 1]]), abs=1e-6)
    assert joined(vectors, TokenPooling(factor=1.0)).tolist() == vectors.tolist()
    lengths = np.linalg.norm(joined(vectors, TokenPooling(factor=3.0, normalize=True)), axis=1)
    assert lengths == pytest.approx(1, abs=1e-6)
    both, ends = joined_by_text(np.concatenate([vectors, vectors[:1]]), np.array([4, 5]), TokenPooling(factor=3.0))
    assert (len(both), ends.tolist()) == (3, [2, 3])


def test_joining_needs_scipy(monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def without_scipy(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("scipy"):
            raise ImportError(name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_scipy)
    with pytest.raises(MissingExtraError, match=r"onnxembed\[index\]"):
        joined(np.eye(4, dtype=np.float32), TokenPooling(factor=2.0))
