"""Fields stand for the core's options, whatever the framework."""

from __future__ import annotations

from typing import Any

import pytest

from onnxembed import ImageEmbedding
from onnxembed.adapters.dense import DenseModel
from onnxembed.adapters.engine import EngineModel, inherited, option_names
from onnxembed.adapters.fields import EngineFields
from onnxembed.adapters.images import ImageHalf
from onnxembed.adapters.late_interaction import LateInteractionModel
from onnxembed.adapters.muvera import MuveraModel
from onnxembed.adapters.rerank import CrossEncoderModel, CrossEncoderRanking, LateInteractionRanking
from onnxembed.adapters.sparse import SparseModel

KINDS: list[type[EngineModel]] = [
    *(CrossEncoderModel, CrossEncoderRanking, DenseModel, LateInteractionModel),
    *(LateInteractionRanking, MuveraModel, SparseModel),
]
# Each framework has its own names for these.
FRAMEWORKS = {"model_name", "query_prompt", "passage_prompt"}


def options_of(core: Any) -> set[str]:
    import inspect

    return set(inspect.signature(core).parameters) - {"lazy_load"}


@pytest.mark.parametrize("kind", KINDS)
def test_every_option_of_the_core_has_its_field(kind: type[EngineModel]) -> None:
    assert set(option_names(kind)) == options_of(kind.core_class()) - FRAMEWORKS


def test_every_option_of_images_has_its_field() -> None:
    assert set(option_names(ImageHalf, "image_names", "image_options_class")) == options_of(ImageEmbedding) - {
        "model_name",
        "normalize",  # that of the text half
    }


def test_the_cache_folder_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONNXEMBED_CACHE", "/there")
    assert EngineFields().cache_dir == "/there"
    assert EngineFields(cache_dir="/here").cache_dir == "/here"
    monkeypatch.setenv("ONNXEMBED_CACHE", "")
    assert EngineFields().cache_dir is None


def test_names_add_to_those_of_the_bases() -> None:
    assert inherited(DenseModel, "core_names") == {
        "cuda": "device",
        "specific_model_path": "model_path",
        "dim": "dimensions",
        "passage_prompt_name": "document_prompt_name",
    }
    assert inherited(SparseModel, "elsewhere")["threshold"] == "here it is called 'min_weight'"
    assert inherited(SparseModel, "elsewhere")["cache_folder"] == "here it is called 'cache_dir'"


class Images(ImageHalf):
    """A class that inherits fields from the room has them described."""


@pytest.mark.parametrize("kind", [*KINDS, Images])
def test_every_field_is_described(kind: type[EngineModel]) -> None:
    assert [name for name, field in kind.model_fields.items() if not field.description] == []
