"""The page on errors speaks of errors that there are."""

from __future__ import annotations

import re

import pytest

from onnxembed import errors
from tests.walls.copies import ROOT

PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
MESSAGES = (ROOT / "tests" / "snapshots" / "messages.txt").read_text(encoding="utf-8")
SOURCES = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "core" / "onnxembed").rglob("*.py"))


@pytest.mark.parametrize("heading", re.findall(r"\*\*`(.+?)`\*\*", PAGE))
def test_headings_are_of_messages(heading: str) -> None:
    if heading in errors.__all__:
        return
    assert heading in MESSAGES or heading in SOURCES


def test_every_named_error_exists() -> None:
    named = set(re.findall(r"`(\w+Error)`", PAGE))
    assert named
    assert named <= set(errors.__all__)
