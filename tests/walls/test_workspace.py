"""The distributions find each other in the workspace, as `uv sync` and `uv pip install ./core ...` need it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_PATTERNS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["uv"]["workspace"]["members"]
WORKSPACE = [folder.relative_to(ROOT).as_posix() for pattern in _PATTERNS for folder in sorted(ROOT.glob(pattern))]
MEMBERS = {member: tomllib.loads((ROOT / member / "pyproject.toml").read_text()) for member in WORKSPACE}
NAMES = {made["project"]["name"] for made in MEMBERS.values()}


@pytest.mark.parametrize("member", WORKSPACE)
def test_members_are_taken_from_the_workspace(member: str) -> None:
    made = MEMBERS[member]
    project = made["project"]
    extras = project.get("optional-dependencies", {}).values()
    needed = [*project["dependencies"], *(requirement for extra in extras for requirement in extra)]
    names = {re.split(r"[^\w-]", requirement)[0] for requirement in needed} & NAMES - {project["name"]}
    sources = made.get("tool", {}).get("uv", {}).get("sources", {})
    assert sources == {name: {"workspace": True} for name in names}


@pytest.mark.parametrize("member", WORKSPACE)
def test_what_messages_advise_is_an_extra(member: str) -> None:
    project = MEMBERS[member]["project"]
    for path in (ROOT / member).rglob("*.py"):
        for extra in re.findall(rf"pip install \"?{project['name']}\[(\w+)\]", path.read_text()):
            assert extra in project["optional-dependencies"], path
