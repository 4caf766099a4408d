"""Runs fastembed's own tests against the stand-in, offline, and compares what fails with the committed list.

    python -m scripts.fastembed_tests FOLDER [PYTHON]

FOLDER is a checkout of fastembed, or its folder ``tests``; nothing of it is kept here. Models are those of
``tests/fastembed/weights.py``, small ones under the published names. Every test that fails has to be in
``tests/fastembed/own_tests.toml``, and to fail for the reason that the list has; the exit status is 1 where another one
fails. PYTHON is an interpreter with the real fastembed and pytest: then the real one runs over the same models, too,
and what fails with it is named.
"""

from __future__ import annotations

import os
import shutil
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
OTHER_NUMBERS = ("assert ", "AssertionError", "ValueError: operands could not be broadcast", "requests.exceptions.Conn")
"""What it begins with where the numbers or shapes are not those of the published weights, or a picture is not there."""


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
        published: Tests that compare with what published weights give.
    """

    commit: str
    internals: dict[str, str]
    weights: frozenset[str]
    published: frozenset[str]

    def reason(self, result: Result) -> str | None:
        """Which list explains that a test failed; parameters of a test do not count."""
        plain = result.name.partition("[")[0]
        if plain in self.internals:
            return "internals"
        if plain in self.weights and NO_WEIGHTS in result.message:
            return "weights"
        return "published" if plain in self.published and result.message.startswith(OTHER_NUMBERS) else None


def known() -> Known:
    """Read the committed list."""
    read = tomllib.loads(LIST.read_text(encoding="utf-8"))
    return Known(read["commit"], read["internals"], frozenset(read["weights"]), frozenset(read["published"]))


def run(tests: Path, report: Path, cache: Path, python: str, *, ours: bool) -> None:
    """Run the tests of a folder with an interpreter over a cache of models, and write pytest's report."""
    packages = [str(ROOT / part) for part in ON_THE_PATH] if ours else []
    environment = {
        **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        "HF_HUB_OFFLINE": "1",
        "FASTEMBED_CACHE_PATH": str(cache),
        "PYTHONPATH": os.pathsep.join([*packages, str(tests.parent)]),
    }
    command = [python, "-m", "pytest", str(tests), "-q", "-p", "no:cacheprovider", f"--junitxml={report}"]
    options = ["-c", os.devnull, f"--rootdir={tests.parent}", "--tb=no", "--no-header", "-W", "ignore"]
    subprocess.run([*command, *options], cwd=tests.parent, env=environment, stdout=subprocess.DEVNULL, check=False)  # noqa: S603  # our own


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
    """List failures that the list does not explain."""
    return [
        f"{result.name}: {result.message.splitlines()[0] if result.message else 'failed'}"
        for result in found
        if result.outcome == "failed" and listed.reason(result) is None
    ]


def main() -> int:
    """Run, compare, and say what is.

    Returns:
        The exit status.
    """
    if len(sys.argv) < 2:
        sys.stdout.write("not run: name a checkout of fastembed, or its folder tests\n")
        return 0
    from tests.fastembed.weights import write_cache

    given, listed = Path(sys.argv[1]).resolve(), known()
    tests = given / "tests" if (given / "tests").is_dir() else given
    with tempfile.TemporaryDirectory() as folder:
        cache, report = Path(folder) / "models", Path(folder) / "report.xml"
        cache.mkdir()
        write_cache(cache)
        # Apart from the package in the checkout, which would be imported instead of the one that is tested.
        tests = shutil.copytree(tests, Path(folder) / "checkout" / "tests")
        run(tests, report, cache, sys.executable, ours=True)
        found = results(report)
        control = []
        if len(sys.argv) > 2:
            run(tests, report, cache, sys.argv[2], ours=False)
            control = results(report)
    lines = unexpected(found, listed)
    reasons = Counter(listed.reason(result) for result in found if result.outcome == "failed")
    sys.stdout.write(
        f"list of fastembed {listed.commit[:12]}: {dict(Counter(result.outcome for result in found))}; "
        f"failures: {dict(reasons)}; not in the list: {len(lines)}\n"
    )
    if control:
        theirs = {result.name for result in control if result.outcome == "failed"}
        mine = {result.name for result in found if result.outcome == "failed"}
        sys.stdout.write(
            f"the real fastembed: {dict(Counter(result.outcome for result in control))}; "
            f"fails here alone: {sorted(mine - theirs)}; there alone: {sorted(theirs - mine)}\n"
        )
    sys.stderr.writelines(f"{line}\n" for line in lines)
    return 1 if lines or not found else 0


if __name__ == "__main__":
    sys.exit(main())
