"""The sessions of one graph, one a device: each run goes to the device that has least to do."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from onnxembed.errors import ProviderError
from onnxembed.runtime import cuda
from onnxembed.runtime.provider_traits import on_processor
from onnxembed.runtime.providers import CPU_PROVIDER, FALLBACK_ADVICE, OptionPairs, Placement

if TYPE_CHECKING:
    from onnxembed.runtime.session import Session

RUNS_AT_ONCE = 2
"""Runs under way on a device: one computes while the other copies. More would only take its memory."""


class Sessions:
    """Sessions that share the work: unequal devices by their speed, and none twice while another has nothing to do.

    A lone session on the processor takes any number of runs, as its caller's threads ask.
    """

    def __init__(self, sessions: Iterable[Session]) -> None:
        self._sessions = tuple(sessions)
        alone = len(self._sessions) == 1 and not computes_elsewhere(self._sessions[0])
        self.only = self._sessions[0] if alone else None
        self._runs = [0] * len(self._sessions)
        self._turns = [0] * len(self._sessions)
        self._given = 0
        self._changed = threading.Condition()

    @classmethod
    def of(cls, sessions: Sessions | Iterable[Session]) -> Sessions:
        """Give sessions as they are, or sessions that share their work from now on."""
        return sessions if isinstance(sessions, Sessions) else cls(sessions)

    def __len__(self) -> int:
        return len(self._sessions)

    def __iter__(self) -> Iterator[Session]:
        return iter(self._sessions)

    @contextmanager
    def free(self) -> Iterator[Session]:
        """Lend a session for one run."""
        session = self.only or self.take()
        try:
            yield session
        finally:
            if self.only is None:
                self.give_back(session)

    def take(self) -> Session:
        """Take the session with the fewest runs under way, among equals the one that was not used for longest."""
        with self._changed:
            while min(self._runs) >= RUNS_AT_ONCE:
                self._changed.wait()
            number = min(range(len(self._runs)), key=lambda i: (self._runs[i], self._turns[i]))
            self._given += 1
            self._runs[number] += 1
            self._turns[number] = self._given
        return self._sessions[number]

    def give_back(self, session: Session) -> None:
        """Note that a run on a session that was taken has ended."""
        with self._changed:
            self._runs[self._sessions.index(session)] -= 1
            self._changed.notify()


def computes_elsewhere(session: Session) -> bool:
    """Whether a session computes on a device rather than on the processor."""
    provider, options = first_provider(session)
    return not on_processor(provider, options)


def first_provider(session: Session) -> tuple[str, OptionPairs]:
    """The provider that a session runs on, with its options; a stand-in for tests may name none."""
    names = getattr(session, "providers", None) or (CPU_PROVIDER,)
    placement = getattr(session, "placement", None)
    options = {} if placement is None else dict(placement.providers)
    return names[0], options.get(names[0], ())


def open_each(placements: Sequence[Placement], open_one: Callable[[Placement], Session]) -> Sessions:
    """Open a session a device, all with the same first provider.

    Where a fallback is allowed, a device that does not start is left out with a warning, and the fallback is taken once
    none starts; the processor then has one session. Otherwise one device that does not start is a `ProviderError`.
    """
    if len(placements) == 1:
        return Sessions([open_one(placements[0])])
    cuda.check_fork(name for name, _ in placements[0].providers)
    current: Sequence[Placement] = placements
    while True:
        opened, refusals = [], []
        for placement in current:
            try:
                opened.append(open_one(replace(placement, fallback_allowed=False)))
            except ProviderError as error:
                if not placement.fallback_allowed:
                    raise
                refusals.append(error)
        following = [rest for placement in current if (rest := placement.rest()) is not None]
        if not opened and not following:
            raise refusals[-1]
        for refusal in dict.fromkeys(str(error).removesuffix(FALLBACK_ADVICE) for error in refusals):
            what = "a device is left out" if opened else f"{following[0].providers[0][0]} is tried next"
            warnings.warn(f"{what}: {refusal}", RuntimeWarning, stacklevel=2)
        if opened:
            return Sessions(opened)
        current = following[:1] if following[0].providers[0][0] == CPU_PROVIDER else following
