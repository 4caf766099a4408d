"""A model's files and sessions, loaded once in a process; and the way its work begins."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol

from onnxembed.api.graph_file import GraphFile, prepared_graph
from onnxembed.api.settings import EngineSettings, ModelT
from onnxembed.hub import ModelFolder, locate
from onnxembed.runtime.batching import BatchLimits
from onnxembed.runtime.bounded_pool import BoundedPool
from onnxembed.runtime.cpu import usable_cpus
from onnxembed.runtime.onnx import import_onnxruntime
from onnxembed.runtime.per_process import PerProcess
from onnxembed.runtime.pipeline import Family, ItemT, PreparedT, ResultT, stream
from onnxembed.runtime.providers import CUDA_PROVIDER, Placement, place
from onnxembed.runtime.session import Session, SessionSettings


@dataclass(frozen=True, slots=True)
class LoadedGraph:
    """A graph in memory.

    Attributes:
        sessions: One session a device, all of the same file.
        file: What is known of the file.
    """

    sessions: tuple[Session, ...]
    file: GraphFile

    @property
    def input_types(self) -> Mapping[str, int]:
        """ONNX element type of every graph input."""
        return {node.name: node.element_type for node in self.file.inputs}


class GraphEngine(Generic[ModelT]):
    """The files and the sessions of one model. Every part is loaded on first use."""

    def __init__(self, settings: EngineSettings[ModelT], beside: Callable[[], object] | None = None) -> None:
        """Remember what to load.

        Args:
            settings: What to load and how to run it.
            beside: Loads what else is needed to run the graph, such as a tokenizer; called while the graph is
                optimised, which keeps only one processor busy.
        """
        self.settings = settings
        self.cpus = usable_cpus()
        self.pool = BoundedPool(max(2, len(settings.request.device_ids), min(4, self.cpus)))
        self._beside = beside
        self._folder = PerProcess(lambda: locate(settings.model, settings.store))
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

    @property
    def workers(self) -> int:
        """Threads that run batches when the caller does not say: one a session, each using all its processors."""
        return len(self.graph.sessions)

    @property
    def on_gpu(self) -> bool:
        """Whether the sessions run on a graphics processor."""
        return CUDA_PROVIDER in self.graph.sessions[0].providers

    @property
    def threads(self) -> int:
        """Processors that one run uses."""
        return self.settings.threads or self.cpus

    def _load(self) -> LoadedGraph:
        settings = self.settings
        placements = place(settings.request, import_onnxruntime().get_available_providers())
        with (
            prepared_graph(self.folder, settings.model, settings.store) as file,
            ThreadPoolExecutor(1, thread_name_prefix="onnxembed-load") as loader,
        ):
            other = None if self._beside is None else loader.submit(self._beside)
            sessions = tuple(self._open(file.path, placement) for placement in placements)
            if other is not None:
                other.result()
        return LoadedGraph(sessions, file)

    def _open(self, path: Path, placement: Placement) -> Session:
        settings = SessionSettings(placement, self.settings.threads, self.settings.session_options)
        return Session(path, settings, self.cpus)


class Runner(Protocol):
    """What the start of a call asks of an engine."""

    @property
    def workers(self) -> int:
        """Threads that run batches when the caller does not say."""
        ...

    @property
    def default_budget(self) -> int:
        """Cost of a padded batch beyond which this place gains nothing."""
        ...

    @property
    def runs_alone(self) -> bool:
        """Whether every item must be its own batch."""
        ...


# Items sorted together. More would sort a little better; fewer reach the caller sooner and are forgotten sooner.
_WINDOW_ITEMS = 512
_WINDOW_SIZE = 4_000_000


def start(
    runner: Runner,
    family: Family[ItemT, PreparedT, ResultT],
    items: Iterable[object],
    *,
    batch_size: int,
    parallel: int | None,
    budget: int | None,
    window_items: int = _WINDOW_ITEMS,
    window_size: int = _WINDOW_SIZE,
) -> Iterator[ResultT]:
    """Begin a call.

    Args:
        runner: The engine.
        family: The model as it is used in this call.
        items: What to run, checked as far as it was there already.
        batch_size: Most items in a batch.
        parallel: Batches run at once; ``None`` for the engine's choice, 0 for one a usable processor.
        budget: Cost of a padded batch, or ``None`` for the engine's default.
        window_items: Items sorted together; at least two batches are.
        window_size: A window also ends at this total size of its items, in the family's own unit.

    Returns:
        An iterator of one result an item, in the order of the items.
    """
    limits = BatchLimits(
        budget=budget or runner.default_budget,
        max_items=1 if runner.runs_alone else batch_size,
        window_items=max(window_items, 2 * batch_size),
        window_size=window_size,
    )
    workers = runner.workers if parallel is None else (parallel or usable_cpus())
    return stream(items, family, limits, workers)


def nothing(items: Any) -> bool:
    """Tell an empty collection, for which no model need be loaded.

    Args:
        items: What a call was given.

    Returns:
        Whether it is known to be empty.
    """
    return hasattr(items, "__len__") and not len(items)
