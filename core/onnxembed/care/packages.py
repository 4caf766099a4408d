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
    "llama-index-postprocessor-onnxembed",
    "llama-index-sparse-embeddings-onnxembed",
    "llama-index-retrievers-onnxembed",
)
"""The distributions of this project."""
_EXTRA = re.compile(r"""\bextra\s*==\s*['"]""")


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
        what, _, mend = fault.partition(": pip ")
        yield Finding("packages", "fastembed", "mixed with onnxembed-fastembed", what, f"pip {mend}")


def _unmet(owner: str, requires: list[str]) -> Iterator[Finding]:
    """Requirements that are not met; those of extras only where another version of the package is installed."""
    try:
        from packaging.requirements import InvalidRequirement, Requirement
    except ImportError:  # huggingface-hub brings it, as does pip's own environment
        return
    for text in requires:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        optional = _EXTRA.search(text) is not None
        if not optional and requirement.marker is not None and not requirement.marker.evaluate():
            continue
        wanted = f"{requirement.name}{requirement.specifier}"
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            if optional or requirement.name == "onnxruntime":  # of which there are several builds
                continue
            yield Finding("packages", requirement.name, "not installed", f"{owner} needs {wanted}", _install(wanted))
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            yield Finding("packages", requirement.name, version, f"{owner} needs {wanted}", _install(wanted))


def _install(wanted: str) -> str:
    return f'pip install "{wanted}"'
