"""The catalogue of late-interaction models: its facts, and how strictly its file is read."""

from __future__ import annotations

import pickle

import pytest

from onnxembed.catalog.reader import read_models
from onnxembed.errors import InputError
from onnxembed.late_interaction.known import describe_late_interaction, late_interaction_registry
from onnxembed.late_interaction.spec import PUNCTUATION, LateInteractionModel, SkipRule
from onnxembed.spec import ModelSource, PoolingType, Recipe

# Name, file, dim, licence, GB, tokens.
FACTS: list[tuple[object, ...]] = [
    ("colbert-ir/colbertv2.0", "model.onnx", 128, "mit", 0.44, 512),
    ("answerdotai/answerai-colbert-small-v1", "vespa_colbert.onnx", 96, "apache-2.0", 0.13, 512),
    ("jinaai/jina-colbert-v2", "onnx/model.onnx", 128, "cc-by-nc-4.0", 2.24, 8192),
    ("lightonai/LateOn", "model.onnx", 128, "apache-2.0", 0.616, 300),
    ("lightonai/mLateOn", "model.onnx", 128, "apache-2.0", 1.25, 8192),
]
# Markers of queries and documents, mask token, query length, attends to it, limit counts the marker, raw queries.
CONVENTIONS: list[tuple[object, ...]] = [
    (1, 2, "[MASK]", 32, False, True, True),
    (1, 2, "[MASK]", 32, False, True, True),
    (250002, 250003, "<mask>", 32, True, True, True),
    (50368, 50369, "[MASK]", None, False, False, False),
    (256000, 256001, "<mask>", None, False, False, False),
]
ROW = """[[model]]
name = "org/name"
sources = [{ hf = "org/name-onnx" }]
model_file = "model.onnx"
dim = 8
license = "mit"
size_in_gb = 0.5
description = "One for tests."
query_marker = 1
document_marker = 2
mask_token = "[MASK]"
query_length = 32
attend_to_expansion = false
marker_in_limit = true
skip_rule = "vocabulary"
drop_padding_token = false
normalize_queries = true
"""


@pytest.mark.parametrize("number", range(len(FACTS)))
def test_facts(number: int) -> None:
    model = late_interaction_registry.catalogue()[number]
    stored = (model.name, model.model_file, model.dim, model.license, model.size_in_gb, model.max_tokens)
    assert stored == FACTS[number]
    conventions = (model.query_marker, model.document_marker, model.mask_token, model.query_length)
    flags = (model.attend_to_expansion, model.marker_in_limit, not model.normalize_queries)
    assert conventions + flags == CONVENTIONS[number]
    assert model.sources == (ModelSource(hf=model.name),)
    assert model.normalize_documents
    assert model.recipe is None
    assert model.skip_words == PUNCTUATION


def test_the_rest_of_the_facts() -> None:
    models = late_interaction_registry.catalogue()
    assert len(models) == len(FACTS)
    assert [model.additional_files for model in models] == [(), (), ("onnx/model.onnx_data",), (), ()]
    rules = [SkipRule.FIRST_PIECE] * 3 + [SkipRule.VOCABULARY, SkipRule.NONE]
    assert [model.skip_rule for model in models] == rules
    assert [model.drop_padding_token for model in models] == [True, True, True, False, False]
    assert all(pickle.loads(pickle.dumps(model)) == model for model in models)
    assert all(hash(model) == hash(pickle.loads(pickle.dumps(model))) for model in models)


def test_description_is_plain_data() -> None:
    told = describe_late_interaction(late_interaction_registry.find("JINAAI/jina-colbert-v2"))
    assert told["model"] == "jinaai/jina-colbert-v2"
    assert told["sources"] == {"hf": "jinaai/jina-colbert-v2", "url": None, "package": None}
    assert told["additional_files"] == ["onnx/model.onnx_data"]
    assert (told["dim"], told["size_in_GB"], told["max_tokens"]) == (128, 2.24, 8192)
    assert (told["query_marker"], told["document_marker"], told["mask_token"]) == (250002, 250003, "<mask>")
    assert (told["query_length"], told["attend_to_expansion"], told["skip_rule"]) == (32, True, "first_piece")
    assert (told["normalize_documents"], told["normalize_queries"]) == (True, False)


def test_recipe_is_that_of_the_pooling() -> None:
    assert LateInteractionModel("m", (), 4, compiled_pooling=PoolingType.MEAN).recipe == Recipe(
        pooling=PoolingType.MEAN
    )


def test_row_is_read() -> None:
    (model,) = read_models(LateInteractionModel, ROW.encode(), "test.toml")
    assert model == LateInteractionModel(
        name="org/name",
        sources=(ModelSource(hf="org/name-onnx"),),
        dim=8,
        query_marker=1,
        document_marker=2,
        query_length=32,
        skip_rule=SkipRule.VOCABULARY,
        license="mit",
        size_in_gb=0.5,
        description="One for tests.",
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("dim = 8", "dim = 0", "'org/name'.*key 'dim': 0 is too small"),
        ("query_marker = 1", "query_marker = -1", "key 'query_marker': -1 is too small"),
        ("document_marker = 2", 'document_marker = "[D]"', "key 'document_marker'.*expected a int"),
        ('"vocabulary"', '"words"', "'words' is none of none, vocabulary, first_piece"),
        ("query_length = 32", "query_length = 0", "key 'query_length': 0 is no length"),
        ("query_length = 32\nattend_to_expansion = false", "attend_to_expansion = true", "no expansion without"),
        ("normalize_queries", "normalise_queries", "key 'normalize_queries': missing"),
        ("dim = 8", "dim = 8\ncolour = 1", "key 'colour': unknown"),
    ],
)
def test_slips_are_refused(old: str, new: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_models(LateInteractionModel, ROW.replace(old, new).encode(), "test.toml")


def test_equal_names_are_refused() -> None:
    with pytest.raises(InputError, match="has it already"):
        read_models(LateInteractionModel, (ROW + ROW.replace("org/name", "ORG/name")).encode(), "test.toml")
