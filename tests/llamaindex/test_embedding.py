"""What `OnnxEmbedding` returns and refuses."""

from __future__ import annotations

import inspect
import math
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from llama_index.core.base.embeddings.base import BaseEmbedding

from llama_index.embeddings.onnxembed import OnnxEmbedding
from llama_index.sparse_embeddings.onnxembed import OnnxSparseEmbedding
from onnxembed import TextEmbedding
from onnxembed.errors import InputTypeError, OnnxEmbedError
from tests.fixtures.text_models import PROMPTS, REAL_MODEL, small_model

TEXTS = ["Paris", "a somewhat longer text about nothing in particular", "", "naïve café", "Paris"]

# The core's name and ours, where they differ.
RENAMED = {
    "cuda": "device",
    "specific_model_path": "model_path",
    "dim": "dimensions",
    "query_prompt": "query_instruction",
    "passage_prompt": "text_instruction",
    "passage_prompt_name": "document_prompt_name",
}
# Options of a call in the core.
PER_CALL = {"batch_size", "output_precision", "parallel", "ranges"}


@pytest.fixture(scope="module")
def core() -> TextEmbedding:
    return TextEmbedding(small_model(), query_prompt=PROMPTS[0], passage_prompt=PROMPTS[1])


@pytest.fixture
def embedding() -> OnnxEmbedding:
    return OnnxEmbedding(model_name=small_model(), query_instruction=PROMPTS[0], text_instruction=PROMPTS[1])


def core_options() -> dict[str, inspect.Parameter]:
    parameters = dict(inspect.signature(TextEmbedding.__init__).parameters)
    del parameters["self"]
    return parameters


def test_is_an_embedding_of_the_framework() -> None:
    assert BaseEmbedding.__name__ in [base.__name__ for base in OnnxEmbedding.__mro__]
    assert OnnxEmbedding.class_name() == "OnnxEmbedding"


def test_all_six_hooks_are_ours() -> None:
    hooks = ["query_embedding", "text_embedding", "text_embeddings"]
    names = [f"_{prefix}get_{hook}" for hook in hooks for prefix in ("", "a")]
    assert all(getattr(OnnxEmbedding, name) is not getattr(BaseEmbedding, name) for name in names)


def test_fields_are_the_cores_options() -> None:
    expected = {RENAMED.get(name, name) for name in core_options()} | PER_CALL
    assert set(OnnxEmbedding.model_fields) == expected | set(BaseEmbedding.model_fields)


def test_defaults_are_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ONNXEMBED_CACHE", raising=False)
    embedding = OnnxEmbedding()
    ours = {name: getattr(embedding, RENAMED.get(name, name)) for name in core_options()}
    theirs = {name: parameter.default for name, parameter in core_options().items()}
    # Frameworks build objects long before they use them.
    assert (ours.pop("lazy_load"), theirs.pop("lazy_load")) == (True, False)
    # A dictionary of JSON has lists alone.
    assert (ours.pop("accept_unknown"), theirs.pop("accept_unknown")) == (None, ())
    # Left to the core, so that an exported folder may say another.
    assert (ours.pop("truncate"), embedding.engine.options["truncate"], theirs.pop("truncate")) == (None, True, True)
    assert ours == theirs
    assert embedding.embed_batch_size == 256


def test_values_are_the_cores_to_the_last_bit(embedding: OnnxEmbedding, core: TextEmbedding) -> None:
    passages = [vector.tolist() for vector in core.passage_embed(TEXTS)]
    query = next(iter(core.query_embed("Paris"))).tolist()
    assert embedding.get_text_embedding_batch(TEXTS) == passages
    assert embedding.get_text_embedding("Paris") == next(iter(core.passage_embed("Paris"))).tolist()
    assert embedding.get_query_embedding("Paris") == query
    assert embedding.get_agg_embedding_from_queries(["Paris", "Paris"]) == pytest.approx(query)
    assert query != embedding.get_text_embedding("Paris")
    assert {type(number) for vector in [query, *embedding.get_text_embedding_batch(TEXTS)] for number in vector} == {
        float
    }


async def test_async_gives_the_same(embedding: OnnxEmbedding) -> None:
    assert await embedding.aget_text_embedding_batch(TEXTS) == embedding.get_text_embedding_batch(TEXTS)
    assert await embedding.aget_text_embedding("Paris") == embedding.get_text_embedding("Paris")
    assert await embedding.aget_query_embedding("Paris") == embedding.get_query_embedding("Paris")
    both = await embedding.aget_agg_embedding_from_queries(["Paris", "Rome"])
    assert both == embedding.get_agg_embedding_from_queries(["Paris", "Rome"])


def test_windows_and_progress_change_nothing(embedding: OnnxEmbedding, capsys: pytest.CaptureFixture[str]) -> None:
    expected = embedding.get_text_embedding_batch(TEXTS)
    embedding.embed_batch_size = 2
    np.testing.assert_allclose(embedding.get_text_embedding_batch(TEXTS, show_progress=True), expected, atol=1e-6)
    assert "5/5" in capsys.readouterr().err


async def test_one_bar_over_all_windows(capsys: pytest.CaptureFixture[str]) -> None:
    embedding = OnnxEmbedding(model_name=small_model(), embed_batch_size=2, show_progress=True)
    sparse = OnnxSparseEmbedding(model_name="Qdrant/bm25", show_progress=True)
    for texts, asynchronously in (
        (embedding.get_text_embedding_batch, embedding.aget_text_embedding_batch),
        (sparse.get_text_embedding_batch, sparse.aget_text_embedding_batch),
    ):
        capsys.readouterr()
        expected = texts(TEXTS)
        assert await asynchronously(TEXTS) == expected
        shown = capsys.readouterr().err
        assert "Embedding:" not in shown  # the core's
        assert shown.count("5/5") >= 1
    embedding.get_query_embedding("Paris")
    assert capsys.readouterr().err == ""


def test_generators_are_taken(embedding: OnnxEmbedding) -> None:
    assert embedding.get_text_embedding_batch(text for text in TEXTS) == embedding.get_text_embedding_batch(TEXTS)  # type: ignore[arg-type]


async def test_workers_of_the_framework_are_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    embedding = OnnxEmbedding(model_name=small_model(), num_workers=2, embed_batch_size=1)
    windows: list[int] = []
    work = TextEmbedding.embed_to_array

    def count(self: TextEmbedding, texts: list[str], *args: Any, **kwargs: Any) -> Any:
        windows.append(len(texts))
        return work(self, texts, *args, **kwargs)

    monkeypatch.setattr(TextEmbedding, "embed_to_array", count)
    vectors = await embedding.aget_text_embedding_batch(TEXTS)
    assert windows == [1] * len(TEXTS)
    assert vectors[0] == vectors[4] == embedding.get_text_embedding("Paris")


def test_an_empty_instruction_is_none(embedding: OnnxEmbedding) -> None:
    bare = OnnxEmbedding(model_name=small_model(), query_instruction="", text_instruction="")
    assert embedding.get_query_embedding("Paris") == pytest.approx(
        bare.get_query_embedding("search_query: Paris"), abs=1e-6
    )
    assert bare.get_query_embedding("Paris") == bare.get_text_embedding("Paris")


def test_known_values_of_a_real_model() -> None:
    embedding = OnnxEmbedding(model_name=REAL_MODEL, local_files_only=True)
    expected = [-0.034478, 0.03102, 0.00673, 0.02611, -0.039362]
    assert embedding.get_text_embedding("hello world")[:5] == pytest.approx(expected, abs=1e-4)
    assert embedding.dimension == 384


def test_options_reach_the_engine() -> None:
    short = OnnxEmbedding(model_name=small_model(), dimensions=8, normalize=True)
    vector = short.get_text_embedding("Paris")
    assert len(vector) == short.dimension == 8
    assert math.hypot(*vector) == pytest.approx(1.0, abs=1e-6)


async def test_no_texts_need_no_model() -> None:
    embedding = OnnxEmbedding(cache_dir="/nonexistent", local_files_only=True)
    assert embedding.get_text_embedding_batch([]) == []
    assert await embedding.aget_text_embedding_batch([]) == []
    assert embedding.dimension == 384


@pytest.mark.parametrize(("wrong", "name"), [(None, "None"), (3, "int"), (b"bytes", "bytes"), (["nested"], "list")])
async def test_items_that_are_no_text_are_named(embedding: OnnxEmbedding, wrong: Any, name: str) -> None:
    texts = ["fine"] * 300 + [wrong]
    with pytest.raises(InputTypeError, match=rf"\b300\b.*{name}"):
        embedding.get_text_embedding_batch(texts)
    with pytest.raises(InputTypeError, match=rf"\b300\b.*{name}"):
        await embedding.aget_text_embedding_batch(texts)
    with pytest.raises(InputTypeError, match=name):
        embedding.get_query_embedding(wrong)
    with pytest.raises(InputTypeError, match=name):
        await embedding.aget_text_embedding(wrong)


def test_a_batch_must_be_a_list(embedding: OnnxEmbedding) -> None:
    with pytest.raises(InputTypeError, match="str, expected a list of str"):
        embedding.get_text_embedding_batch("one text")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"embed_batchsize": 3}, "no argument 'embed_batchsize'; did you mean 'embed_batch_size'"),
        ({"doc_embed_type": "passage"}, "pass text_instruction=, the document prompt"),
        ({"cuda": True}, "here it is called 'device'"),
        ({"document_prompt": "x"}, "here it is called 'text_instruction'"),
        ({"qqqq": 1}, "it takes accept_unknown, batch_size, cache_dir"),
        ({"class_name": "SomeOther"}, "no argument 'class_name'"),
        ({"device": "tpu"}, "device='tpu' is not understood"),
        ({"embed_batch_size": 0}, "greater than 0"),
        ({"parallel": -1}, "greater than or equal to 0"),
        ({"providers": ["TPUExecutionProvider"]}, "CPUExecutionProvider"),
        ({"dimensions": 100}, "bge-small-en-v1.5"),
        ({"model_name": "BAAI/bge-smal-en-v1.5"}, "BAAI/bge-small-en-v1.5"),
    ],
)
def test_wrong_arguments_are_refused_with_advice(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(OnnxEmbedError) as caught:
        OnnxEmbedding(**arguments)
    assert message in str(caught.value)


def test_imports_are_late() -> None:
    code = (
        "from llama_index.embeddings.onnxembed import OnnxEmbedding; OnnxEmbedding()\n"
        "import sys; print(sorted({'onnxruntime', 'tokenizers', 'huggingface_hub'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
