"""Runs fastembed's own tests against the stand-in, offline, and compares what fails with the committed list.

    python scripts/fastembed_tests.py FOLDER

FOLDER is a checkout of fastembed, or its folder ``tests``; nothing of it is kept here. Every test that fails has to be
in ``tests/fastembed/own_tests.toml``: as one of private internals, or as one whose weights cannot be had, which has to
fail for that reason. With weights in ``FASTEMBED_CACHE_PATH`` more of them pass. The exit status is 1 where another one
fails.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import tomllib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).parents[1]
LIST = ROOT / "tests" / "fastembed" / "own_tests.toml"
ON_THE_PATH = ("core", "integrations/fastembed")
NO_WEIGHTS = "no source could give the files of"
"""What the message of a failure holds where a model's files are not to be had."""


@dataclass(frozen=True)
class Result:
    """One test.

    Attributes:
        name: Its module and name, with the parameters.
        outcome: ``"passed"``, ``"skipped"`` or ``"failed"``.
        message: Of the failure.
    """

    name: str
    outcome: str
    message: str = ""


@dataclass(frozen=True)
class Known:
    """What is known of tests that fail.

    Attributes:
        commit: The commit of fastembed whose tests these are.
        internals: Tests of private internals, and what each of them reads.
        weights: Tests that need a model's files.
    """

    commit: str
    internals: dict[str, str]
    weights: frozenset[str]


def known() -> Known:
    """Read the committed list."""
    read = tomllib.loads(LIST.read_text(encoding="utf-8"))
    return Known(read["commit"], read["internals"], frozenset(read["weights"]))


def run(tests: Path, report: Path) -> None:
    """Run the tests of a folder with this interpreter, and write pytest's report."""
    with tempfile.TemporaryDirectory() as cache:
        environment = {
            "HF_HUB_OFFLINE": "1",
            "FASTEMBED_CACHE_PATH": os.environ.get("FASTEMBED_CACHE_PATH") or cache,
            "PYTHONPATH": os.pathsep.join([*(str(ROOT / part) for part in ON_THE_PATH), str(tests.parent)]),
        }
        command = [sys.executable, "-m", "pytest", str(tests), "-q", "-p", "no:cacheprovider", f"--junitxml={report}"]
        options = ["-c", os.devnull, f"--rootdir={tests.parent}", "--tb=line", "--no-header"]
        subprocess.run([*command, *options], cwd=tests.parent, env={**os.environ, **environment}, check=False)  # noqa: S603  # our own


def results(report: Path) -> list[Result]:
    """Read pytest's report."""
    found = []
    for case in ElementTree.parse(report).iter("testcase"):  # noqa: S314  # written by pytest a moment ago
        name = f"{case.get('classname', '').removeprefix('tests.')}::{case.get('name')}"
        fault = next((part for part in case if part.tag in ("failure", "error")), None)
        if fault is not None:
            found.append(Result(name, "failed", fault.get("message") or ""))
        else:
            found.append(Result(name, "passed" if case.find("skipped") is None else "skipped"))
    return found


def unexpected(found: list[Result], listed: Known) -> list[str]:
    """List failures that the list does not explain; parameters of a test do not count."""
    lines = []
    for result in found:
        if result.outcome != "failed":
            continue
        plain = result.name.partition("[")[0]
        explained = plain in listed.internals or (plain in listed.weights and NO_WEIGHTS in result.message)
        if not explained:
            lines.append(f"{result.name}: {result.message.splitlines()[0] if result.message else 'failed'}")
    return lines


def main() -> int:
    """Run, compare, and say what is.

    Returns:
        The exit status.
    """
    if len(sys.argv) != 2:
        sys.stdout.write("not run: name a checkout of fastembed, or its folder tests\n")
        return 0
    given = Path(sys.argv[1]).resolve()
    tests = given / "tests" if (given / "tests").is_dir() else given
    listed = known()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        run(tests, report)
        found = results(report)
    counts = Counter(result.outcome for result in found)
    reasons = Counter(
        "internals" if result.name.partition("[")[0] in listed.internals else "weights"
        for result in found
        if result.outcome == "failed"
    )
    lines = unexpected(found, listed)
    sys.stdout.write(
        f"list of fastembed {listed.commit[:12]}: {dict(counts)}; failures: {dict(reasons)}; "
        f"not in the list: {len(lines)}\n"
    )
    sys.stderr.writelines(f"{line}\n" for line in lines)
    return 1 if lines or not found else 0


if __name__ == "__main__":
    sys.exit(main())
