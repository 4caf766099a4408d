"""What `OnnxEmbeddings` returns and refuses."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from langchain_onnxembed import OnnxEmbeddings
from onnxembed import Device, TextEmbedding
from onnxembed.errors import InputTypeError, OnnxEmbedError
from tests.fixtures.text_models import PROMPTS, REAL_MODEL, small_model

TEXTS = ["Paris", "a somewhat longer text about nothing in particular", "", "naïve café", "Paris"]


@pytest.fixture(scope="module")
def core() -> TextEmbedding:
    return TextEmbedding(small_model(), query_prompt=PROMPTS[0], passage_prompt=PROMPTS[1])


@pytest.fixture
def embeddings() -> OnnxEmbeddings:
    return OnnxEmbeddings(model=small_model(), query_prompt=PROMPTS[0], document_prompt=PROMPTS[1])


def test_documents_are_the_cores_passages_to_the_last_bit(embeddings: OnnxEmbeddings, core: TextEmbedding) -> None:
    vectors = embeddings.embed_documents(TEXTS)
    assert vectors == [vector.tolist() for vector in core.passage_embed(TEXTS)]
    assert type(vectors) is list
    assert {type(vector) for vector in vectors} == {list}
    assert {type(number) for vector in vectors for number in vector} == {float}


def test_query_is_the_cores_query_to_the_last_bit(embeddings: OnnxEmbeddings, core: TextEmbedding) -> None:
    vector = embeddings.embed_query("Paris")
    assert vector == next(iter(core.query_embed("Paris"))).tolist()
    assert vector != embeddings.embed_documents(["Paris"])[0]
    assert {type(number) for number in vector} == {float}


async def test_async_gives_the_same(embeddings: OnnxEmbeddings) -> None:
    assert await embeddings.aembed_documents(TEXTS) == embeddings.embed_documents(TEXTS)
    assert await embeddings.aembed_query("Paris") == embeddings.embed_query("Paris")


def test_prompts_are_put_verbatim_and_an_empty_one_is_none(embeddings: OnnxEmbeddings) -> None:
    bare = OnnxEmbeddings(model=small_model(), query_prompt="", document_prompt="")
    assert embeddings.embed_query("Paris") == pytest.approx(bare.embed_query("search_query: Paris"), abs=1e-6)
    assert bare.embed_query("Paris") == bare.embed_documents(["Paris"])[0]


def test_known_values_of_a_real_model() -> None:
    embeddings = OnnxEmbeddings(model=REAL_MODEL, local_files_only=True)
    expected = [-0.034478, 0.03102, 0.00673, 0.02611, -0.039362]
    assert embeddings.embed_query("hello world")[:5] == pytest.approx(expected, abs=1e-4)
    assert embeddings.dimension == 384


def test_options_reach_the_engine() -> None:
    short = OnnxEmbeddings(model=small_model(), dimensions=8, normalize=True)
    (vector,) = short.embed_documents(["Paris"])
    assert len(vector) == short.dimension == 8
    assert math.hypot(*vector) == pytest.approx(1.0, abs=1e-6)
    cut = OnnxEmbeddings(model=small_model(), max_length=8)
    assert cut.embed_query("one two three four five six seven eight nine") == cut.embed_query(
        "one two three four five six"
    )


def test_changing_a_field_changes_the_vectors(embeddings: OnnxEmbeddings) -> None:
    before = embeddings.embed_query("Paris")
    embeddings.query_prompt = "another: "
    assert embeddings.embed_query("Paris") != before
    copied = embeddings.model_copy(update={"query_prompt": PROMPTS[0]})
    assert copied.embed_query("Paris") == before


def test_no_texts_need_no_model() -> None:
    embeddings = OnnxEmbeddings(model=REAL_MODEL, cache_dir="/nonexistent", local_files_only=True, show_progress=True)
    assert embeddings.embed_documents([]) == []


async def test_no_texts_need_no_model_async() -> None:
    embeddings = OnnxEmbeddings(model="BAAI/bge-small-en-v1.5", cache_dir="/nonexistent", local_files_only=True)
    assert await embeddings.aembed_documents([]) == []
    assert embeddings.dimension == 384


@pytest.mark.parametrize(("wrong", "name"), [(None, "None"), (3, "int"), (b"bytes", "bytes"), (["nested"], "list")])
def test_items_that_are_no_text_are_named(embeddings: OnnxEmbeddings, wrong: Any, name: str) -> None:
    with pytest.raises(InputTypeError, match=rf"\b1\b.*{name}"):
        embeddings.embed_documents(["fine", wrong])
    with pytest.raises(InputTypeError, match=name):
        embeddings.embed_query(wrong)


@pytest.mark.parametrize("wrong", [None, 3, "one text"])
async def test_documents_must_be_a_list(embeddings: OnnxEmbeddings, wrong: Any) -> None:
    with pytest.raises(InputTypeError, match=rf"{type(wrong).__name__}, expected a list of str"):
        embeddings.embed_documents(wrong)
    with pytest.raises(InputTypeError, match=rf"{type(wrong).__name__}, expected a list of str"):
        await embeddings.aembed_documents(wrong)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batchsize": 3}, "no argument 'batchsize'; did you mean 'batch_size'"),
        ({"doc_embed_type": "passage"}, "pass document_prompt="),
        ({"cuda": True}, "here it is called 'device'"),
        ({"specific_model_path": "x"}, "here it is called 'model_path'"),
        ({"qqqq": 1}, "it takes accept_unknown, batch_size, cache_dir"),
        ({"device": "tpu"}, "device='tpu' is not understood"),
        ({"batch_size": 0}, "greater than or equal to 1"),
        ({"parallel": -1}, "greater than or equal to 0"),
        ({"providers": ["TPUExecutionProvider"]}, "CPUExecutionProvider"),
        ({"dimensions": 100}, "bge-small-en-v1.5"),
        ({"model": "BAAI/bge-smal-en-v1.5"}, "BAAI/bge-small-en-v1.5"),
    ],
)
def test_wrong_arguments_are_refused_with_advice(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(OnnxEmbedError) as caught:
        OnnxEmbeddings(**arguments)
    assert message in str(caught.value)


def test_both_spellings_of_the_model() -> None:
    assert OnnxEmbeddings(model=REAL_MODEL) == OnnxEmbeddings.model_validate({"model_name": REAL_MODEL})
    assert OnnxEmbeddings(model=REAL_MODEL).model == REAL_MODEL
    assert OnnxEmbeddings(**OnnxEmbeddings(model=REAL_MODEL).model_dump()) == OnnxEmbeddings(model=REAL_MODEL)


def test_settings_are_plain_data() -> None:
    embeddings = OnnxEmbeddings(
        model=REAL_MODEL, cache_dir=Path("here"), device=Device.CPU.value, session_options={"intra_op_num_threads": 1}
    )
    assert embeddings.cache_dir == "here"
    assert OnnxEmbeddings.model_validate_json(embeddings.model_dump_json()) == embeddings


def test_token_count_is_the_models() -> None:
    embeddings = OnnxEmbeddings(model=REAL_MODEL, local_files_only=True)
    assert embeddings.token_count("hello world") == embeddings.engine.token_count("hello world") == 4
    assert embeddings.token_count(["hello world", "hello"]) == 7


def test_progress_counts_documents(embeddings: OnnxEmbeddings, capsys: pytest.CaptureFixture[str]) -> None:
    quiet = embeddings.embed_documents(TEXTS)
    assert capsys.readouterr().err == ""
    embeddings.show_progress = True
    assert embeddings.embed_documents(TEXTS) == quiet
    assert "5/5" in capsys.readouterr().err
