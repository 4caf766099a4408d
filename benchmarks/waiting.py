"""Waiting processes: each holds one model and answers commands in turn, one line of JSON each."""

from __future__ import annotations

import json
import select
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
        limit: Seconds that it may take to open its model.

    Raises:
        RuntimeError: If the process ends, or takes longer; then it is ended.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        options: Mapping[str, Any],
        environment: Mapping[str, str] | None = None,
        limit: float | None = None,
    ) -> None:
        self.name = name
        self._options = dict(options)
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self.opened = self._line(limit)

    def close(self) -> None:
        """End the process."""
        self._process.communicate()

    def ask(self, do: str, texts: Sequence[str], *, limit: float | None = None, **further: Any) -> dict[str, Any]:
        """Have it embed, in at most so many seconds."""
        if self._process.stdin is None:
            raise RuntimeError("the process has no pipe")
        self._process.stdin.write(json.dumps({"do": do, "texts": texts, "options": self._options, **further}) + "\n")
        self._process.stdin.flush()
        return self._line(limit)

    def _line(self, limit: float | None) -> dict[str, Any]:
        pipe = self._process.stdout
        if pipe is None:
            raise RuntimeError("the process has no pipe")
        # A process writes one line for each command, so nothing waits in the buffer of the pipe.
        if limit is not None and not select.select([pipe], [], [], max(limit, 0))[0]:
            self._process.kill()
            raise RuntimeError(f"took more than {limit:.0f} s")
        line = pipe.readline()
        if not line:
            raise RuntimeError(f"ended with exit code {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer
