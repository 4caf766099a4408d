"""Whether the installed packages fit together."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator
from importlib import metadata

from onnxembed.care.finding import Finding
from onnxembed.runtime.fastembed_packages import fastembed_fault

OWN = (
    "onnxembed",
    "langchain-onnxembed",
    "llama-index-onnxembed",
    "onnxembed-fastembed",
    "llama-index-embeddings-onnxembed",
    "llama-index-postprocessor-onnxembed-rerank",
    "llama-index-sparse-embeddings-onnxembed",
    "llama-index-retrievers-onnxembed",
)
"""The distributions of this project."""
_REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*)\s*(?:\[[^\]]*\])?\s*\(?(?P<specifiers>[^;)@]*)\)?\s*(?:;.*)?")
_COMPARISON = re.compile(r"(?P<sign>>=|<=|==|!=|~=|>|<)(?P<release>\d+(?:\.\d+)*)(?P<any>\.\*)?")
_RELEASE = re.compile(r"(?<![A-Za-z\d])\d+(?=\.|$|[a-z])")


def examine_packages() -> Iterator[Finding]:
    """Say which versions are installed, and name those that do not fit.

    Yields:
        Python; each of our distributions; each requirement of theirs that is not met; and what is wrong with fastembed.
    """
    yield Finding("packages", "python", f"{platform.python_version()} ({platform.platform(terse=True)})")
    for name in OWN:
        try:
            found = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        yield Finding("packages", name, found.version)
        yield from _unmet(name, found.requires or [])
    fault = fastembed_fault()
    if fault is not None:
        yield Finding("packages", "fastembed", "mixed with onnxembed-fastembed", fault.problem, fault.mend)


def _unmet(owner: str, requires: list[str]) -> Iterator[Finding]:
    """Requirements that are not met; those with a marker only where another version of the package is installed."""
    for text in requires:
        matched = _REQUIREMENT.match(text)
        if matched is None:
            continue
        name, specifiers, conditional = matched["name"], matched["specifiers"].replace(" ", ""), ";" in text
        wanted = f"{name}{specifiers}"
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            if not conditional and name != "onnxruntime":  # of which there are several builds
                yield Finding("packages", name, "not installed", f"{owner} needs {wanted}", _install(wanted))
            continue
        if not all(_meets(version, one) for one in specifiers.split(",") if one):
            yield Finding("packages", name, version, f"{owner} needs {wanted}", _install(wanted))


def _meets(version: str, specifier: str) -> bool:
    """Whether a version is among those that one comparison allows, by the numbers of its release; others pass."""
    matched = _COMPARISON.fullmatch(specifier)
    if matched is None:
        return True
    bound = [int(number) for number in matched["release"].split(".")]
    found = [int(number) for number in _RELEASE.findall(version.partition("+")[0])]
    length = max(len(bound), len(found))
    one, other = (numbers + [0] * (length - len(numbers)) for numbers in (found, bound))
    if matched["sign"] == "~=":
        return one >= other and found[: len(bound) - 1] == bound[:-1]
    if matched["any"]:
        return (found[: len(bound)] == bound) == (matched["sign"] == "==")
    return {
        ">=": one >= other,
        "<=": one <= other,
        ">": one > other,
        "<": one < other,
        "==": one == other,
        "!=": one != other,
    }[matched["sign"]]


def _install(wanted: str) -> str:
    return f'pip install "{wanted}"'
