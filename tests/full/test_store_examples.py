"""The examples with stores of other makers, run in the environment that holds these (`make .venv/.stores`)."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

pytestmark = [pytest.mark.full, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
STORES = Path(os.environ.get("ONNXEMBED_STORES", ROOT / ".venv" / "stores" / "bin" / "python"))
PART = "Model XR-7000 fits the wheels of most bicycles; its pedals do not."
BREAD = "Bread is baked from flour, water and yeast."


def told(name: str) -> list[str]:
    if not STORES.is_file():
        pytest.skip(f"{STORES} is not there; `make test-full` makes it, or ONNXEMBED_STORES= names another Python")
    arguments = [str(STORES), "-W", "ignore", str(ROOT / "examples" / f"{name}.py")]
    run = subprocess.run(arguments, capture_output=True, text=True, check=False, cwd=ROOT)
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()


def test_memory_of_langgraph() -> None:
    assert told("langgraph_memory")[0].split()[1] == "food"


def test_self_query_over_qdrant() -> None:
    # By meaning alone the violin concerto of 1878 would be first.
    assert told("langchain_self_query") == ["A violin sonata with piano.", "A cello suite for one player."]


def test_hybrid_search_in_milvus_lite() -> None:
    assert told("langchain_milvus_hybrid")[0] == PART


def test_postgresql_with_pgvector() -> None:
    by_meaning, hybrid = told("langchain_pgvector")[-2:]
    assert by_meaning.startswith(f"['{BREAD}'")
    assert hybrid.startswith(f"['{PART}'")
