"""The page of architectures is made from the rows, and stays so."""

from __future__ import annotations

import pytest

from scripts.architecture_table import PAGE, Measured, measure, page, problems, rows

ROWS = rows()


def test_the_page_is_that_of_the_rows() -> None:
    assert list(problems(PAGE.read_text(encoding="utf-8"), ROWS)) == []


def test_what_is_missing_and_what_is_too_much_is_said() -> None:
    measured = [Measured(row, 1e-7, 3e-7) for row in ROWS]
    assert list(problems(page(measured), ROWS)) == []
    first = " | ".join((ROWS[0].architecture, ROWS[0].head, ROWS[0].kind))
    alike = sum((row.architecture, row.head, row.kind) == tuple(first.split(" | ")) for row in ROWS)
    found = list(problems(page(measured[1:]), ROWS))
    assert found == [f"{first}: {alike - 1} models on the page, {alike} rows"]
    assert list(problems(page([Measured(ROWS[0], 2e-6, None)]), ROWS[:1])) == [f"{first}: 2e-06 is above 1e-06"]


@pytest.mark.full
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_both_sources_equal_the_library(row: object) -> None:
    measured = measure(row)  # type: ignore[arg-type]
    assert measured.weights < 1e-6
    assert measured.graph is None or measured.graph < 1e-6
