"""A model's files and sessions, loaded once in a process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Generic, TypeVar

from onnxembed.api.graph_file import GraphFile, prepared_graph
from onnxembed.api.settings import EngineSettings, SpecT, content_of
from onnxembed.errors import ModelError, ModelNotFoundError, UnsafeModelError, UnsupportedModelError
from onnxembed.hub.files import FolderFiles
from onnxembed.hub.folder import CONFIG_FILE, ModelFolder
from onnxembed.runtime import cuda
from onnxembed.runtime.budgets import TextBudget, least, provider_budget
from onnxembed.runtime.cpu import usable_cpus
from onnxembed.runtime.mapped_file import changed_while_in_use
from onnxembed.runtime.onnx import import_onnxruntime
from onnxembed.runtime.per_process import PerProcess
from onnxembed.runtime.plugins import available_providers
from onnxembed.runtime.precision import Precision
from onnxembed.runtime.precision_choice import placed, session_entries
from onnxembed.runtime.provider_traits import GraphForm, graph_form
from onnxembed.runtime.providers import Placement, place, place_quantized
from onnxembed.runtime.session import Session, SessionSettings
from onnxembed.runtime.sessions import RUNS_AT_ONCE, Sessions, computes_elsewhere, first_provider, open_each
from onnxembed.runtime.threads import Threads
from onnxembed.spec import ModelSpec

_Loaded = TypeVar("_Loaded")
_USUAL_HEADS = 16
_HEADS = ("num_attention_heads", "n_heads", "num_heads", "n_head")


@dataclass(frozen=True, slots=True)
class LoadedGraph:
    """A graph in memory.

    Attributes:
        sessions: One session per device, all of the same file.
        file: What is known of the file.
        threads: Processors that one run uses.
        heads: Those of a layer's attention, as far as the model's files say.
    """

    sessions: Sessions
    file: GraphFile
    threads: int
    heads: int = _USUAL_HEADS

    def __post_init__(self) -> None:
        object.__setattr__(self, "sessions", Sessions.of(self.sessions))

    @property
    def input_types(self) -> Mapping[str, int]:
        """ONNX element type of every graph input."""
        return {node.name: node.element_type for node in self.file.inputs}

    @property
    def on_gpu(self) -> bool:
        """Whether the sessions run on devices rather than on the processor."""
        return all(map(computes_elsewhere, self.sessions))

    @property
    def provider_names(self) -> tuple[tuple[str, ...], ...]:
        """What each session runs on now."""
        return tuple(session.providers for session in self.sessions)

    @property
    def runs_at_once(self) -> int:
        """Runs that keep all sessions busy."""
        return len(self.sessions) * (RUNS_AT_ONCE if self.on_gpu else 1)

    @property
    def lanes(self) -> int:
        """Processors that may each run batches of their own."""
        only = self.sessions.only
        return self.threads if only is not None and getattr(only, "has_lanes", False) else 1

    def text_budget(self) -> TextBudget:
        """What a batch of texts may take now, on the device that has least."""
        return least(
            *(
                provider_budget(provider, options, cpus=self.threads, heads=self.heads)
                for provider, options in map(first_provider, self.sessions)
            )
        )

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
        self._folder = PerProcess(lambda: settings.folder or _located(settings))
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
            from onnxembed.hub.locate import repair

            if not repair(self.folder, self.settings.model, self.settings.store):
                raise
            self.settings = replace(self.settings, content=content_of(self.folder, self.settings))
            return load()

    def _load(self) -> LoadedGraph:
        return self.healed(self._open_graph)

    def _open_graph(self) -> LoadedGraph:
        settings = self.settings
        available = available_providers(import_onnxruntime(), settings.request)
        placements = place(settings.request, available, device_found=cuda.driver().found)
        if settings.precision is Precision.INT8:
            placements = place_quantized(settings.request, placements)
        placements = placed(placements, settings.choice)
        form = graph_form(placements[0])
        with (
            _prepared(self.folder, settings, form) as file,
            closing(Threads(1, "onnxembed-load")) as loader,
        ):
            other = None if self._beside is None else loader.submit(self._beside)
            if file.dynamically_quantized:
                placements = place_quantized(settings.request, placements)
            sessions = open_each(placements, lambda placement: self._open(file, placement, form))
            if other is not None:
                loader.result(other)
        heads = _attention_heads(self.folder, settings.model)
        return LoadedGraph(sessions, file, settings.threads or self.cpus, heads)

    def _open(self, file: GraphFile, placement: Placement, form: GraphForm) -> Session:
        entries = session_entries(self.settings.choice, placement.providers[0][0])
        options = (*self.settings.session_options, *entries.items())
        settings = SessionSettings(placement, self.settings.threads, options)
        # Of data alone: a session keeps no engine alive.
        again = partial(_prepared_again, self.folder, self.settings, form)
        return Session(file.path, settings, self.cpus, file.data, again)


def _located(settings: EngineSettings[SpecT]) -> ModelFolder:
    from onnxembed.hub.locate import locate

    return locate(settings.model, settings.store)


def _attention_heads(folder: ModelFolder, model: ModelSpec) -> int:
    """Heads of a layer's attention, or a usual number where the configuration does not say."""
    config = FolderFiles(folder.path / model.body_folder).json_object(CONFIG_FILE)
    stated = [part.get(key) for part in (config, config.get("text_config")) if isinstance(part, dict) for key in _HEADS]
    return next((heads for heads in stated if isinstance(heads, int) and heads > 0), _USUAL_HEADS)


def _prepared(
    folder: ModelFolder, settings: EngineSettings[SpecT], form: GraphForm
) -> AbstractContextManager[GraphFile]:
    numbers = settings.choice.numbers
    return prepared_graph(folder, settings.model, settings.store, settings.accept_unknown, numbers, form)


@contextmanager
def _prepared_again(folder: ModelFolder, settings: EngineSettings[SpecT], form: GraphForm) -> Iterator[GraphFile]:
    """Give a graph once more whose files changed under a session.

    What was made here is made again, and files of a cached copy are fetched again; a user's files that are others than
    those that were loaded are a `ModelError`.
    """
    from onnxembed.hub.locate import repair

    model, store = settings.model, settings.store
    try:
        same = _same(folder, settings) or (repair(folder, model, store) and _same(folder, settings))
    except (ModelNotFoundError, OSError) as error:
        raise changed_while_in_use(folder.path) from error
    if not same:
        raise changed_while_in_use(folder.path)
    with _prepared(folder, settings, form) as file:
        yield file


def _same(folder: ModelFolder, settings: EngineSettings[SpecT]) -> bool:
    """Whether a model's files have the content that was loaded."""
    try:
        return content_of(folder, settings) == settings.content
    except (ModelError, OSError):  # such as a graph whose data end too early
        return False
