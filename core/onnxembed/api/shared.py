"""Engines shared by all objects with equal settings in one process."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any, TypeVar, cast

from onnxembed.runtime import forks

if TYPE_CHECKING:
    from onnxembed.api.settings import EngineSettings
    from onnxembed.runtime.bounded_pool import BoundedPool

SettingsT = TypeVar("SettingsT", bound=Hashable)
EngineT = TypeVar("EngineT")

_engines: weakref.WeakValueDictionary[tuple[int, object, object], Any] = weakref.WeakValueDictionary()
_locks: dict[int, threading.Lock] = {}


def shared_engine(settings: SettingsT, make: Callable[[SettingsT], EngineT]) -> EngineT:
    """Return this process's engine for some settings, the same one for all who hold it at the time.

    Args:
        settings: What to load and how to run it.
        make: Makes the engine; a function of a module. It loads nothing.

    Returns:
        The engine.
    """
    key = (os.getpid(), make, settings)
    with _locks.setdefault(os.getpid(), threading.Lock()):
        engine = _engines.get(key)
        if engine is None:
            with forks.whole():
                engine = _engines[key] = make(settings)
        return cast("EngineT", engine)


def shared_engines(make: Callable[[SettingsT], EngineT]) -> list[tuple[SettingsT, EngineT]]:
    """Give the engines of one kind that live in this process, with their settings."""
    process = os.getpid()
    with _locks.setdefault(process, threading.Lock()):
        living = list(_engines.items())
    return [(cast("SettingsT", key[2]), engine) for key, engine in living if key[:2] == (process, make)]


def pool_of(settings: EngineSettings[Any]) -> BoundedPool:
    """Make the pool of the asynchronous calls: few threads, since each call uses several processors."""
    from onnxembed.runtime.bounded_pool import BoundedPool
    from onnxembed.runtime.cpu import usable_cpus

    return BoundedPool(max(2, len(settings.request.device_ids), min(4, usable_cpus())))
