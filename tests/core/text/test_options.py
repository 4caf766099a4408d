"""The constructor's arguments, read one by one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from onnxembed import TextEmbedding
from onnxembed.errors import InputError, InputTypeError
from onnxembed.spec import ModelSource, PoolingType
from onnxembed.text.known import dense_registry
from onnxembed.text.options import DenseOptions, check_dim, parse_task, settle
from onnxembed.text.spec import DenseModel, Matryoshka, Prompts, parse_pooling
from tests.fixtures.dense_graphs import HIDDEN

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
JINA = "jinaai/jina-embeddings-v3"
NOMIC = "nomic-ai/nomic-embed-text-v1.5"


@pytest.mark.parametrize("pooling", ["last_token", "LAST_TOKEN", PoolingType.LAST_TOKEN])
def test_pooling_replaces_that_of_the_description(pooling: PoolingType | str) -> None:
    model = TextEmbedding(MINILM, pooling=pooling, lazy_load=True)
    assert model.options["pooling"] == "LAST_TOKEN"


def test_unknown_pooling() -> None:
    with pytest.raises(InputError, match=r"pooling='LAST' is unknown; expected one of CLS, MEAN, LAST_TOKEN, MAX"):
        parse_pooling("LAST")
    with pytest.raises(InputError, match="Did you mean 'MEAN'"):
        parse_pooling("maen")
    assert DenseOptions().pooling is None


@pytest.mark.parametrize(("task", "number"), [("retrieval.query", 0), ("text-matching", 4), (3, 3), (None, None)])
def test_tasks_by_name_and_number(task: int | str | None, number: int | None) -> None:
    assert parse_task(dense_registry.find(JINA), task) == number


@pytest.mark.parametrize("task", [5, -1, True, "Retrieval.query", "query"])
def test_unknown_tasks(task: int | str) -> None:
    with pytest.raises(InputError, match=rf"task_id={task!r} is not a task of {JINA}; it has 'retrieval.query' \(0\)"):
        parse_task(dense_registry.find(JINA), task)


def test_near_task_is_offered() -> None:
    with pytest.raises(InputError, match=r"Did you mean 'retrieval.query'"):
        parse_task(dense_registry.find(JINA), "retrieval.querry")


def test_tasks_of_a_model_without_any() -> None:
    with pytest.raises(InputError, match=f"task_id=0: {MINILM} has no tasks; leave task_id out"):
        parse_task(dense_registry.find(MINILM), 0)


def test_dims_of_the_catalogue() -> None:
    nomic = dense_registry.find(NOMIC)
    assert check_dim(nomic, None, size_known=True) is None
    assert check_dim(nomic, 768, size_known=True) == 768
    assert check_dim(nomic, 256, size_known=True) == 256
    with pytest.raises(InputError, match="allows 768, 512, 256, 128, 64"):
        check_dim(nomic, 100, size_known=True)
    with pytest.raises(InputError, match="have 768 numbers; pass at most that"):
        check_dim(nomic, 1024, size_known=True)
    with pytest.raises(InputError, match="dim must be >= 1"):
        DenseOptions(dim=0)
    with pytest.raises(InputTypeError, match="expected an integer"):
        DenseOptions(dim=256.0)  # type: ignore[arg-type]


def test_dims_of_models_without_them() -> None:
    minilm = dense_registry.find(MINILM)
    assert check_dim(minilm, 384, size_known=True) == 384
    with pytest.raises(InputError, match=rf"dim=128: {MINILM} is not trained for shortened vectors"):
        check_dim(minilm, 128, size_known=True)


def test_dims_of_a_model_that_allows_any() -> None:
    model = DenseModel("m", (ModelSource(hf="a/b"),), HIDDEN, matryoshka=Matryoshka())
    assert check_dim(model, 5, size_known=True) == 5
    with pytest.raises(InputError, match="pass at most that"):
        check_dim(model, HIDDEN + 1, size_known=True)
    assert check_dim(model, HIDDEN + 1, size_known=False) == HIDDEN + 1  # the files decide


def test_prompts_are_verbatim() -> None:
    model = replace(dense_registry.find(MINILM), prompts=Prompts(query="query: "))

    def settled(prompt: str | None) -> str | None:
        return settle(DenseOptions(query_prompt=prompt), model, size_known=True).query_prompt

    assert settled(None) == "query: "
    assert settled("") == ""
    assert settled(" a\n") == " a\n"
    with pytest.raises(InputTypeError, match=r"query_prompt=5: expected a string; None is the model's own prompt"):
        DenseOptions(query_prompt=5)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="lone surrogate"):
        DenseOptions(query_prompt="\udc00")
