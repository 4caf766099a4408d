"""How many calls into our packages one warm call takes, and how often it changes files: bounds, so that they stay low.

``python -m tests.calls`` prints the sequences.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.calls.cases import CASES, Case

ROOT = Path(__file__).parents[2]
NAMES = [case.name for case in CASES]
WIDE = [case for case in CASES if "rank" not in case.name or "not ASCII" in case.name]

pytestmark = pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="the bounds are for Python 3.11: others count comprehensions differently"
)


@pytest.fixture(scope="module")
def counted() -> dict[str, Any]:
    """What a process of its own counts, so that nothing is warm or cold by what other tests did."""
    command = [sys.executable, "-m", "tests.calls", "--json"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert list(found) == NAMES
    return found


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_calls(case: Case, counted: dict[str, Any]) -> None:
    assert 0 < counted[case.name]["calls"] <= case.calls


@pytest.mark.parametrize("case", [case for case in CASES if case.changes is not None], ids=lambda case: case.name)
def test_changes_of_file(case: Case, counted: dict[str, Any]) -> None:
    assert case.changes is not None
    assert counted[case.name]["changes"] <= case.changes


@pytest.mark.parametrize("case", WIDE, ids=lambda case: case.name)
def test_each_text_is_checked_once(case: Case, counted: dict[str, Any]) -> None:
    checks = counted[case.name]["checks"]
    assert len(checks) == case.texts
    assert set(checks.values()) == {1}
