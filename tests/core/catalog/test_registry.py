"""The registry of dense models: lookup, suggestions, additions, and many threads at once."""

from __future__ import annotations

import json
import pickle
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from onnxembed.catalog.reader import read_models
from onnxembed.catalog.registry import Registry
from onnxembed.errors import InputError, InputTypeError, UnknownModelError
from onnxembed.image.known import image_registry
from onnxembed.late_interaction.known import late_interaction_registry
from onnxembed.multimodal.known import multimodal_registry
from onnxembed.rerank.known import rerank_registry
from onnxembed.rerank.spec import CrossEncoderModel
from onnxembed.sparse.known import sparse_registry
from onnxembed.spec import ModelSource, PoolingType
from onnxembed.text.known import dense_registry, describe_dense
from onnxembed.text.spec import DenseModel, Matryoshka, Prompts

if TYPE_CHECKING:
    from collections.abc import Iterator

CUSTOM = DenseModel(name="me/Mine", sources=(ModelSource(hf="me/mine"),), dim=4)


@pytest.fixture
def registry() -> Registry[DenseModel]:
    """One of its own for each test: the process keeps its registry clean."""
    return Registry(DenseModel, "dense.toml", "TextEmbedding")


@pytest.fixture
def restless_threads() -> Iterator[None]:
    """Let threads take turns as often as the interpreter can, so that a race shows."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.parametrize(
    "name", ["BAAI/bge-small-en-v1.5", "baai/BGE-SMALL-EN-V1.5", "Snowflake/snowflake-arctic-embed-m"]
)
def test_a_model_is_found_in_any_case(name: str) -> None:
    assert dense_registry.find(name).name.lower() == name.lower()


def test_the_registry_of_the_process_starts_with_the_catalogue() -> None:
    assert dense_registry.models() == dense_registry.catalogue()


@pytest.mark.parametrize(
    ("asked", "offered"),
    [
        # A slip of the pen in a whole name, a case aside.
        ("BAAI/bge-smal-en-v1.5", ["BAAI/bge-small-en-v1.5", "BAAI/bge-small-zh-v1.5", "BAAI/bge-base-en-v1.5"]),
        ("JINAAI/JINA-EMBEDINGS-V3", ["jinaai/jina-embeddings-v3"]),
        # The organisation is missing, or another one's.
        ("all-MiniLM-L6-v2", ["sentence-transformers/all-MiniLM-L6-v2"]),
        ("qdrant/gte-large", ["thenlper/gte-large"]),
        # Only a part of the name is known.
        ("gemma", ["google/embeddinggemma-300m"]),
    ],
)
def test_the_nearest_names_are_offered(registry: Registry[DenseModel], asked: str, offered: list[str]) -> None:
    with pytest.raises(UnknownModelError) as caught:
        registry.find(asked)

    message = str(caught.value)
    names = re.findall(r"'([^']+)'", message.partition("Did you mean")[2].partition("?")[0])
    assert f"no model is named {asked!r}" in message
    assert names[: len(offered)] == offered
    assert len(names) <= 3


def test_added_models_are_offered_too(registry: Registry[DenseModel]) -> None:
    registry.add(CUSTOM)

    with pytest.raises(UnknownModelError, match=r"Did you mean 'me/Mine'\?"):
        registry.find("me/mien")


@pytest.mark.parametrize("asked", ["", "zzzz", "?" * 10_000_000])
def test_an_unlike_name_gets_no_offer_but_the_ways_on(registry: Registry[DenseModel], asked: str) -> None:
    with pytest.raises(UnknownModelError) as caught:
        registry.find(asked)

    message = str(caught.value)
    assert "Did you mean" not in message
    assert "TextEmbedding.list_supported_models()" in message
    assert "local folder" in message
    assert len(message) < 500


def test_an_unknown_model_is_a_value_error(registry: Registry[DenseModel]) -> None:
    with pytest.raises(ValueError, match="no model is named 'none'"):
        registry.find("none")


@pytest.mark.parametrize("name", [None, 3, b"BAAI/bge-small-en-v1.5"])
def test_a_name_that_is_no_string_is_refused(registry: Registry[DenseModel], name: Any) -> None:
    with pytest.raises(InputTypeError, match=f"named by a string, got {type(name).__name__}"):
        registry.find(name)


def test_an_added_model_is_found_and_listed_last(registry: Registry[DenseModel]) -> None:
    registry.add(CUSTOM)

    assert registry.find("ME/mine") is CUSTOM
    assert registry.models() == (*dense_registry.catalogue(), CUSTOM)


def test_an_earlier_listing_does_not_change_when_a_model_is_added(registry: Registry[DenseModel]) -> None:
    before = registry.models()
    registry.add(CUSTOM)

    assert before == dense_registry.catalogue()


@pytest.mark.parametrize(
    ("name", "owner"),
    [
        ("baai/BGE-small-en", "'BAAI/bge-small-en' of the catalogue"),
        ("ME/MINE", "'me/Mine' of an earlier addition"),
    ],
)
def test_a_taken_name_is_refused(registry: Registry[DenseModel], name: str, owner: str) -> None:
    registry.add(CUSTOM)

    with pytest.raises(InputError, match=f"{re.escape(repr(name))} cannot be added: {owner} has that name already"):
        registry.add(replace(CUSTOM, name=name, dim=5))
    assert registry.models() == (*dense_registry.catalogue(), CUSTOM)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": ""}, "needs a name, got ''"),
        ({"name": " "}, "needs a name, got ' '"),
        ({"name": None}, "needs a name, got None"),
        ({"sources": ()}, "'me/Mine' has no source"),
        ({"dim": 0}, "'me/Mine' has dim 0"),
        ({"dim": None}, "'me/Mine' has dim None"),
        ({"dim": True}, "'me/Mine' has dim True"),
        ({"dim": 4.0}, "'me/Mine' has dim 4.0"),
    ],
)
def test_an_incomplete_model_is_refused(registry: Registry[DenseModel], change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        registry.add(replace(CUSTOM, **change))
    assert registry.models() == dense_registry.catalogue()


def test_something_else_than_a_model_is_refused(registry: Registry[DenseModel]) -> None:
    anything: Any = "me/mine"

    with pytest.raises(InputTypeError, match="expected a DenseModel to add, got str"):
        registry.add(anything)


def test_an_added_model_can_be_removed_and_added_again(registry: Registry[DenseModel]) -> None:
    registry.add(CUSTOM)
    registry.remove("ME/MINE")

    assert registry.models() == dense_registry.catalogue()
    with pytest.raises(UnknownModelError):
        registry.find("me/Mine")
    registry.add(CUSTOM)
    assert registry.find("me/Mine") is CUSTOM


def test_a_model_of_the_catalogue_stays(registry: Registry[DenseModel]) -> None:
    with pytest.raises(InputError, match="'BAAI/bge-small-en' belongs to the catalogue"):
        registry.remove("baai/bge-small-en")
    assert registry.find("BAAI/bge-small-en").dim == 384


def test_removing_an_unknown_model_is_refused_and_leaves_the_registry_usable(registry: Registry[DenseModel]) -> None:
    with pytest.raises(UnknownModelError, match="no model is named 'me/other'"):
        registry.remove("me/other")
    registry.add(CUSTOM)

    assert registry.find("me/mine") is CUSTOM


@pytest.mark.usefixtures("restless_threads")
def test_additions_of_many_threads_all_arrive_while_others_read(registry: Registry[DenseModel]) -> None:
    threads, each = 8, 50
    start = threading.Barrier(threads * 2)

    def add(number: int) -> None:
        start.wait()
        for index in range(each):
            registry.add(replace(CUSTOM, name=f"t{number}/m{index}", dim=index + 1))
            if index % 2:
                registry.remove(f"T{number}/M{index}")

    def look(number: int) -> None:
        start.wait()
        for _ in range(each):
            assert registry.find("baai/bge-small-en").dim == 384
            assert registry.models()[:41] == dense_registry.catalogue()

    with ThreadPoolExecutor(threads * 2) as pool:
        jobs = [pool.submit(work, number) for number in range(threads) for work in (add, look)]
        for job in jobs:
            job.result(timeout=60)

    added = {model.name: model.dim for model in registry.models()[41:]}
    assert added == {f"t{number}/m{index}": index + 1 for number in range(threads) for index in range(0, each, 2)}


@pytest.mark.usefixtures("restless_threads")
def test_of_threads_that_add_the_same_name_one_wins(registry: Registry[DenseModel]) -> None:
    threads = 16
    start = threading.Barrier(threads)

    def add(number: int) -> int | None:
        start.wait()
        try:
            registry.add(replace(CUSTOM, dim=number))
        except InputError:
            return None
        return number

    with ThreadPoolExecutor(threads) as pool:
        winners = [number for number in pool.map(add, range(1, threads + 1)) if number is not None]

    assert winners == [registry.find("me/mine").dim]


def test_a_description_has_the_keys_that_users_know() -> None:
    assert describe_dense(dense_registry.find("jinaai/jina-embeddings-v3")) == {
        "model": "jinaai/jina-embeddings-v3",
        "sources": {"hf": "jinaai/jina-embeddings-v3", "url": None, "package": None},
        "model_file": "onnx/model.onnx",
        "description": "Multilingual, long texts, one adapter a task; not for commercial use; "
        "vectors may be shortened; 2024.",
        "license": "cc-by-nc-4.0",
        "size_in_GB": 2.29,
        "additional_files": ["onnx/model.onnx_data"],
        "dim": 1024,
        "tasks": {
            "retrieval.query": 0,
            "retrieval.passage": 1,
            "separation": 2,
            "classification": 3,
            "text-matching": 4,
        },
        "max_tokens": 8192,
        "pooling": "MEAN",
        "normalize": True,
        "default_prompt": "",
        "similarity": "",
        "prompts": {
            "query": "Represent the query for retrieving evidence documents: ",
            "passage": "Represent the document for retrieval: ",
        },
        "matryoshka_dims": [1024, 768, 512, 256, 128, 64, 32],
        "prompt_source": "config.json and config_sentence_transformers.json (second hand)",
    }


def test_a_description_gathers_the_sources() -> None:
    model = replace(CUSTOM, sources=(ModelSource(url="https://example.org/m.tar.gz"), ModelSource(package="mine")))

    assert describe_dense(model)["sources"] == {"hf": None, "url": "https://example.org/m.tar.gz", "package": "mine"}


def test_a_description_tells_any_length_from_no_length() -> None:
    assert describe_dense(CUSTOM)["matryoshka_dims"] is None
    assert describe_dense(replace(CUSTOM, matryoshka=Matryoshka()))["matryoshka_dims"] == []


def test_a_description_of_defaults_is_complete() -> None:
    model = replace(CUSTOM, pooling=PoolingType.LAST_TOKEN, normalize=False, prompts=Prompts(query="q: "))
    described = describe_dense(model)

    assert described["pooling"] == "LAST_TOKEN"
    assert type(described["pooling"]) is str
    assert described["normalize"] is False
    assert described["prompts"] == {"query": "q: ", "passage": ""}
    assert described["tasks"] == {}
    assert described["max_tokens"] is None


def test_descriptions_are_plain_data_and_belong_to_the_caller() -> None:
    described = [describe_dense(model) for model in dense_registry.models()]
    copy = json.loads(json.dumps(described))

    assert copy == described
    described[0]["prompts"]["query"] = "changed"  # type: ignore[index]
    described[0]["additional_files"].append("changed")  # type: ignore[attr-defined]
    assert [describe_dense(model) for model in dense_registry.models()] == copy


def test_models_of_the_registry_travel_to_other_processes(registry: Registry[DenseModel]) -> None:
    registry.add(CUSTOM)

    assert pickle.loads(pickle.dumps(registry.find("me/mine"))) == CUSTOM


def test_looking_a_model_up_imports_nothing_heavy() -> None:
    code = (
        "import sys; from onnxembed.text.known import dense_registry; dense_registry.find('thenlper/gte-base');"
        "heavy = {'numpy', 'onnxruntime', 'tokenizers', 'huggingface_hub', 'requests', 'httpx'} & set(sys.modules);"
        "sys.exit(', '.join(sorted(heavy)) or None)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)

    assert (done.returncode, done.stderr) == (0, "")


def test_aliases_give_the_row_that_has_them() -> None:
    for alias in ("cross-encoder/ms-marco-MiniLM-L-6-v2", "Cross-Encoder/ms-marco-MiniLM-L6-v2"):
        assert rerank_registry.holds(alias)
        model = rerank_registry.find(alias)
        assert (model.name, model.license) == ("Xenova/ms-marco-MiniLM-L-6-v2", "apache-2.0")
        assert model is rerank_registry.find(model.name)
    assert not dense_registry.holds("cross-encoder/ms-marco-MiniLM-L-6-v2")


def test_an_added_model_may_have_the_name_of_an_alias(registry: Registry[DenseModel]) -> None:
    alias = "Qdrant/bge-small-en-v1.5-onnx-Q"
    assert registry.find(alias).name == "BAAI/bge-small-en-v1.5"
    registry.add(replace(CUSTOM, name=alias))
    assert registry.find(alias).name == alias


def test_an_alias_hides_no_model_of_any_kind() -> None:
    registries: tuple[Registry[Any], ...] = (
        dense_registry,
        sparse_registry,
        late_interaction_registry,
        rerank_registry,
        image_registry,
    )
    rows = [(registry, model) for registry in (*registries, multimodal_registry) for model in registry.catalogue()]
    names = {(id(registry), model.name.casefold()) for registry, model in rows}
    kinds_of_alias: dict[str, set[str]] = {}
    for registry, model in rows:
        for alias in model.aliases:
            assert (id(registry), alias.casefold()) not in names
            kinds_of_alias.setdefault(alias.casefold(), set()).add(model.name.casefold())
    for alias, holders in kinds_of_alias.items():
        # The text and the image half of one model, or one model alone.
        assert len(holders) == 1, alias
        assert all(name != alias for _, name in names), alias


def test_an_alias_is_free_in_its_file() -> None:
    row = 'name = "{}"\nsources = [{{ hf = "a/b" }}]\nmodel_file = "m.onnx"\nlicense = "mit"\nsize_in_gb = 0.1\n'
    rest = 'description = "d"\nactivation = "raw"\n'
    first = f"[[model]]\n{row.format('a/one')}aliases = ['a/two']\n{rest}"
    with pytest.raises(InputError, match=r"key 'name': 'a/two' has it already"):
        read_models(CrossEncoderModel, f"{first}[[model]]\n{row.format('A/Two')}{rest}".encode(), "x.toml")
    with pytest.raises(InputError, match=r"key 'aliases': item 3 is a int, expected a str"):
        read_models(CrossEncoderModel, f"[[model]]\n{row.format('a/one')}aliases = [3]\n{rest}".encode(), "x.toml")
