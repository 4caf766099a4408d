"""Bars of a framework: while one is shown over several calls, none is shown for each."""

from __future__ import annotations

from onnxembed.runtime.progress import framework_shows

__all__ = ["framework_shows"]
