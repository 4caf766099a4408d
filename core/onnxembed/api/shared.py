"""Engines shared by all who ask for the same, and the handle that finds this process's one again."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar, cast

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
            engine = _engines[key] = make(settings)
        return cast("EngineT", engine)


class EngineHandle(Generic[SettingsT, EngineT]):
    """An engine by its settings. Settings travel to other processes, engines do not: each process makes its own."""

    def __init__(self, settings: SettingsT, make: Callable[[SettingsT], EngineT]) -> None:
        """Remember what to load.

        Args:
            settings: What to load and how to run it.
            make: Makes the engine; a function of a module, so that it can be pickled by its name.
        """
        self.settings = settings
        self._make = make
        self._held: tuple[int, EngineT] | None = None

    def get(self) -> EngineT:
        """Give this process's engine; nothing is loaded by that."""
        process = os.getpid()
        held = self._held
        if held is None or held[0] != process:
            held = self._held = (process, shared_engine(self.settings, self._make))
        return held[1]

    def __getstate__(self) -> tuple[SettingsT, Callable[[SettingsT], EngineT]]:
        return self.settings, self._make

    def __setstate__(self, state: tuple[SettingsT, Callable[[SettingsT], EngineT]]) -> None:
        self.settings, self._make = state
        self._held = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, EngineHandle) and self.__getstate__() == other.__getstate__()

    def __hash__(self) -> int:
        return hash(self.__getstate__())
