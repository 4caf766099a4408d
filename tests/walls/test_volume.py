"""How much code there is, and that the adapters share it in the core and not by copies."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.volume import CORE, LANGCHAIN, LLAMA_INDEX, Shared, Volume, shared_runs, volume
from tests.walls.copies import ROOT

# The house was rebuilt from 29,410 lines to 23,529 (at most 24,910 were allowed). What has come since brings
# capabilities: a change that adds more raises this number knowingly.
MOST_LINES = 57_700
TEXT = '''"""A module
of two lines."""

NUMBER = 1
"""Its documentation."""

def double(number: int) -> int:
    """Double it."""
    text = """no documentation
    at all"""
    return 2 * number
'''


def test_production_code_is_short() -> None:
    assert sum(volume(ROOT, folder).lines for folder in (CORE, "integrations")) <= MOST_LINES


@pytest.mark.parametrize(
    ("folder", "most"),
    [
        (CORE, 0.25),
        (LANGCHAIN, 0.30),
        (LLAMA_INDEX, 0.30),
    ],
)
def test_documentation_is_where_it_helps(folder: str, most: float) -> None:
    assert volume(ROOT, folder).share <= most


def test_adapters_share_no_twelve_lines() -> None:
    assert shared_runs(ROOT, LANGCHAIN, LLAMA_INDEX) == []


def test_volume_counts_documentation(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "module.py").write_text(TEXT, encoding="utf-8")
    assert volume(tmp_path, "one") == Volume(lines=11, filled=9, documentation=4)


def test_runs_are_found_across_blank_lines_and_indentation(tmp_path: Path) -> None:
    lines = [f"line_{number}" for number in range(10)]
    for folder, first, indent in (("one", "own", ""), ("two", "other", "    ")):
        text = "\n".join([first, *(indent + line for line in lines[:4]), "", "", *lines[4:], f"last_{folder}"])
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "module.py").write_text(text, encoding="utf-8")
    assert shared_runs(tmp_path, "one", "two") == [Shared(12, ("one/module.py", 2), ("two/module.py", 2))]
    assert shared_runs(tmp_path, "one", "two", least=13) == []
