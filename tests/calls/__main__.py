"""Print the calls into our packages of one warm call each.

python -m tests.calls                  every case: the sequence, and a line of sums
python -m tests.calls embed rank       the cases whose names hold one of these words
python -m tests.calls --sums           the sums only
python -m tests.calls --json           for the test
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

from tests.calls.cases import CASES, Case
from tests.calls.recorder import Call, Recorder, changes_of_file


class CheckedText(str):
    """A text that counts the looks at its Unicode form; the check encodes what is not ASCII."""

    __slots__ = ()
    checks: ClassVar[Counter[str]] = Counter()

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        self.checks[str(self)] += 1
        return super().encode(encoding, errors)


def count(case: Case, recorder: Recorder) -> tuple[list[Call], dict[str, int]]:
    """Count one case.

    Args:
        case: What to call.
        recorder: Notes the calls; in place already.

    Returns:
        The calls, and how often each text that is not ASCII was checked.
    """
    with tempfile.TemporaryDirectory(prefix="onnxembed-calls-") as folder:
        work = case.make(Path(folder) / "plain", str)
        for _ in range(3):
            work()
        calls = recorder.record(work)
        checked = case.make(Path(folder) / "checked", CheckedText)
        checked()
        CheckedText.checks.clear()
        checked()
        return calls, dict(CheckedText.checks)


def main() -> int:
    """Print what was counted.

    Returns:
        The exit status.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="count the cases whose names hold one of these")
    parser.add_argument("--sums", action="store_true", help="print no sequences")
    parser.add_argument("--json", action="store_true", help="print the sums as JSON")
    arguments = parser.parse_args()
    found: dict[str, Any] = {}
    with Recorder() as recorder:
        for case in CASES:
            if arguments.words and not any(word in case.name for word in arguments.words):
                continue
            calls, checks = count(case, recorder)
            found[case.name] = {"calls": len(calls), "changes": changes_of_file(calls), "checks": checks}
            if not arguments.json:
                _write(case, calls, checks, sums=arguments.sums)
    if arguments.json:
        sys.stdout.write(json.dumps(found) + "\n")
    return 0


def _write(case: Case, calls: list[Call], checks: dict[str, int], *, sums: bool) -> None:
    if not sums:
        before = ""
        for call in calls:
            sys.stdout.write(f"  {'' if call.file == before else call.file:40} {call.name}\n")
            before = call.file
    changes = f"{changes_of_file(calls)} changes of file" + ("" if case.changes is None else f" (of {case.changes})")
    looks = ", ".join(f"{number} texts {times} times" for times, number in sorted(Counter(checks.values()).items()))
    sys.stdout.write(f"{case.name}: {len(calls)} calls (of {case.calls}), {changes}; checked: {looks}\n")


if __name__ == "__main__":
    sys.exit(main())
