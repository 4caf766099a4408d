"""From fields to the core object: opened once, opened again when a field changes, and never carried along."""

from __future__ import annotations

import copy
import pickle
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import Field

from onnxembed import TextEmbedding, export_model
from onnxembed.adapters.dense import DenseModel
from onnxembed.adapters.engine import EngineModel, option_names
from onnxembed.adapters.images import ImageHalf
from onnxembed.adapters.option_types import ModelName
from onnxembed.api.options import EngineOptions
from onnxembed.errors import InputError, ModelNotFoundError
from tests.fixtures.small_models import write_bert_folder
from tests.fixtures.text_models import PROMPTS, small_clip, small_model


class Adapter(DenseModel):
    """A dense model of no framework, with a name of its own for a prompt, and a field that is no option."""

    core_names: ClassVar[Mapping[str, str]] = {"passage_prompt": "before_documents"}
    elsewhere: ClassVar[Mapping[str, str]] = {"prefix": "here it is called 'before_documents'"}

    model_name: ModelName = Field(default_factory=small_model)
    query_prompt: str | None = None
    before_documents: str | None = None
    extra: Any = None


class Pair(ImageHalf, Adapter):
    image_names: ClassVar[Mapping[str, str]] = {"model_name": "image_model"}

    image_model: ModelName | None = None


@dataclass(frozen=True, slots=True)
class NovelOptions(EngineOptions):
    """Those of a new kind.

    Attributes:
        novelty: What is new.
    """

    novelty: int = 0


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The arguments of every core object that is made."""
    seen: list[dict[str, Any]] = []
    construct = TextEmbedding.__init__

    def note(self: TextEmbedding, **options: Any) -> None:
        seen.append(options)
        construct(self, **options)

    monkeypatch.setattr(TextEmbedding, "__init__", note)
    return seen


def test_the_core_object_is_made_once_of_what_was_given(made: list[dict[str, Any]]) -> None:
    adapter = Adapter(device="cpu", before_documents="text: ")
    assert made == [
        {
            "model_name": small_model(),
            "cache_dir": adapter.cache_dir,
            "cuda": "cpu",
            "local_files_only": False,
            "passage_prompt": "text: ",
            "lazy_load": True,
        }
    ]
    assert adapter.engine is adapter.engine
    assert len(made) == 1


def test_a_precision_that_a_folder_does_not_hold_is_refused(tmp_path: Path) -> None:
    write_bert_folder(tmp_path / "model", hidden=256, layers=1)
    folder = str(export_model(tmp_path / "model", tmp_path / "int8", precision="int8"))
    assert Adapter(model_name=folder).engine.precision == "int8"
    with pytest.raises(InputError, match=r"precision='fp32': .* was exported with precision='int8'"):
        Adapter(model_name=folder, precision="fp32")
    assert Adapter.from_engine(TextEmbedding(folder)).precision == "int8"
    with pytest.raises(InputError, match=r"revision='v1': .* is a folder"):
        Adapter(model_name=folder, revision="v1")
    text, image = small_clip()
    with pytest.raises(InputError, match=r"image_revision='v1': .* is a folder"):
        Pair(model_name=text, image_model=image, image_revision="v1")


def test_a_changed_option_opens_another(made: list[dict[str, Any]]) -> None:
    adapter = Adapter()
    engine = adapter.engine
    adapter.before_documents = PROMPTS[1]
    assert adapter.engine is not engine
    assert adapter.engine.options["passage_prompt"] == PROMPTS[1]
    adapter.__dict__["before_documents"] = "by another way: "
    assert adapter.engine.options["passage_prompt"] == "by another way: "
    assert len(made) == 3


def test_a_field_that_is_no_option_keeps_it(made: list[dict[str, Any]]) -> None:
    adapter = Adapter()
    engine = adapter.engine
    adapter.batch_size, adapter.parallel, adapter.lazy_load, adapter.extra = 3, 2, False, object()
    assert adapter.engine is engine
    assert adapter.model_copy(update={"batch_size": 5}).engine is engine
    assert len(made) == 1


def test_copies_share_it_until_they_differ(made: list[dict[str, Any]]) -> None:
    adapter = Adapter(extra=[1])
    for other in (copy.copy(adapter), copy.deepcopy(adapter), adapter.model_copy(), adapter.model_copy(deep=True)):
        assert other == adapter
        assert other.engine is adapter.engine
        other.before_documents = "other: "
        assert other != adapter
        assert other.engine.options["passage_prompt"] == "other: "
        assert adapter.engine.options["passage_prompt"] != "other: "
    changed = adapter.model_copy(update={"before_documents": "third: "})
    assert changed.engine.options["passage_prompt"] == "third: "
    assert len(made) == 6


def test_pickles_carry_settings_alone(made: list[dict[str, Any]]) -> None:
    adapter = Adapter(before_documents="text: ")
    adapter.extra = threading.Lock()
    assert adapter.engine is adapter.engine  # what was opened last held the lock among the fields
    adapter.extra = None
    again = pickle.loads(pickle.dumps(adapter))
    assert again == adapter
    assert again.engine.options == adapter.engine.options
    again.before_documents = "other: "
    assert again.engine.options["passage_prompt"] == "other: "
    assert len(made) == 2


def test_the_warm_path_looks_at_no_option(monkeypatch: pytest.MonkeyPatch) -> None:
    adapter = Adapter()
    monkeypatch.setattr(Adapter, "_settings", None)
    assert adapter.engine is adapter.engine
    adapter.batch_size = 4
    with pytest.raises(TypeError):
        adapter.engine  # noqa: B018


def test_an_engine_that_is_there_gives_the_fields() -> None:
    engine = TextEmbedding(small_model(), dim=8, cuda="cpu", passage_prompt=PROMPTS[1], lazy_load=True)
    adapter = Adapter.from_engine(engine)
    assert adapter.engine is engine
    assert (adapter.dimensions, adapter.device, adapter.before_documents) == (8, "cpu", PROMPTS[1])
    adapter.batch_size = 3
    assert adapter.engine is engine
    adapter.dimensions = 4
    assert adapter.engine is not engine


def test_changes_and_calls_at_once_end_with_the_last_change() -> None:
    adapter = Adapter()
    stop = threading.Event()

    def call() -> None:
        while not stop.is_set():
            adapter.engine  # noqa: B018

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(100):
        adapter.before_documents = f"{number}: "
    stop.set()
    for thread in threads:
        thread.join()
    assert adapter.engine.options["passage_prompt"] == "99: "


def test_a_new_option_of_the_core_needs_a_field_and_nothing_else() -> None:
    taken: dict[str, Any] = {}

    class Core:
        def __init__(self, **options: Any) -> None:
            taken.update(options)

    class Novel(EngineModel):
        options_class: ClassVar[type[EngineOptions]] = NovelOptions
        model_name: str = "some"
        novelty: int = 7

        @classmethod
        def core_class(cls) -> type[Core]:
            return Core

    Novel(device="cpu")
    assert (taken["model_name"], taken["cuda"], taken["novelty"]) == ("some", "cpu", 7)
    assert option_names(Novel)["novelty"] == "novelty"
    assert Novel.model_fields["novelty"].description == "What is new."
    assert Novel.model_json_schema()["properties"]["novelty"]["description"] == "What is new."


def test_errors_speak_of_the_adapters_arguments() -> None:
    with pytest.raises(ModelNotFoundError, match=r"(?<!specific_)model_path='/nowhere'"):
        Adapter(model_name="BAAI/bge-small-en-v1.5", model_path="/nowhere")
    adapter = Adapter(model_name="BAAI/bge-small-en-v1.5")
    adapter.model_path = "/nowhere"
    with pytest.raises(ModelNotFoundError, match=r"^model_path='/nowhere'"):
        adapter.engine  # noqa: B018
    with pytest.raises(InputError, match=r"(?<!\w)dimensions=1000"):
        Adapter(model_name="BAAI/bge-small-en-v1.5", dimensions=1000)
    with pytest.raises(InputError, match="here it is called 'before_documents'"):
        Adapter(passage_prompt="x")  # type: ignore[call-arg]
    with pytest.raises(InputError, match="here it is called 'before_documents'"):
        Adapter(prefix="x")  # type: ignore[call-arg]
    with pytest.raises(InputError, match="pass parallel="):
        Adapter(multi_process=True)  # type: ignore[call-arg]


def test_the_image_half_follows_the_text_half() -> None:
    text, image = small_clip()
    pair = Pair(model_name="Qdrant/clip-ViT-B-32-text", model_path=text, image_model_path=image)
    engine = pair.image_engine
    assert pair.image_engine is engine is copy.deepcopy(pair).image_engine
    pair.batch_size = 3
    assert pair.image_engine is engine
    pair.max_pixels = 99
    assert pair.image_engine.options["max_pixels"] == 99
    assert pair.image_engine.model_name == "Qdrant/clip-ViT-B-32-vision"
    pair.model_name, pair.model_path, pair.image_model_path = "jinaai/jina-clip-v1", None, None
    assert pair.image_engine.model_name == "jinaai/jina-clip-v1"
    pair.model_name = "thenlper/gte-base"
    with pytest.raises(InputError, match="no image model is known"):
        pair.image_engine  # noqa: B018
