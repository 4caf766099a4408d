"""Every notebook runs from its first cell to its last, and gives what is saved in it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest

from scripts.save_notebooks import executed, notebooks, texts

NOTEBOOKS = notebooks()
NUMBER = re.compile(r"-?\d[\d,]*\.?\d*")
# Of numbers with a decimal point: what processors of other kinds may add up in another order.
ABSOLUTE = 0.011
LONG = {"hybrid_search", "reranking"}
WITHOUT_PICTURES = {"rag"}


def test_there_are_notebooks() -> None:
    assert {"hybrid_search", "image_search", "rag", "reranking"} <= {path.stem for path in NOTEBOOKS}


# The kernel is a process of its own: warnings of its client and of what it plots with are not this project's.
@pytest.mark.filterwarnings("ignore")
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "path",
    # What takes more than some twenty seconds is left to `make test-full`.
    [pytest.param(path, id=path.stem, marks=[pytest.mark.full] * (path.stem in LONG)) for path in NOTEBOOKS],
)
def test_gives_what_is_saved(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    saved, now = nbformat.read(path, as_version=4), executed(path)  # type: ignore[no-untyped-call]
    images = [
        output
        for cell in now.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if "image/png" in output.get("data", {})
    ]
    assert bool(images) is (path.stem not in WITHOUT_PICTURES), "a notebook shows a picture"
    if depends_on_python(saved) and python(saved) != python(now):
        pytest.skip(f"its texts are the documentation of Python {python(saved)}, and this is {python(now)}")
    for number, (before, after) in enumerate(zip(texts(saved), texts(now), strict=True)):
        assert alike(before, after), f"code cell {number}: {after!r} is not {before!r}; run `make notebooks`"


def test_outputs_belong_to_cells_that_ran_in_order() -> None:
    for path in NOTEBOOKS:
        cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]  # type: ignore[no-untyped-call]
        assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1)), path
        assert not [cell for cell in cells for output in cell.outputs if output.get("name") == "stderr"], path


def test_every_question_has_an_answer() -> None:
    (path,) = (path for path in NOTEBOOKS if path.stem == "hybrid_search")
    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    asked = next(cell.source for cell in notebook.cells if "QUESTIONS = {" in cell.source)
    questions = len(re.findall(r'^    ".*": \{', asked, re.MULTILINE))
    assert questions == 24
    told = next(text for text in texts(notebook) if "questions, mean reciprocal rank" in text)
    assert re.findall(r"(\d+) questions", told) == [str(questions)] * 6


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        ("0.70 of 24", "0.71 of 24", True),
        ("0.70 of 24", "0.68 of 24", False),
        ("0.70 of 24", "0.70 of 20", False),
        ("score 0.70", "mark 0.70", False),
        ("-0.028", "0.028", False),
        ("1,234", "1,235", False),
    ],
)
def test_what_is_alike(before: str, after: str, same: bool) -> None:
    assert alike(before, after) is same


def alike(before: str, after: str) -> bool:
    """Whether words and whole numbers are equal, and numbers with a decimal point nearly."""
    if NUMBER.sub("#", before) != NUMBER.sub("#", after):
        return False
    return all(
        abs(float(one.replace(",", "")) - float(other.replace(",", ""))) <= (ABSOLUTE if "." in one else 0)
        for one, other in zip(NUMBER.findall(before), NUMBER.findall(after), strict=True)
    )


def depends_on_python(notebook: Any) -> bool:
    return any("stdlib_docs" in cell.source for cell in notebook.cells)


def python(notebook: Any) -> str:
    return str(notebook.metadata.language_info.version)
