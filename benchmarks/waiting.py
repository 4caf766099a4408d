"""Waiting processes: each holds one model and answers commands in turn, one line of JSON each."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any


class Worker:
    """A waiting process with a model.

    Args:
        name: What it is called in the results.
        command: Its command line.
        options: Of its ``embed``.
        environment: Of the process; this one's where none is given.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        options: Mapping[str, Any],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self._options = dict(options)
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self.opened = self._line()

    def close(self) -> None:
        """End the process."""
        self._process.communicate()

    def ask(self, do: str, texts: Sequence[str], **further: Any) -> dict[str, Any]:
        """Have it embed."""
        if self._process.stdin is None:
            raise RuntimeError("the process has no pipe")
        self._process.stdin.write(json.dumps({"do": do, "texts": texts, "options": self._options, **further}) + "\n")
        self._process.stdin.flush()
        return self._line()

    def _line(self) -> dict[str, Any]:
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise RuntimeError(f"the worker {self.name} ended with exit code {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer
