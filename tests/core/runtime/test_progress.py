"""Bars: tqdm's, our own line without it, and none where nobody asked."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

import pytest

from onnxembed.runtime.progress import Counting, counted, framework_shows, progress, while_read


def shown(capsys: pytest.CaptureFixture[str]) -> str:
    found = capsys.readouterr()
    assert found.out == ""
    return found.err.split("\r")[-1]


@pytest.mark.parametrize("asked", [None, False])
def test_nothing_is_shown_unasked(asked: bool | None, capsys: pytest.CaptureFixture[str]) -> None:
    with progress("Embedding", "text", 3, shown=asked) as advance:
        advance(3)
    assert shown(capsys) == ""


def test_tqdms_bar(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("Embedding", "text", 30, shown=True, initial=10) as advance:
        advance(20)
    assert re.match(r"Embedding: 100%\|█+\| 30/30 \[00:00<00:00, .*text/s\]\n", shown(capsys))


@pytest.mark.parametrize(("total", "said"), [(30, "30 of 30 texts, "), (None, "30 texts, ")])
def test_a_line_without_tqdm(
    total: int | None, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with progress("Embedding", "text", total, shown=True, initial=10) as advance:
        advance(20)
    assert re.fullmatch(rf"Embedding: {said}[\d.]+ per second \n", shown(capsys))


def test_results_are_counted_and_closed(capsys: pytest.CaptureFixture[str]) -> None:
    closed = []

    def results() -> Iterator[int]:
        try:
            yield from (1, 2, 3)
        finally:
            closed.append(True)

    assert list(counted(results(), 3, Counting("Scoring", "pair"))) == [1, 2, 3]
    assert "3/3" in shown(capsys)
    begun = counted(results(), 3, Counting("Embedding", "page"))
    assert next(begun) == 1
    begun.close()  # type: ignore[attr-defined]
    assert closed == [True, True]
    assert "1/3" in shown(capsys)


def test_a_single_item_and_a_framework_have_no_bar(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(counted(iter([1]), 1, Counting("Embedding", "text"))) == [1]
    with framework_shows():
        assert list(counted(iter([1, 2]), 2, Counting("Embedding", "text"))) == [1, 2]
    assert shown(capsys) == ""


def test_items_are_counted_while_they_are_read(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(while_read(["a", "b"], progress("Measuring", "text", 2, shown=True))) == ["a", "b"]
    assert "Measuring: 100%" in shown(capsys)
