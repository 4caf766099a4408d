"""The examples that need nothing but the frameworks; `tests/full/test_store_examples.py` runs the others."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(__file__).parents[2] / "examples"


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"examples_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)  # where types of events are looked up
    spec.loader.exec_module(module)
    return module


def test_langchain_indexing() -> None:
    did, found = example("langchain_indexing").run()
    assert [(one["num_added"], one["num_skipped"], one["num_deleted"]) for one in did] == [
        (3, 0, 0),
        (0, 3, 0),
        (1, 1, 2),
    ]
    assert found == [
        "Bread is baked from rye, water and sourdough.",
        "The moon turns around the earth in about a month.",
    ]


@pytest.mark.filterwarnings("ignore:Payload indexes have no effect:UserWarning")
def test_llama_index_ingestion() -> None:
    counts, found = example("llama_index_ingestion").run()
    assert counts == [3, 0, 1]
    assert found == [
        "Bread is baked from rye, water and sourdough.",
        "The moon turns around the earth in about a month.",
    ]


async def test_llama_index_workflow() -> None:
    run = example("llama_index_workflow").run
    assert await run("Which part is the XR-7000?") == (
        "Model XR-7000 fits the wheels of most bicycles; its pedals do not."
    )
    assert await run("What do I need to bake a loaf?") == "Bread is baked from flour, water and yeast."


def test_llama_index_property_graph() -> None:
    assert example("llama_index_property_graph").run("a fiddle") == ["violin -> is a -> string instrument"]
