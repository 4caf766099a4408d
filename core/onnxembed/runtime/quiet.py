"""Standard output is the caller's: what ONNX Runtime's Python prints is caught."""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class _Aside:
    """Standard output with the text of one thread kept aside; other threads write on."""

    def __init__(self, out: Any) -> None:
        self._out = out
        self._thread = threading.get_ident()
        self.kept = io.StringIO()

    def write(self, text: str) -> int:
        out: Any = self.kept if threading.get_ident() == self._thread else self._out
        written: int = out.write(text)
        return written

    def __getattr__(self, name: str) -> Any:
        return getattr(self._out, name)


@contextmanager
def quiet_stdout() -> Iterator[io.StringIO]:
    """Keep what this thread prints, and give it."""
    out = sys.stdout
    aside = _Aside(out)
    sys.stdout = aside
    try:
        yield aside.kept
    finally:
        if sys.stdout is aside:
            sys.stdout = out
