"""One ONNX Runtime session: opened from settings that are data, safe to share between threads."""

from __future__ import annotations

import logging
import os
import threading
import warnings
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from onnxembed.errors import InferenceError, InputError, InputTypeError, ModelError, ProviderError
from onnxembed.runtime import forks
from onnxembed.runtime.mapped_file import MappedFile, changed_while_in_use
from onnxembed.runtime.onnx import import_onnxruntime
from onnxembed.runtime.providers import Placement
from onnxembed.suggest import nearest

if TYPE_CHECKING:
    import numpy as np
    import onnxruntime

logger = logging.getLogger("onnxembed.runtime")

# ONNX Runtime's session, and the files that it maps.
_Loaded = tuple[Any, tuple[MappedFile, ...]]
OptionValue = str | int | bool

# Attributes of onnxruntime.SessionOptions that a caller may set; everything with a dot in its name is a configuration
# entry.
_OPTION_TYPES: Mapping[str, type] = {
    "enable_cpu_mem_arena": bool,
    "enable_mem_pattern": bool,
    "enable_mem_reuse": bool,
    "enable_profiling": bool,
    "profile_file_prefix": str,
    "execution_mode": int,
    "graph_optimization_level": int,
    "inter_op_num_threads": int,
    "intra_op_num_threads": int,
    "log_severity_level": int,
    "log_verbosity_level": int,
    "logid": str,
    "optimized_model_filepath": str,
    "use_deterministic_compute": bool,
}

# Threads that wait for work spin for a moment before they sleep. For the only session of a process that is right:
# queries that follow each other find them awake. Sessions beside it would take the processors from each other that
# way, so their threads sleep as soon as a run ends.
_SPIN_STOP = "session.force_spinning_stop"


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
    """A file beside a graph with weights of it, which ONNX Runtime maps.

    Attributes:
        path: The file.
        digest: Its SHA-256 in hexadecimal, ``None`` where every change of the file is to count as another content.
    """

    path: Path
    digest: str | None = None


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


def check_session_option(value: object, name: str) -> OptionValue:
    """Refuse a session option that ONNX Runtime does not have, or a value of another type."""
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        value = value.item()  # the number of Python that one of NumPy stands for
    if not isinstance(name, str) or not isinstance(value, str | int):
        raise InputTypeError(f"session option {name!r}: {value!r}; expected a name and a string, number or bool")
    if "." in name:
        return value
    expected = _OPTION_TYPES.get(name)
    if expected is None:
        raise InputError(
            f"session option {name!r} is unknown.{nearest(name, _OPTION_TYPES)} "
            f"Known: {', '.join(_OPTION_TYPES)}; and configuration entries with a dot in their name"
        )
    if type(value) is not expected:
        raise InputTypeError(
            f"session option {name}={value!r} is a {type(value).__name__}; expected {expected.__name__}"
        )
    return value


def read_session_options(options: object, name: str = "session_options") -> dict[str, OptionValue] | None:
    """Read names of ``onnxruntime.SessionOptions`` attributes, or configuration entries, with their values."""
    if not isinstance(options, Mapping):
        raise InputTypeError(f"{name} is a {type(options).__name__}; expected a dictionary of names and values")
    return {option: check_session_option(value, option) for option, value in options.items()} or None


def parse_session_options(
    options: Mapping[str, OptionValue] | None, enable_cpu_mem_arena: bool | None
) -> tuple[tuple[str, OptionValue], ...]:
    """Combine the session options with the one that has an argument of its own; sorted and hashable."""
    merged = {} if options is None else read_session_options(options) or {}
    if enable_cpu_mem_arena is not None:
        merged["enable_cpu_mem_arena"] = check_session_option(enable_cpu_mem_arena, "enable_cpu_mem_arena")
    return tuple(sorted(merged.items()))


# Sessions of this process. One that is inherited through fork must never be torn down in the child: its threads do not
# exist there, and waiting for them would never end, be it at a garbage collection or at the end of the child.
_live: weakref.WeakSet[Any] = weakref.WeakSet()


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
        _watch_forks()
        self._loaded = self._load(model, data)
        onnx = self._loaded[0]
        self.providers: tuple[str, ...] = tuple(onnx.get_providers())
        _check_fallback(settings.placement, self.providers)
        self.input_names = frozenset(node.name for node in onnx.get_inputs())
        self.outputs: tuple[tuple[str, tuple[object, ...]], ...] = tuple(
            (node.name, tuple(node.shape)) for node in onnx.get_outputs()
        )

    def run(self, outputs: Sequence[str], feed: Mapping[str, np.ndarray[Any, Any]]) -> list[np.ndarray[Any, Any]]:
        """Run the graph once, without the interpreter lock; a failure of ONNX Runtime is an `InferenceError`."""
        onnx, mapped = loaded = self._loaded
        for file in mapped:
            if not file.holds():
                onnx, mapped = self._load_again(loaded, file)
                break
        try:
            return list(onnx.run(list(outputs), dict(feed)))
        except Exception as error:  # ONNX Runtime raises a dozen classes with no common root
            shapes = ", ".join(f"{name} {array.dtype}{list(array.shape)}" for name, array in feed.items())
            raise InferenceError(f"ONNX Runtime failed on a batch with {shapes}: {error}") from error

    def _load(self, model: Path, data: tuple[DataFile, ...]) -> _Loaded:
        for _ in range(_LOADS):
            mapped = tuple(MappedFile(file.path, file.digest) for file in data)
            with forks.whole():
                onnx = _open(import_onnxruntime(), model, self.settings, self._default_threads)
            _live.add(onnx)
            # Another process may have put an equal file in the place of one between the two openings.
            if all(file.has_name() and file.holds() for file in mapped):
                return onnx, mapped
        raise changed_while_in_use(model)

    def _load_again(self, stale: _Loaded, changed: MappedFile) -> _Loaded:
        """Load the graph anew, once, whichever thread comes first."""
        with self._lock:
            if self._loaded is not stale:
                return self._loaded
            if self._again is None:
                raise changed_while_in_use(changed.path)
            with self._again() as graph:
                logger.warning("%s changed while the model was in use; the graph is loaded again", changed.path)
                self._loaded = self._load(graph.path, graph.data)
            return self._loaded


def _open(
    onnxruntime: Any, model: Path, settings: SessionSettings, default_threads: int
) -> onnxruntime.InferenceSession:
    """Create the session of ONNX Runtime."""
    options = onnxruntime.SessionOptions()
    threads = settings.threads or default_threads
    beside_others = {_SPIN_STOP: "1"} if _live else {}
    chosen: dict[str, OptionValue] = {
        "intra_op_num_threads": threads,
        "inter_op_num_threads": threads,
        "log_severity_level": 3,  # errors only: its warnings on standard error are about graph details
        **beside_others,
        **dict(settings.options),
    }
    for name, value in chosen.items():
        try:
            _set(onnxruntime, options, name, value)
        except Exception as error:  # numbers and texts that its own types do not hold
            raise InputError(f"session option {name}={value!r} is refused by ONNX Runtime: {error}") from error
    providers = [(name, dict(pairs)) for name, pairs in settings.placement.providers]
    try:
        # By default it takes another provider when one fails, and writes of it to standard output.
        return onnxruntime.InferenceSession(
            str(model),
            sess_options=options,
            providers=providers,
            enable_fallback=settings.placement.fallback_allowed,
        )
    except Exception as error:  # as above
        raise ModelError(_load_failure(model, error, onnxruntime.__version__)) from error


def _set(onnxruntime: Any, options: Any, name: str, value: OptionValue) -> None:
    if "." in name:
        options.add_session_config_entry(name, str(value))
    elif name == "execution_mode":
        options.execution_mode = onnxruntime.ExecutionMode(value)
    elif name == "graph_optimization_level":
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel(value)
    else:
        setattr(options, name, value)


def _load_failure(model: Path, error: Exception, version: str) -> str:
    """Say why a file did not load, and what to do where that is known."""
    text = str(error)
    if "MatMulNBits" in text or "nbits" in text.lower():
        return (
            f"{model} uses a weight-only quantisation that ONNX Runtime {version} does not have; "
            f"upgrade to onnxruntime>=1.23. It said: {text}"
        )
    return f"ONNX Runtime {version} cannot load {model}: {text}"


def _check_fallback(placement: Placement, providers: Sequence[str]) -> None:
    """Notice when ONNX Runtime has silently replaced a provider, as it does when CUDA libraries are missing."""
    wanted = placement.providers[0][0]
    if wanted in providers:
        return
    message = (
        f"{wanted} was asked for, but ONNX Runtime could not start it and uses {', '.join(providers)} instead; "
        "its own log names the library that is missing"
    )
    if not placement.fallback_allowed:
        raise ProviderError(message + ". List the fallback in providers=, or use cuda='auto', if that is acceptable")
    warnings.warn(message, RuntimeWarning, stacklevel=2)
