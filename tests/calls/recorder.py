"""Which functions of our packages a call runs through, over all threads, in the order in which they start."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from itertools import pairwise
from types import FrameType
from typing import NamedTuple

PACKAGES = (
    "onnxembed",
    "langchain_onnxembed",
    "llama_index.embeddings.onnxembed",
    "llama_index.postprocessor.onnxembed_rerank",
    "llama_index.retrievers.onnxembed",
    "llama_index.sparse_embeddings.onnxembed",
)
"""The packages of this repository."""


class Call(NamedTuple):
    """One start or resumption of a function.

    Attributes:
        file: The file that holds its code, from its package on; ``<string>`` for generated code.
        name: Its qualified name.
    """

    file: str
    name: str


class Recorder:
    """A profile function that notes the calls into our packages while it is asked to.

    It is set before the models are made, so that threads that are kept from an earlier call have it, too.
    """

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self._recording = False

    def __call__(self, frame: FrameType, event: str, argument: object) -> None:
        if self._recording and event == "call" and _is_ours(frame):
            code = frame.f_code
            self.calls.append(Call(_short(code.co_filename), code.co_qualname))

    def __enter__(self) -> Recorder:
        threading.setprofile(self)
        sys.setprofile(self)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)
        threading.setprofile(None)

    def record(self, work: Callable[[], object]) -> list[Call]:
        """Run something and note its calls.

        Args:
            work: What to run.

        Returns:
            The calls, in the order in which they start.
        """
        self.calls = []
        self._recording = True
        try:
            work()
        finally:
            self._recording = False
        return self.calls


def changes_of_file(calls: list[Call]) -> int:
    """Count the calls whose file is not that of the call before."""
    return sum(one.file != other.file for one, other in pairwise(calls))


def _is_ours(frame: FrameType) -> bool:
    """Whether the code is ours; methods that ``dataclasses`` generates have the globals of their class's module."""
    module = str(frame.f_globals.get("__name__"))
    if module.startswith("namedtuple_") and frame.f_back is not None:  # generated without the globals of its class
        return _is_ours(frame.f_back)
    return any(module == package or module.startswith(f"{package}.") for package in PACKAGES)


def _short(file: str) -> str:
    """A path from its package on."""
    roots = [root for root in sys.path if root and file.startswith(root.rstrip(os.sep) + os.sep)]
    return os.path.relpath(file, max(roots, key=len)) if roots else file
