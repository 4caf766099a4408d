"""Whatever a page imports or spells out is in the reference; it takes seconds, since all frameworks are imported."""

from __future__ import annotations

import re
import sys
from importlib import import_module
from pathlib import Path

from tests.walls.copies import ROOT

sys.path.insert(0, str(ROOT / "scripts"))
from docs_hooks import REFERENCE, names

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PACKAGES = ("onnxembed", "langchain_onnxembed", "llama_index.", "fastembed")


def imported(page: Path) -> set[tuple[str, str]]:
    """Modules and names that the lines of a page import."""
    lines = re.findall(r"^from (\S+) import ([\w, ]+)$", page.read_text(encoding="utf-8"), re.M)
    return {(module, name.split(" as ")[0].strip()) for module, some in lines for name in some.split(",")}


def test_names_that_pages_import_are_in_the_reference() -> None:
    known = {(module, name) for page in REFERENCE for module in page.modules for name in names(module)}
    used = {(module, name) for page in PAGES for module, name in imported(page) if f"{module}.".startswith(PACKAGES)}
    ours = {(module, name) for module, name in used if "onnxembed" in module or module.startswith("fastembed")}
    assert len(ours) > 20
    assert ours - known == set()


def test_names_that_pages_spell_out_are_in_the_reference() -> None:
    known = {f"{module}.{name}" for page in REFERENCE for module in page.modules for name in names(module)}
    modules = {module for page in REFERENCE for module in page.modules}
    for page in PAGES:
        spelled = re.findall(r"`(onnxembed(?:\.\w+)+)\b[`(]", page.read_text(encoding="utf-8"))
        for name in {name for name in spelled if name != "onnxembed.json"}:
            assert name in known | modules, f"{page.name}: {name}"
            assert name in modules or hasattr(import_module(name.rpartition(".")[0]), name.rpartition(".")[2])
