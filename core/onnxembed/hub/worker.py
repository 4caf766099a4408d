"""The process that fetches, and the one rule that bounds it: without progress for a stated time, it is ended.

No bound of an HTTP library holds against a server that sends one byte now and then, and a lock of another tool has none
either. A process can be ended wherever it waits; then it writes no more, and the system releases its locks. It starts
only when something has to be fetched. Where no process can be started, a thread makes plain requests; it is given up
by the same rule, and writes to the cache no more.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from onnxembed.errors import ModelNotFoundError
from onnxembed.hub.fetching import Fetcher, GivenUpError
from onnxembed.hub.settings import TransferLimits
from onnxembed.hub.shown import shown_text
from onnxembed.hub.token import HubToken

logger = logging.getLogger("onnxembed.store")

_PROGRAM = (
    "import json, sys; setup = json.loads(sys.stdin.readline()); sys.path[:] = setup['path']; "
    "from onnxembed.hub.child import main; main(setup)"
)
_START_SECONDS = 60.0
_POLL_SECONDS = 0.02


class _Runner(Protocol):
    def send(self, request: dict[str, Any]) -> None: ...
    def progress(self) -> tuple[int, list[dict[str, Any]]]: ...
    def failure(self) -> str | None: ...
    def end(self) -> None: ...


class Worker:
    """Fetches by a process that starts with the first request; a context manager that ends it."""

    def __init__(
        self, limits: TransferLimits, token: HubToken | None = None, show_progress: bool | None = None
    ) -> None:
        """Start nothing yet.

        Args:
            limits: Bounds on time and size.
            token: The login for the Hub, ``None`` for the one that is set up.
            show_progress: Whether bars are drawn; ``None`` draws them on a terminal.
        """
        self._limits, self._token, self._show_progress = limits, token, show_progress
        self._runner: _Runner | None = None
        self._answers = 0

    def __enter__(self) -> Worker:
        """Start nothing yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the process."""
        self.end()

    def end(self) -> None:
        """End the process, wherever it is; a later request starts another."""
        if self._runner is not None:
            self._runner.end()
            self._runner = None

    def call(self, label: str, request: dict[str, Any], size: str = "size unknown") -> dict[str, Any]:
        """Have something fetched: give the answer, or a `ModelNotFoundError` that says why there is none."""
        bound = self._limits.effective_stall_seconds
        logger.info("fetching %s (%s); given up after %g seconds without progress", label, size, bound)
        if self._runner is not None and self._runner.failure() is not None:
            self.end()  # it ends when it has had nothing to do for a while
        if self._runner is None:
            self._runner, self._answers = _start(self._limits, self._token, self._show_progress), 0
            self._wait(self._runner, "the process that fetches", _START_SECONDS)
        self._runner.send({"label": label, **request})
        answer = self._wait(self._runner, label, bound)
        if "error" in answer:
            raise ModelNotFoundError(str(answer["error"]))
        return answer

    def _wait(self, runner: _Runner, label: str, bound: float) -> dict[str, Any]:
        since, seen = time.monotonic(), -1
        while True:
            failure = runner.failure()
            size, answers = runner.progress()
            if len(answers) > self._answers:
                self._answers = len(answers)
                return answers[-1]
            if failure is not None:
                raise ModelNotFoundError(f"{label}: {failure}")
            now = time.monotonic()
            if size != seen:
                since, seen = now, size
            elif now - since >= bound:
                self.end()
                raise ModelNotFoundError(
                    f"{label}: no progress for {bound:g} seconds, given up; the server is too slow, "
                    "or another program holds the file's lock in the cache"
                )
            time.sleep(_POLL_SECONDS)


def _start(limits: TransferLimits, token: HubToken | None, show_progress: bool | None) -> _Runner:
    # A frozen program is its own interpreter: to start it again would be to run it again.
    if sys.executable and not getattr(sys, "frozen", False):
        try:
            return _Process(limits, token, show_progress)
        except OSError as error:
            logger.info("no process can be started (%s); a thread fetches", error)
    return _Thread(limits, token)


class _Process:
    """A child process; it ends with this one."""

    def __init__(self, limits: TransferLimits, token: HubToken | None, show_progress: bool | None) -> None:
        self._scratch = tempfile.TemporaryDirectory(prefix="onnxembed-", ignore_cleanup_errors=True)
        report = Path(self._scratch.name, "report")
        report.touch()
        self._told = report.open("rb")
        self._size, self._line, self._answers = 0, b"", list[dict[str, Any]]()
        silent = not (_shows_bars() if show_progress is None else show_progress)
        seconds = str(math.ceil(limits.effective_read_seconds))
        # Telemetry means a request of its own in some releases: nothing is asked but for the model.
        environment = {
            **os.environ,
            "HF_HUB_DOWNLOAD_TIMEOUT": seconds,
            "HF_HUB_ETAG_TIMEOUT": seconds,
            "HF_HUB_DISABLE_TELEMETRY": "1",
            # Its warnings show whole addresses, with signatures and passwords.
            "HF_HUB_VERBOSITY": "error",
        }
        if silent:
            environment["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
        elif show_progress:
            # Drawn off a terminal, too, and although a program has switched them off for itself.
            environment |= {"TQDM_POSITION": "-1", "HF_HUB_DISABLE_PROGRESS_BARS": "0"}
        try:
            with Path(self._scratch.name, "words").open("wb") as words:
                self._process = subprocess.Popen(  # noqa: S603 - this very interpreter
                    [sys.executable, "-I" if sys.flags.isolated else "-P", "-c", _PROGRAM],
                    stdin=subprocess.PIPE,
                    stdout=words,
                    stderr=words if silent else None,
                    env=environment,
                    creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
                )
        except BaseException:
            self._told.close()
            self._scratch.cleanup()
            raise
        self.send(
            {
                "path": sys.path,
                "parent": os.getpid(),
                "report": str(report),
                "limits": asdict(limits),
                "token": _notebook_token() if token is None else token.reveal(),
            }
        )

    def send(self, request: dict[str, Any]) -> None:
        """Send a request."""
        stdin = self._process.stdin
        with contextlib.suppress(OSError):  # it has ended, which `failure` tells
            if stdin is not None:
                stdin.write(json.dumps(request).encode() + b"\n")
                stdin.flush()

    def progress(self) -> tuple[int, list[dict[str, Any]]]:
        """How much it has told, and its answers."""
        told = self._told.read()
        self._size += len(told)
        *lines, self._line = (self._line + told).split(b"\n")
        self._answers += [json.loads(line) for line in lines if line.startswith(b"{")]
        return self._size, self._answers

    def failure(self) -> str | None:
        """How it ended, if it did."""
        status = self._process.poll()
        if status is None:
            return None
        words = Path(self._scratch.name, "words").read_text(encoding="utf-8", errors="replace").strip()
        last = words.splitlines()[-1] if words else "it said nothing"
        return f"the process that fetches ended with status {status}: {shown_text(last)}"

    def end(self) -> None:
        """End it, wherever it is."""
        self._process.kill()
        self._process.wait()
        self._told.close()
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        self._scratch.cleanup()


def _shows_bars() -> bool:
    """Whether huggingface_hub's bars are drawn: on a terminal, unless a program has switched them off."""
    try:
        terminal = sys.stderr.isatty() and os.isatty(2)
    except (AttributeError, OSError, ValueError):
        return False
    utilities = sys.modules.get("huggingface_hub.utils")
    return terminal and (utilities is None or not utilities.are_progress_bars_disabled())


def _notebook_token() -> str | None:
    """The login that a notebook keeps where another process cannot read it; else that process finds it itself."""
    if "google.colab" not in sys.modules:
        return None
    from huggingface_hub import get_token

    return get_token()


class _Thread:
    """A thread, where there are no processes."""

    def __init__(self, limits: TransferLimits, token: HubToken | None) -> None:
        self._steps = 0
        self._answers: list[dict[str, Any]] = [{"ready": True}]
        self._given_up = False
        self._fetcher = Fetcher(limits, self._tick, None if token is None else token.reveal(), plain=True)

    def _tick(self, size: int) -> None:  # noqa: ARG002 - bytes are for processes
        if self._given_up:
            raise GivenUpError
        self._steps += 1

    def send(self, request: dict[str, Any]) -> None:
        threading.Thread(target=self._answer, args=(request,), name="onnxembed-fetch", daemon=True).start()

    def _answer(self, request: dict[str, Any]) -> None:
        try:
            self._answers.append(self._fetcher.answer(request))
        except GivenUpError:
            return
        except Exception as error:  # noqa: BLE001 - told to the one that waits
            self._answers.append({"error": f"{request.get('label')}: {shown_text(repr(error))}"})

    def progress(self) -> tuple[int, list[dict[str, Any]]]:
        return self._steps, list(self._answers)

    def failure(self) -> str | None:
        return None

    def end(self) -> None:
        self._given_up = True
