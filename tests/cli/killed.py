"""Runs `onnxembed embed` again and again, each time ended at a later moment, until one run is through.

A moment is a write to the disk that lasts: bytes of a file given to the system, a file put in place of another, a file
removed. The process ends in front of it without any cleaning up, as by ``kill -9``.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from onnxembed.cli.main import main
from onnxembed.cli.vectors import run

DIED = 9


def dying(moment: int) -> None:
    """End this process at a moment, counted from 1."""
    left = moment

    def counted(function: Any) -> Any:
        def called(*args: Any, **options: Any) -> Any:
            nonlocal left
            left -= 1
            if not left:
                os._exit(DIED)
            return function(*args, **options)

        return called

    os.fsync = counted(os.fsync)
    for name in ("replace", "unlink", "rmdir"):
        setattr(Path, name, counted(getattr(Path, name)))


def runs(words: list[str], step: int) -> int:
    """Run until it is through, in processes of its own; gives how many were ended before."""
    run._COMMIT_ROWS = 7
    died, moment = 0, 0
    while True:
        moment += step
        child = os.fork()
        if not child:
            dying(moment)
            os._exit(main(words))
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status != DIED:
            if status:
                raise SystemExit(status)
            return died
        died += 1


if __name__ == "__main__":
    sys.stdout.write(str(runs(sys.argv[2:], int(sys.argv[1]))))
