"""The catalogue of cross-encoders: its facts, and how strictly its file is read."""

from __future__ import annotations

import pickle
import re
from dataclasses import FrozenInstanceError

import pytest

from onnxembed.catalog.reader import read_models
from onnxembed.errors import InputError
from onnxembed.rerank.known import describe_cross_encoder, rerank_registry
from onnxembed.rerank.spec import Activation, CrossEncoderModel
from onnxembed.spec import GraphHead, ModelSource, Recipe

M3 = "onnx-community/bge-reranker-v2-m3-ONNX"
# name, Hub repository, graph, further files, licence, GB: as fastembed 0.9.1 lists them
FACTS = [
    ("Xenova/ms-marco-MiniLM-L-6-v2", "", "onnx/model.onnx", (), "apache-2.0", 0.08),
    ("Xenova/ms-marco-MiniLM-L-12-v2", "", "onnx/model.onnx", (), "apache-2.0", 0.12),
    ("BAAI/bge-reranker-base", "", "onnx/model.onnx", (), "mit", 1.04),
    ("BAAI/bge-reranker-v2-m3", M3, "onnx/model.onnx", ("onnx/model.onnx_data",), "apache-2.0", 2.27),
    ("BAAI/bge-reranker-v2-m3-int8", M3, "onnx/model_int8.onnx", (), "apache-2.0", 0.57),
    ("jinaai/jina-reranker-v1-tiny-en", "", "onnx/model.onnx", (), "apache-2.0", 0.13),
    ("jinaai/jina-reranker-v1-turbo-en", "", "onnx/model.onnx", (), "apache-2.0", 0.15),
    ("jinaai/jina-reranker-v2-base-multilingual", "", "onnx/model.onnx", (), "cc-by-nc-4.0", 1.11),
]
MAX_TOKENS = [512, 512, 512, 8192, 8192, 8192, 8192, 1024]
ROW = """
[[model]]
name = "org/name"
sources = [{ hf = "org/name" }]
model_file = "onnx/model.onnx"
activation = "raw"
license = "mit"
size_in_gb = 0.5
description = "one line"
"""


def read(content: str) -> tuple[CrossEncoderModel, ...]:
    return read_models(CrossEncoderModel, content.encode(), "some.toml")


def test_facts_are_those_of_fastembed() -> None:
    assert [
        (model.name, model.sources, model.model_file, model.additional_files, model.license, model.size_in_gb)
        for model in rerank_registry.catalogue()
    ] == [(name, (ModelSource(hf=repository or name),), *rest) for name, repository, *rest in FACTS]


def test_limits_and_activations() -> None:
    models = rerank_registry.catalogue()
    assert [model.max_tokens for model in models] == MAX_TOKENS
    assert [model.name for model in models if model.activation is Activation.RAW] == [FACTS[0][0], FACTS[1][0]]
    assert all(model.activation is Activation.SIGMOID for model in models[2:])
    assert all(model.description and model.recipe == Recipe(GraphHead.CLASSIFICATION) for model in models)


def test_registry_finds_and_describes_them() -> None:
    model = rerank_registry.find("baai/BGE-reranker-v2-M3-int8")
    assert describe_cross_encoder(model) == {
        "model": "BAAI/bge-reranker-v2-m3-int8",
        "sources": {"hf": M3, "url": None, "package": None},
        "model_file": "onnx/model_int8.onnx",
        "description": "Multilingual, bge-reranker-v2-m3 quantised to eight bits.",
        "license": "apache-2.0",
        "size_in_GB": 0.57,
        "additional_files": [],
        "max_tokens": 8192,
        "activation": "sigmoid",
    }


def test_models_are_frozen_hashable_and_picklable() -> None:
    model = rerank_registry.catalogue()[0]
    with pytest.raises(FrozenInstanceError):
        model.name = "other"  # type: ignore[misc]
    assert pickle.loads(pickle.dumps(model)) == model
    assert len(set(rerank_registry.catalogue())) == 8


@pytest.mark.parametrize(
    ("wrong", "right", "message"),
    [
        ('activation = "model"', 'activation = "raw"', "row 1 ('org/name'), key 'activation': 'model' is none of raw"),
        ("activation = 1", 'activation = "raw"', "key 'activation': 1 is a int, expected a str"),
        ("", 'activation = "raw"', "key 'activation': missing"),
        ('max_tokens = "8"', 'activation = "raw"', "key 'activation': missing"),
        ("size_in_gb = 1", "size_in_gb = 0.5", "key 'size_in_gb': 1 is a int"),
        ('license = "mit"\ndim = 3', 'license = "mit"', "key 'dim': unknown"),
    ],
)
def test_a_wrong_row_is_refused_with_its_key(wrong: str, right: str, message: str) -> None:
    assert read(ROW)[0].name == "org/name"
    with pytest.raises(InputError, match=re.escape(message)):
        read(ROW.replace(right, wrong))


def test_the_second_of_two_equal_names_is_refused() -> None:
    with pytest.raises(InputError, match="key 'name': 'org/name' has it already"):
        read(ROW + ROW.replace("org/name", "ORG/name"))
