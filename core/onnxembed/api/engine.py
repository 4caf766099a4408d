"""A model's files and sessions, loaded once in a process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Generic, TypeVar

from onnxembed.api.graph_file import GraphFile, prepared_graph
from onnxembed.api.settings import EngineSettings, SpecT, content_of
from onnxembed.errors import ModelError, ModelNotFoundError, UnsafeModelError, UnsupportedModelError
from onnxembed.hub.folder import ModelFolder
from onnxembed.hub.locate import locate, repair
from onnxembed.runtime import cuda
from onnxembed.runtime.cpu import usable_cpus
from onnxembed.runtime.mapped_file import changed_while_in_use
from onnxembed.runtime.onnx import import_onnxruntime
from onnxembed.runtime.per_process import PerProcess
from onnxembed.runtime.precision import Precision
from onnxembed.runtime.precision_choice import placed, session_entries
from onnxembed.runtime.providers import CUDA_PROVIDER, Placement, place, place_quantized
from onnxembed.runtime.session import Session, SessionSettings
from onnxembed.runtime.sessions import Sessions, open_each
from onnxembed.runtime.threads import Threads

_Loaded = TypeVar("_Loaded")


@dataclass(frozen=True, slots=True)
class LoadedGraph:
    """A graph in memory.

    Attributes:
        sessions: One session per device, all of the same file.
        file: What is known of the file.
        threads: Processors that one run uses.
    """

    sessions: Sessions
    file: GraphFile
    threads: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "sessions", Sessions.of(self.sessions))

    @property
    def input_types(self) -> Mapping[str, int]:
        """ONNX element type of every graph input."""
        return {node.name: node.element_type for node in self.file.inputs}

    @property
    def on_gpu(self) -> bool:
        """Whether the sessions run on a graphics processor."""
        return all(CUDA_PROVIDER in session.providers for session in self.sessions)

    @property
    def may_move(self) -> bool:
        """Whether a session may go on with another provider when its own fails at a run."""
        return any(getattr(session, "may_move", False) for session in self.sessions)


class GraphEngine(Generic[SpecT]):
    """The files and the sessions of one model. Every part is loaded on first use."""

    def __init__(self, settings: EngineSettings[SpecT], beside: Callable[[], object] | None = None) -> None:
        """Remember what to load.

        ``beside`` loads what else is needed, such as a tokenizer; it is called while the graph is optimised, which
        keeps only one processor busy.
        """
        self.settings = settings
        self.cpus = usable_cpus()
        self._beside = beside
        self._folder = PerProcess(lambda: settings.folder or locate(settings.model, settings.store))
        self._graph = PerProcess(self._load)

    @property
    def folder(self) -> ModelFolder:
        """Where the files are; finds or downloads them."""
        return self._folder.get()

    @property
    def graph(self) -> LoadedGraph:
        """The loaded graph."""
        return self._graph.get()

    @property
    def loaded(self) -> bool:
        """Whether the weights are loaded in this process."""
        return self._graph.made

    def healed(self, load: Callable[[], _Loaded]) -> _Loaded:
        """Load something of the files; where they cannot be read, fetch damaged ones again and load once more."""
        try:
            return load()
        except (UnsafeModelError, UnsupportedModelError):
            raise
        except ModelError:
            if not repair(self.folder, self.settings.model, self.settings.store):
                raise
            self.settings = replace(self.settings, content=content_of(self.folder, self.settings))
            return load()

    def _load(self) -> LoadedGraph:
        return self.healed(self._open_graph)

    def _open_graph(self) -> LoadedGraph:
        settings = self.settings
        available = import_onnxruntime().get_available_providers()
        placements = place(settings.request, available, device_found=cuda.driver().found)
        with (
            prepared_graph(
                self.folder, settings.model, settings.store, settings.accept_unknown, settings.choice.form
            ) as file,
            closing(Threads(1, "onnxembed-load")) as loader,
        ):
            other = None if self._beside is None else loader.submit(self._beside)
            if file.dynamically_quantized or settings.choice.precision is Precision.INT8:
                placements = place_quantized(settings.request, placements)
            placements = placed(placements, settings.choice)
            sessions = open_each(placements, lambda placement: self._open(file, placement))
            if other is not None:
                loader.result(other)
        return LoadedGraph(sessions, file, settings.threads or self.cpus)

    def _open(self, file: GraphFile, placement: Placement) -> Session:
        entries = session_entries(self.settings.choice, placement.providers[0][0])
        options = (*self.settings.session_options, *entries.items())
        settings = SessionSettings(placement, self.settings.threads, options)
        again = partial(_prepared_again, self.folder, self.settings)  # of data alone: a session keeps no engine alive
        return Session(file.path, settings, self.cpus, file.data, again)


@contextmanager
def _prepared_again(folder: ModelFolder, settings: EngineSettings[SpecT]) -> Iterator[GraphFile]:
    """Give a graph once more whose files changed under a session.

    What was made here is made again, and files of a cached copy are fetched again; a user's files that are others than
    those that were loaded are a `ModelError`.
    """
    model, store = settings.model, settings.store
    try:
        same = _same(folder, settings) or (repair(folder, model, store) and _same(folder, settings))
    except (ModelNotFoundError, OSError) as error:
        raise changed_while_in_use(folder.path) from error
    if not same:
        raise changed_while_in_use(folder.path)
    with prepared_graph(folder, model, store, settings.accept_unknown, settings.choice.form) as file:
        yield file


def _same(folder: ModelFolder, settings: EngineSettings[SpecT]) -> bool:
    """Whether a model's files have the content that was loaded."""
    try:
        return content_of(folder, settings) == settings.content
    except (ModelError, OSError):  # such as a graph whose data end too early
        return False
