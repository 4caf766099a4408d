"""One ONNX Runtime session: opened from settings that are data, safe to share between threads."""

from __future__ import annotations

import logging
import os
import threading
import warnings
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from onnxembed.errors import InferenceError, OnnxEmbedError
from onnxembed.runtime import forks
from onnxembed.runtime.cuda import CUDA_PROVIDERS
from onnxembed.runtime.mapped_file import MappedFile, changed_while_in_use
from onnxembed.runtime.onnx import import_onnxruntime
from onnxembed.runtime.onnx_session import Opened, Outlined, open_session
from onnxembed.runtime.provider_traits import on_processor
from onnxembed.runtime.providers import CUDA_PROVIDER, Placement
from onnxembed.runtime.room import NO_ROOM, Room, halves, item_count, joined, lacks_memory
from onnxembed.runtime.session_options import OptionValue
from onnxembed.runtime.shapes import filled
from onnxembed.runtime.turns import ON_ONE_PROCESSOR, TURNS

if TYPE_CHECKING:
    import numpy as np

logger = logging.getLogger("onnxembed.runtime")

_Again = Callable[[], AbstractContextManager["GraphSource"]]
# ONNX Runtime's session, and the files that it maps.
_Loaded = tuple[Opened, tuple[MappedFile, ...]]

# Threads that wait for work spin for a moment before they sleep. For the only session of a process that is right:
# queries that follow each other find them awake. Sessions beside it would take the processors from each other that
# way, so their threads sleep as soon as a run ends; and that of the first is opened once more so, unless that took much
# memory for a moment.
_SPIN_STOP = "session.force_spinning_stop"
_MOST_REOPENED_BYTES = 512 * 1024 * 1024
# Numbers of a feed, such as token ids, up to which a run is over before it would have had its turn.
_SMALL_FEED = 96
# A device that computes leaves little to the processors, and there may be eight of them.
_THREADS_BESIDE_CUDA = 2
# The class of ONNX Runtime's error when a provider fails at a run.
_PROVIDER_FAILED = "EPFail"
_SHRINK = "memory.enable_memory_arena_shrinkage"


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """All that distinguishes two sessions of one model file.

    Attributes:
        placement: The execution providers.
        threads: Intra-op threads, or ``None`` for all processors this process may use.
        options: Further session options, as `parse_session_options` returns them.
    """

    placement: Placement
    threads: int | None
    options: tuple[tuple[str, OptionValue], ...] = ()


@dataclass(frozen=True, slots=True)
class DataFile:
    """A file with weights of a graph, which ONNX Runtime maps: beside the graph, or the graph's own.

    Attributes:
        path: The file.
        digest: Its SHA-256 in hexadecimal, ``None`` where every change of the file is to count as another content.
        outline: The graph to load, which names this file and others beside it for its weights; ``None`` to load the
            graph's own file.
    """

    path: Path
    digest: str | None = None
    outline: bytes | None = None


class GraphSource(Protocol):
    """A graph that may be loaded."""

    @property
    def path(self) -> Path:
        """The file."""
        ...

    @property
    def data(self) -> tuple[DataFile, ...]:
        """The files beside it with its weights."""
        ...


# Sessions of this process. One that is inherited through fork must never be torn down in the child: its threads do not
# exist there, and waiting for them would never end, be it at a garbage collection or at the end of the child.
_live: weakref.WeakSet[Any] = weakref.WeakSet()
# Those of them that have threads of their own.
_with_threads: weakref.WeakSet[Any] = weakref.WeakSet()


def _keep_inherited() -> None:
    """Give every inherited session a reference that is never dropped; the parent shares the memory anyway."""
    import ctypes

    for session in _live:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(session))


@cache
def _watch_forks() -> None:
    """Have forks noticed; from the first session on, so that importing has no effect."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_keep_inherited)


def _outlined(data: tuple[DataFile, ...]) -> Outlined | None:
    """The graph that is loaded in place of its file, if one is."""
    return next((Outlined(file.outline, file.path.parent) for file in data if file.outline is not None), None)


# Loads of a graph whose data files others replace at that moment.
_LOADS = 3


class Session:
    """A model loaded by ONNX Runtime. `run` may be called by many threads at once.

    Its data files are looked at before each run: where one changed, the graph is loaded again if it can be made again.
    """

    def __init__(
        self,
        model: Path,
        settings: SessionSettings,
        default_threads: int,
        data: tuple[DataFile, ...] = (),
        again: Callable[[], AbstractContextManager[GraphSource]] | None = None,
    ) -> None:
        """Load a graph.

        ``data`` are the files beside it with its weights; ``again`` gives the same graph once more, or raises a
        `ModelError` where what it is made of changed.
        """
        self.settings = settings
        self._default_threads = default_threads
        self._again = again
        self._lock = threading.Lock()
        self._room = Room()
        self._shrink = False
        self._spins = False
        self._held = 0  # processors during a run
        self._narrow: Session | None = None
        self._narrow_failed = False
        _watch_forks()
        self._loaded = self._load(model, data, settings.placement)
        onnx = self._loaded[0].session
        self.input_names = frozenset(node.name for node in onnx.get_inputs())
        self.outputs: tuple[tuple[str, tuple[object, ...]], ...] = tuple(
            (node.name, tuple(node.shape)) for node in onnx.get_outputs()
        )

    def run(self, outputs: Sequence[str], feed: Mapping[str, np.ndarray[Any, Any]]) -> list[np.ndarray[Any, Any]]:
        """Run the graph, without the interpreter lock; a failure of ONNX Runtime is an `InferenceError`.

        A batch that the device has no memory for is run in halves, and later ones of its size at once so.
        """
        if ON_ONE_PROCESSOR.get() and (narrow := self._on_one_thread()) is not None:
            return narrow.run(outputs, feed)
        if not self._held or next(iter(feed.values())).size <= _SMALL_FEED:
            return self._run_now(outputs, feed)
        held, turns = self._held, TURNS.get()
        turns.take(held)
        try:
            return self._run_now(outputs, feed)
        finally:
            turns.give_back(held)

    def _run_now(self, outputs: Sequence[str], feed: Mapping[str, np.ndarray[Any, Any]]) -> list[np.ndarray[Any, Any]]:
        if self._room.limited and not self._room.has(feed):
            return self._in_halves(outputs, feed)
        opened, mapped = loaded = self._loaded
        for file in mapped:
            if not file.holds():
                opened, mapped = loaded = self._load_again(loaded, file)
                break
        if self._spins and len(_with_threads) > 1:
            opened, mapped = loaded = self._load_without_spinning(loaded)
        try:
            if opened.by_shape or self._shrink:
                return self._run_apart(opened, outputs, feed)
            return list(opened.session.run(list(outputs), dict(feed)))
        except Exception as error:  # ONNX Runtime raises a dozen classes with no common root
            if type(error).__name__ == _PROVIDER_FAILED and self._may_move(opened):
                self._move(loaded, error)
                return self._run_now(outputs, feed)
            no_memory = lacks_memory(error)
            if not no_memory or item_count(feed) < 2:
                shapes = ", ".join(f"{name} {array.dtype}{list(array.shape)}" for name, array in feed.items())
                advice = NO_ROOM if no_memory else ""
                raise InferenceError(f"ONNX Runtime failed on a batch with {shapes}: {error}{advice}") from error
            self._room.lacked(feed)
        self._shrink = True
        return self._in_halves(outputs, feed)

    def _run_apart(
        self, opened: Opened, outputs: Sequence[str], feed: Mapping[str, np.ndarray[Any, Any]]
    ) -> list[np.ndarray[Any, Any]]:
        """Run with options of this run, or with a feed filled up to a shape that the provider has met."""
        options = self._run_options(opened)
        if not opened.by_shape:
            return list(opened.session.run(list(outputs), dict(feed), *options))
        whole, count = filled(feed), item_count(feed)
        arrays = opened.session.run(list(outputs), whole, *options)
        most = item_count(whole)
        return [array[:count] if array.ndim and len(array) == most else array for array in arrays]

    def _in_halves(
        self, outputs: Sequence[str], feed: Mapping[str, np.ndarray[Any, Any]]
    ) -> list[np.ndarray[Any, Any]]:
        return joined([self._run_now(outputs, half) for half in halves(feed)])

    def _run_options(self, opened: Opened) -> tuple[Any, ...]:
        """After a lack of memory, once: give back what CUDA's arena holds and no longer needs."""
        provider, pairs = opened.placement.providers[0]
        shrink, self._shrink = self._shrink, False
        if not shrink or provider != CUDA_PROVIDER:
            return ()
        options = import_onnxruntime().RunOptions()
        options.add_run_config_entry(_SHRINK, f"gpu:{dict(pairs).get('device_id', '0')}")
        return (options,)

    @property
    def onnx(self) -> Any:
        """ONNX Runtime's own session, as it is now: another may take its place."""
        return self._loaded[0].session

    @property
    def providers(self) -> tuple[str, ...]:
        """The providers that it runs on now, best first."""
        return tuple(self._loaded[0].session.get_providers())

    @property
    def placement(self) -> Placement:
        """The providers that it was opened with, without those that failed."""
        return self._loaded[0].placement

    @property
    def may_move(self) -> bool:
        """Whether it goes on with a fallback that was listed when its provider fails at a run."""
        return self._may_move(self._loaded[0])

    def _may_move(self, opened: Opened) -> bool:
        return self._again is not None and opened.placement.rest() is not None

    def _move(self, stale: _Loaded, error: Exception) -> None:
        """Go on with the next listed provider for good, once, whichever thread comes first."""
        with self._lock:
            rest = stale[0].placement.rest()
            if self._loaded is not stale or self._again is None or rest is None:
                return
            failed, following = stale[0].placement.providers[0][0], rest.providers[0][0]
            warnings.warn(
                f"{failed} failed at a run; {following} is used from now on, as listed. ONNX Runtime said: {error}",
                RuntimeWarning,
                stacklevel=2,
            )
            with self._again() as graph:
                self._loaded = self._load(graph.path, graph.data, rest)

    def _load(self, model: Path, data: tuple[DataFile, ...], placement: Placement) -> _Loaded:
        spins = not _with_threads
        for _ in range(_LOADS):
            mapped = tuple(MappedFile(file.path, file.digest) for file in data)
            with forks.whole():
                opened = open_session(import_onnxruntime(), model, placement, self._options, _outlined(data))
            _live.add(opened.session)
            if self._threads > 1:
                _with_threads.add(opened.session)
            # Another process may have put an equal file in the place of one between the two openings.
            if all(file.has_name() and file.holds() for file in mapped):
                self._spins = spins
                self._held = self._threads if on_processor(*opened.placement.providers[0]) else 0
                return opened, mapped
        raise changed_while_in_use(model)

    @property
    def _threads(self) -> int:
        """Threads that compute a run on the processor."""
        chosen = dict(self.settings.options).get("intra_op_num_threads")
        return int(chosen or self.settings.threads or self._default_threads)

    def _options(self, provider: str) -> dict[str, OptionValue]:
        """Session options for a first provider, those of the caller last."""
        most = _THREADS_BESIDE_CUDA if provider in CUDA_PROVIDERS else self._default_threads
        threads = self.settings.threads or min(self._default_threads, most)
        return {
            "intra_op_num_threads": threads,
            "inter_op_num_threads": threads,
            "log_severity_level": 3,  # errors only: its warnings on standard error are about graph details
            **({_SPIN_STOP: "1"} if _with_threads else {}),
            **dict(self.settings.options),
        }

    @property
    def has_lanes(self) -> bool:
        """Whether batches may run on one processor each: in a second session on one thread, of weights that are mapped.

        What that holds besides, the weights of products in ONNX Runtime's own order, bounds the size of the model.
        """
        opened, mapped = self._loaded
        chosen = {"intra_op_num_threads", "execution_mode", "optimized_model_filepath", "enable_profiling"}
        return (
            self._again is not None
            and self._threads > 1
            and on_processor(*opened.placement.providers[0])
            and chosen.isdisjoint(dict(self.settings.options))
            and 0 < sum(file.size for file in mapped) <= _MOST_REOPENED_BYTES
        )

    def _on_one_thread(self) -> Session | None:
        """The same graph on one thread, opened when it is first wanted; ``None`` where it cannot be."""
        if self._narrow is not None or self._narrow_failed:
            return self._narrow
        with self._lock:
            if self._narrow is None and not self._narrow_failed:
                self._narrow = self._open_on_one_thread() if self.has_lanes else None
                self._narrow_failed = self._narrow is None
            return self._narrow

    def _open_on_one_thread(self) -> Session | None:
        settings = replace(self.settings, placement=self.placement, threads=1)
        try:
            with cast("_Again", self._again)() as graph:
                return Session(graph.path, settings, 1, graph.data, self._again)
        except OnnxEmbedError as error:
            logger.info("batches run on all processors together (%s)", error)
            return None

    def _load_without_spinning(self, stale: _Loaded) -> _Loaded:
        """Load the graph anew, once, with threads that sleep after a run, now that there are other sessions."""
        with self._lock:
            if self._loaded is stale and self._spins:
                self._spins = False
                if self._again is not None and 0 < sum(file.size for file in stale[1]) <= _MOST_REOPENED_BYTES:
                    try:
                        with self._again() as graph:
                            self._loaded = self._load(graph.path, graph.data, stale[0].placement)
                    except OnnxEmbedError as error:
                        logger.info("a session goes on as the only one would (%s)", error)
            return self._loaded

    def _load_again(self, stale: _Loaded, changed: MappedFile) -> _Loaded:
        """Load the graph anew, once, whichever thread comes first."""
        with self._lock:
            if self._loaded is not stale:
                return self._loaded
            if self._again is None:
                raise changed_while_in_use(changed.path)
            with self._again() as graph:
                logger.warning("%s changed while the model was in use; the graph is loaded again", changed.path)
                self._loaded = self._load(graph.path, graph.data, stale[0].placement)
            return self._loaded
