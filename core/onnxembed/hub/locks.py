"""One at a time, among threads and processes."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING

from onnxembed.errors import ModelNotFoundError
from onnxembed.hub.disk import write_failure

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from onnxembed.hub.settings import TransferLimits


logger = logging.getLogger("onnxembed.store")


@contextlib.contextmanager
def locked(path: Path, limits: TransferLimits) -> Iterator[None]:
    """Hold a lock file, whose folders are created; the system releases it when a process dies.

    A `ModelNotFoundError` says that the lock cannot be made, or that another holds it for too long.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            logger.info("another process holds %s; waiting at most %g seconds for it", path, limits.lock_seconds)
            lock.acquire(timeout=limits.lock_seconds)
    except Timeout as error:
        raise ModelNotFoundError(
            f"another process has held {path} for {limits.lock_seconds:g} seconds; wait for it, or end it"
        ) from error
    except OSError as error:
        raise ModelNotFoundError(write_failure(path, error)) from error
    try:
        yield
    finally:
        lock.release()
