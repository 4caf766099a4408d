"""Every figure of a page is made from measurements; others stand here, with what they follow from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from scripts.numbers_page import SINGLE
from tests.walls.copies import ROOT

PAGES = ("README.md", "docs/*.md", "integrations/*/README.md")
MEASURED = re.compile(r"\d[\d,.]*(?: to \d[\d.,]*)? (?:(?:ms|s|[KMGT]i?B|texts/s|tokens/s)\b|times as (?:fast|many))")
GENERATED = re.compile(r"<!-- ([\w-]+):begin -->.*?<!-- \1:end -->", re.DOTALL)
FENCED = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
STATED: Mapping[str, Mapping[str, str]] = {
    "docs/choosing.md": {"1.5 KB": "384 numbers of 4 bytes", "4 KB": "1,024 numbers of 4 bytes"},
    "docs/cluster.md": {
        "1,536 GB": "a billion vectors of 384 numbers of 4 bytes",
        "384 GB": "the same in one byte each",
        "48 GB": "the same in one bit each",
    },
    "docs/gpu.md": {"64 KiB": "a setting of the engine"},
    "docs/hybrid.md": {"18 MB": "the size of a package on PyPI"},
    "docs/memory.md": {"1.5 KB": "384 numbers of 4 bytes", "150 KB": "300 vectors of 128 numbers of 4 bytes"},
    "docs/serverless.md": {"512 MB": "a function that is supposed"},
}
"""By page, figures that follow from arithmetic or from what others publish."""


def loose(page: str, text: str) -> list[str]:
    """Figures outside of generated parts that nothing accounts for."""
    made = [found for one in SINGLE if one.page == page for found in re.finditer(one.pattern, text)]
    for found in sorted(made, key=lambda found: -found.start(1)):
        text = text[: found.start(1)] + text[found.end(1) :]
    text = FENCED.sub("", GENERATED.sub("", text))
    return [found[0] for found in MEASURED.finditer(text) if found[0] not in STATED.get(page, {})]


@pytest.mark.parametrize(
    "page",
    [page for pattern in PAGES for page in sorted(ROOT.glob(pattern))],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_figures_follow_from_measurements(page: Path) -> None:
    name = page.relative_to(ROOT).as_posix()
    text = page.read_text(encoding="utf-8")
    assert loose(name, text) == []
    assert [figure for figure in STATED.get(name, {}) if figure not in text] == []


def test_a_figure_that_nothing_reproduces_is_found() -> None:
    made = "<!-- speed:begin -->\n12 ms\n<!-- speed:end -->\n```\n13 ms\n```\n"
    assert loose("a page", f"{made}It takes 3.5 ms and 20 to 30 MB, 2 times as fast.") == [
        "3.5 ms",
        "20 to 30 MB",
        "2 times as fast",
    ]
