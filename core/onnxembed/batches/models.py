"""A model opened in the process that uses it, kept there, with the processors that the engine gave that process."""

from __future__ import annotations

import os
import sys
from collections import deque
from typing import Any

from onnxembed.api.options import EngineOptions
from onnxembed.errors import MissingExtraError

# Spark makes its functions anew for every task, so the models last used are held here; equal ones share their weights.
_held: deque[Any] = deque(maxlen=4)


def model_here(model: Any, kind: str | None, threads: int | None) -> Any:
    """Open a model by its name or folder, or take an object of a model class, and hold it in this process."""
    if isinstance(model, str | os.PathLike):
        from onnxembed.opening import opened_lazily  # it loads all kinds

        threads = assigned_processors() if threads is None else threads
        model = opened_lazily(EngineOptions(model, threads=threads), kind)
    _held.append(model)
    return model


def assigned_processors() -> int | None:
    """Tell how many processors Ray or Spark gave this worker; ``None`` outside of both.

    Workers of one machine would each take all of its processors otherwise. Ray may give less than one, which is one
    here.
    """
    ray = sys.modules.get("ray")
    if ray is not None and ray.is_initialized():
        try:
            given = ray.get_runtime_context().get_assigned_resources().get("CPU")
        except AssertionError:  # Ray's answer in a process that is none of its workers
            given = None
        return None if given is None else max(1, int(given))
    spark = sys.modules.get("pyspark")
    task = None if spark is None else spark.TaskContext.get()
    return None if task is None else max(1, int(task.cpus()))


def missing(what: str, extra: str) -> MissingExtraError:
    """Name the extra that an engine needs."""
    return MissingExtraError(f"{what} is not installed: pip install 'onnxembed[{extra}]'")
