"""What the pages say of precision="int8", made from the measurements that `benchmarks.precision` has kept.

python scripts/precision_table.py           rewrite the table of docs/precision.md and the sentence of the README
python scripts/precision_table.py --check   fail when either is not that of the measurements
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import textwrap
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # the benchmarks are not installed

from benchmarks.precision import to_markdown  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results" / "precision-amd-epyc.json"
_MARKED = re.compile(r"(<!-- int8:begin -->\n).*?(<!-- int8:end -->)", re.DOTALL)


def sentence(results: dict[str, Any]) -> str:
    """The README's lines on 8 bits, at most 132 characters each.

    Args:
        results: What `benchmarks.precision` has measured.

    Returns:
        Markdown, with a final newline.
    """
    one, near, size = results["figures"]["1"], results["closeness"], results["file_bytes"]
    speed, query = one["texts_per_second"], one["query_ms"]
    text = f"""
        `precision="int8"` computes the large products in 8-bit integers with a scale per token, so that neighbours
        change nothing: all-MiniLM-L6-v2 runs {speed["int8"] / speed["fp32"]:.1f} times as fast with one thread, a query
        of seven tokens takes {query["int8"]:.1f} ms instead of {query["fp32"]:.1f}, at a mean cosine of
        {near["cosine_mean"]:.4f} to fp32 (least {near["cosine_least"]:.4f} of {results["texts"]} texts), from a file of
        {size["int8"] / size["fp32"]:.2f} of the size. See [docs/precision.md](docs/precision.md)."""
    return textwrap.fill(" ".join(text.split()), 132, break_long_words=False, break_on_hyphens=False) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Check or rewrite both.

    Args:
        arguments: Of the command line.

    Returns:
        The exit status.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing")
    check = parser.parse_args(arguments).check
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    status = 0
    for name, made in (("docs/precision.md", to_markdown(results)), ("README.md", sentence(results))):
        text = (ROOT / name).read_text(encoding="utf-8")
        if not _MARKED.search(text):
            sys.stderr.write(f"{name} has no place for it: the marks int8:begin and int8:end\n")
            return 1
        fresh = _MARKED.sub(lambda marks, made=made: marks[1] + made + marks[2], text)  # type: ignore[misc]
        if check and fresh != text:
            sys.stderr.write(f"{name} differs from the measurements: run python scripts/precision_table.py\n")
            status = 1
        elif not check:
            (ROOT / name).write_text(fresh, encoding="utf-8")
    return status


if __name__ == "__main__":
    sys.exit(main())
