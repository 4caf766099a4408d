"""The process that a `Worker` starts: it answers requests until its parent ends it, or ends.

It tells by a file that grows, so that its parent needs no thread to wait for it.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any, NoReturn, cast

from onnxembed.hub.disk import remove_tree, write_failure
from onnxembed.hub.fetching import Fetcher
from onnxembed.hub.settings import STALL_BYTES, TransferLimits

_PARENT_SECONDS = 1.0
_IDLE_SECONDS = 30.0


class _Report:
    """Tells the parent by a file that grows: a dot for progress, a line for an answer."""

    def __init__(self, path: str) -> None:
        self._file = Path(path).open("ab", buffering=0)  # noqa: SIM115 - for as long as the process lives
        self._bytes = 0

    def tick(self, size: int) -> None:
        self._bytes += size
        if not size or self._bytes >= STALL_BYTES:
            self._bytes = 0
            self._file.write(b".")

    def close(self) -> None:
        self._file.close()

    def answer(self, answer: dict[str, Any]) -> None:
        self._file.write(b"\n" + json.dumps(answer).encode() + b"\n")


def main(setup: dict[str, Any]) -> None:
    """Answer the requests on standard input until it ends, as it does when the parent ends."""
    # Ctrl-C reaches the whole group of processes; the parent ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    waiting: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    scratch = Path(setup["report"]).parent
    for watch in (lambda: _read(waiting, scratch), lambda: _watch_parent(setup["parent"], scratch)):
        threading.Thread(target=watch, daemon=True).start()
    with contextlib.closing(_Report(setup["report"])) as report:
        fetcher = Fetcher(TransferLimits(**setup["limits"]), report.tick, setup["token"])
        _prepare(fetcher)
        report.answer({"ready": True})
        while True:
            try:
                report.answer(fetcher.answer(waiting.get(timeout=_IDLE_SECONDS)))
            except queue.Empty:
                _leave(scratch)
            except OSError as error:
                report.answer({"error": write_failure(Path(error.filename or scratch), error)})


def _prepare(fetcher: Fetcher) -> None:
    """Import what is needed, and have every progress bar of huggingface_hub, drawn or not, tell that bytes came."""
    from huggingface_hub import constants, get_session, hf_hub_download, utils

    del hf_hub_download  # loaded now, before the clock runs
    get_session()

    # Progress on a slow line must be seen: whole chunks of 10 MB may take minutes there.
    constants.DOWNLOAD_CHUNK_SIZE = STALL_BYTES
    bars = cast("Any", utils).tqdm
    update = bars.update

    def counted(bar: Any, size: Any = 1) -> Any:
        fetcher.count(int(size or 0))
        return update(bar, size)

    bars.update = counted


def _read(waiting: queue.SimpleQueue[dict[str, Any]], scratch: Path) -> None:
    for line in sys.stdin:
        waiting.put(json.loads(line))
    _leave(scratch)


def _watch_parent(parent: int, scratch: Path) -> None:
    # Standard input stays open where a fork of the parent holds its other end.
    while os.name == "nt" or os.getppid() == parent:
        time.sleep(_PARENT_SECONDS)
    _leave(scratch)


def _leave(scratch: Path) -> NoReturn:
    with contextlib.suppress(OSError):
        remove_tree(scratch)
    os._exit(0)
