"""The catalogue of multimodal models: its facts, and how strictly its file is read."""

from __future__ import annotations

import pickle

import pytest

from onnxembed.catalog.reader import read_models
from onnxembed.errors import InputError
from onnxembed.multimodal.known import describe_multimodal, multimodal_registry
from onnxembed.multimodal.spec import MultimodalKind, MultimodalModel
from onnxembed.spec import ModelSource

# Name, kind, file, additional files, dim, licence, GB, tokens.
FACTS: list[tuple[object, ...]] = [
    ("Qdrant/colpali-v1.3-fp16", "COLPALI", "model.onnx", ("model.onnx_data",), 128, "gemma", 6.5, 50),
    ("Qdrant/colmodernvbert", "COLMODERNVBERT", "model_v2.onnx", ("processor_config.json",), 128, "mit", 1.0, None),
]
ROW = """[[model]]
name = "org/name"
sources = [{ hf = "org/name-onnx" }]
kind = "COLQWEN2"
model_file = "model.onnx"
dim = 8
license = "mit"
size_in_gb = 0.5
description = "One for tests."
"""


@pytest.mark.parametrize("number", range(len(FACTS)))
def test_facts(number: int) -> None:
    model = multimodal_registry.catalogue()[number]
    stored = (model.name, model.kind, model.model_file, model.additional_files, model.dim, model.license)
    assert (*stored, model.size_in_gb, model.max_tokens) == FACTS[number]
    assert model.sources == (ModelSource(hf=model.name),)
    assert model.recipe is None
    assert pickle.loads(pickle.dumps(model)) == model
    assert hash(pickle.loads(pickle.dumps(model))) == hash(model)


def test_description_is_plain_data() -> None:
    assert len(multimodal_registry.catalogue()) == len(FACTS)
    told = describe_multimodal(multimodal_registry.find("QDRANT/colpali-v1.3-fp16"))
    assert told["model"] == "Qdrant/colpali-v1.3-fp16"
    assert told["sources"] == {"hf": "Qdrant/colpali-v1.3-fp16", "url": None, "package": None}
    assert told["additional_files"] == ["model.onnx_data"]
    assert (told["dim"], told["size_in_GB"], told["max_tokens"], told["kind"]) == (128, 6.5, 50, "COLPALI")


def test_row_is_read() -> None:
    (model,) = read_models(MultimodalModel, ROW.encode(), "test.toml")
    assert model == MultimodalModel(
        name="org/name",
        sources=(ModelSource(hf="org/name-onnx"),),
        kind=MultimodalKind.COLQWEN2,
        dim=8,
        license="mit",
        size_in_gb=0.5,
        description="One for tests.",
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("dim = 8", "dim = 0", "'org/name'.*key 'dim': 0 is too small"),
        ('"COLQWEN2"', '"COLBERT"', "'COLBERT' is none of COLPALI, COLMODERNVBERT, COLQWEN2"),
        ('kind = "COLQWEN2"\n', "", "key 'kind': missing"),
        ("dim = 8", "dim = 8\ncolour = 1", "key 'colour': unknown"),
    ],
)
def test_slips_are_refused(old: str, new: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_models(MultimodalModel, ROW.replace(old, new).encode(), "test.toml")


def test_equal_names_are_refused() -> None:
    with pytest.raises(InputError, match="has it already"):
        read_models(MultimodalModel, (ROW + ROW.replace("org/name", "ORG/name")).encode(), "test.toml")
