"""What the runner of fastembed's own tests makes of a report."""

from __future__ import annotations

from pathlib import Path

from scripts.fastembed_tests import NO_WEIGHTS, Result, known, results, unexpected

REPORT = """<testsuites><testsuite>
<testcase classname="tests.test_a" name="test_one[x]"/>
<testcase classname="tests.test_a" name="test_two"><skipped message="no"/></testcase>
<testcase classname="tests.test_a" name="test_three"><failure message="wrong">trace</failure></testcase>
<testcase classname="tests.test_a" name="test_four"><error message="broken"/></testcase>
</testsuite></testsuites>"""


def test_report(tmp_path: Path) -> None:
    path = tmp_path / "report.xml"
    path.write_text(REPORT)
    assert results(path) == [
        Result("test_a::test_one[x]", "passed"),
        Result("test_a::test_two", "skipped"),
        Result("test_a::test_three", "failed", "wrong"),
        Result("test_a::test_four", "failed", "broken"),
    ]


def test_only_listed_tests_may_fail_and_for_their_reason() -> None:
    listed = known()
    needs, private = sorted(listed.weights)[0], sorted(listed.internals)[0]
    numbers = sorted(listed.published)[0]
    assert not (listed.weights | listed.published) & set(listed.internals)
    found = [
        Result(f"{needs}[some/model]", "failed", f"{NO_WEIGHTS} 'some/model'"),
        Result(private, "failed", "anything"),
        Result(numbers, "failed", "assert 1 == 2"),
        Result(numbers, "failed", "AttributeError: no such name"),
        Result(needs, "failed", "ImportError: no such name"),
        Result("test_new::test_one", "failed", f"{NO_WEIGHTS} 'some/model'"),
        Result("test_new::test_two", "passed"),
    ]
    assert unexpected(found, listed) == [
        f"{numbers}: AttributeError: no such name",
        f"{needs}: ImportError: no such name",
        f"test_new::test_one: {NO_WEIGHTS} 'some/model'",
    ]
