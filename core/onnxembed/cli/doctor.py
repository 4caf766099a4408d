"""Examine the installation and the machine, and name the command that mends each problem.

Packages, ONNX Runtime and its providers, devices, processor, cache, and the way to the Hub. Nothing is started,
downloaded or written. The exit status is 1 where there are problems.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from onnxembed.care.doctor import examine
from onnxembed.care.finding import Finding
from onnxembed.errors import OnnxEmbedError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the cache and the form of the output."""
    parser.add_argument("--cache-dir", metavar="FOLDER", help="the cache to look at")
    parser.add_argument("--json", action="store_true", help="print a JSON object")


def run(arguments: argparse.Namespace) -> None:
    """Print what was found, or JSON."""
    found = examine(arguments.cache_dir)
    problems = sum(bool(finding.problem) for finding in found)
    if arguments.json:
        plain = {"problems": problems, "findings": [asdict(finding) for finding in found]}
        print(json.dumps(plain, indent=2, ensure_ascii=False))
    else:
        print("\n".join(_lines(found)))
    if problems:
        raise OnnxEmbedError(f"{problems} problem{'s' if problems > 1 else ''}; the commands above mend them")


def _lines(found: Sequence[Finding]) -> Iterator[str]:
    width = max(len(finding.name) for finding in found)
    area = ""
    for finding in found:
        if finding.area != area:
            area = finding.area
            yield area
        yield f"  {'!' if finding.problem else ' '} {finding.name.ljust(width)}  {finding.value}"
        indent = " " * (width + 6)
        if finding.problem:
            yield f"{indent}{finding.problem}"
            yield f"{indent}mend: {finding.mend}"
        elif finding.note:
            yield f"{indent}{finding.note}"
