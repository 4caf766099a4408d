"""A model's files, tokenizer and sessions, loaded once in a process and shared by all who ask for the same."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnxembed.errors import InputError
from onnxembed.models.graph_file import GraphFile, prepared_graph
from onnxembed.models.spec import PoolingType
from onnxembed.models.store import ModelFolder, locate
from onnxembed.runtime.batching import BatchLimits
from onnxembed.runtime.bounded_pool import BoundedPool
from onnxembed.runtime.cpu import usable_cpus
from onnxembed.runtime.onnx import import_onnxruntime
from onnxembed.runtime.per_process import PerProcess
from onnxembed.runtime.pipeline import Family, stream
from onnxembed.runtime.providers import CUDA_PROVIDER, Placement, place
from onnxembed.runtime.session import Session, SessionSettings
from onnxembed.text.call import Call, Use
from onnxembed.text.dense import DenseFamily, DenseGraph, Projection
from onnxembed.text.settings import EngineSettings, VectorSettings
from onnxembed.text.tokenizer import TextTokenizer, Tokens, load_tokenizer

if TYPE_CHECKING:
    from onnxembed.text.static import StaticTable

TextFamily = Family[str, Tokens, Any]


class Engine:
    """One model in one process. Every part is loaded on first use: counting tokens loads no weights."""

    def __init__(self, settings: EngineSettings) -> None:
        """Remember what to load.

        Args:
            settings: What to load and how to run it.
        """
        self.settings = settings
        self._cpus = usable_cpus()
        self.pool = BoundedPool(max(2, len(settings.request.device_ids), min(4, self._cpus)))
        self._folder = PerProcess(lambda: locate(settings.model, settings.store))
        self._tokenizer = PerProcess(self._load_tokenizer)
        self._graph = PerProcess(self._load_graph)
        self._table = PerProcess(self._load_table)

    @property
    def folder(self) -> ModelFolder:
        """Where the files are; finds or downloads them."""
        return self._folder.get()

    @property
    def tokenizer(self) -> TextTokenizer:
        """The tokenizer; loads no weights."""
        return self._table.get().tokenizer if self.settings.model.static else self._tokenizer.get()

    @property
    def graph(self) -> DenseGraph:
        """The loaded graph, of a model that is one."""
        return self._graph.get()[0]

    @property
    def loaded(self) -> bool:
        """Whether the weights are loaded in this process."""
        return self._table.made if self.settings.model.static else self._graph.made

    def load(self) -> None:
        """Load everything now instead of on first use."""
        if self.settings.model.static:
            self._table.get()
        else:
            self._graph.get()

    @property
    def dim(self) -> int:
        """Numbers of a full vector, as the files have it; loads the weights when the description does not say."""
        model = self.settings.model
        if model.static:
            return self._table.get().dim
        file = self._graph.get()[1]
        return file.dim("pooled" if file.compiled else file.output_name(model.output)) or model.dim

    @property
    def workers(self) -> int:
        """Threads that run batches when the caller does not say: one a session, each using all its processors."""
        return 1 if self.settings.model.static else len(self.graph.sessions)

    @property
    def default_budget(self) -> int:
        """Tokens of a padded batch beyond which this place gains nothing.

        Measured on processors: 256 tokens each keep the matrix units busy, and more only grow the intermediate results.
        A graphics processor wants far larger batches; a static table is bound by memory alone.
        """
        if self.settings.model.static:
            return 16_384
        if CUDA_PROVIDER in self.graph.sessions[0].providers:
            return 16_384
        return 256 * (self.settings.threads or self._cpus)

    @property
    def runs_alone(self) -> bool:
        """Whether every text must be its own batch.

        Dynamically quantised graphs scale activations by the largest one of the whole batch, and graphs without a mask
        take padding for text; so neighbours would change a text's vector. A fixed length, though, is part of its model.
        """
        model = self.settings.model
        if model.static:
            return False
        graph, file = self._graph.get()
        unmasked = "attention_mask" not in graph.input_types and not model.pad_to_max_length
        return unmasked or file.dynamically_quantized

    def family(self, vectors: VectorSettings, use: Use) -> TextFamily:
        """The model as one call uses it.

        Args:
            vectors: What becomes of its output.
            use: What its texts are to the model.

        Returns:
            What the pipeline runs.
        """
        model = self.settings.model
        normalized = model.normalize if vectors.normalize is None else vectors.normalize
        if model.static:
            from onnxembed.text.static import StaticFamily

            return StaticFamily(
                self._table.get(), prompt=use.prompt, truncate=vectors.truncate, normalized=normalized, dim=vectors.dim
            )
        projection = self._projection(self._graph.get()[1], normalized=normalized, dim=vectors.dim)
        return DenseFamily(self.graph, projection, prompt=use.prompt, task=use.task, truncate=vectors.truncate)

    def _projection(self, file: GraphFile, *, normalized: bool, dim: int | None) -> Projection:
        """Which output to take and what to do with it; our own graphs pool and normalise by themselves."""
        model = self.settings.model
        if file.compiled and normalized and dim is None:
            return Projection("sentence_embedding", PoolingType.DISABLED, normalize=False)
        output = "pooled" if file.compiled else file.output_name(model.output)
        full = file.dim(output)
        if dim is not None and full is not None and dim > full:
            raise InputError(f"dim={dim}: the graph gives vectors of {full} numbers; pass at most that")
        return Projection(
            output=output,
            pooling=PoolingType.DISABLED if file.compiled else model.pooling,
            normalize=normalized,
            dim=dim,
            layer_norm=model.matryoshka is not None and model.matryoshka.layer_norm,
        )

    def _load_tokenizer(self) -> TextTokenizer:
        return load_tokenizer(self.folder.path, self.settings.max_length)

    def _load_table(self) -> StaticTable:
        from onnxembed.text.static import load_static

        folder = self.folder.path
        return load_static(folder, folder / self.settings.model.model_file, self.settings.max_length)

    def _load_graph(self) -> tuple[DenseGraph, GraphFile]:
        settings = self.settings
        placements = place(settings.request, import_onnxruntime().get_available_providers())
        with (
            prepared_graph(self.folder, settings.model, settings.store) as file,
            # Reading the tokenizer and optimising the graph each keep one processor busy: do both at once.
            ThreadPoolExecutor(1, thread_name_prefix="onnxembed-load") as loader,
        ):
            tokenizer = loader.submit(lambda: self.tokenizer)
            sessions = tuple(self._open(file.path, placement) for placement in placements)
            input_types = {node.name: node.element_type for node in file.inputs}
            graph = DenseGraph(sessions, input_types, tokenizer.result(), settings.model.pad_to_max_length)
        return graph, file

    def _open(self, path: Path, placement: Placement) -> Session:
        settings = SessionSettings(placement, self.settings.threads, self.settings.session_options)
        return Session(path, settings, self._cpus)


_engines: weakref.WeakValueDictionary[tuple[int, EngineSettings], Engine] = weakref.WeakValueDictionary()
_engine_locks: dict[int, threading.Lock] = {}


def shared_engine(settings: EngineSettings) -> Engine:
    """Return this process's engine for some settings, the same one for all who hold it at the time.

    Args:
        settings: What to load and how to run it.

    Returns:
        The engine; nothing is loaded by this call.
    """
    key = (os.getpid(), settings)
    with _engine_locks.setdefault(os.getpid(), threading.Lock()):
        engine = _engines.get(key)
        if engine is None:
            engine = _engines[key] = Engine(settings)
        return engine


# Texts sorted together. More would sort a little better; fewer reach the caller sooner and are forgotten sooner.
_WINDOW_TEXTS = 512
_WINDOW_CHARACTERS = 4_000_000


def start(engine: Engine, vectors: VectorSettings, call: Call, token_budget: int | None) -> Iterator[Any]:
    """Load the model if need be, and begin a call.

    Args:
        engine: The model.
        vectors: What becomes of its output.
        call: What to embed.
        token_budget: Tokens of a padded batch, or ``None`` for the engine's default.

    Returns:
        An iterator of float32 vectors (dim,).
    """
    limits = BatchLimits(
        budget=token_budget or engine.default_budget,
        max_items=1 if engine.runs_alone else call.batch_size,
        window_items=max(_WINDOW_TEXTS, 2 * call.batch_size),
        window_size=_WINDOW_CHARACTERS,
    )
    workers = engine.workers if call.parallel is None else (call.parallel or usable_cpus())
    return stream(call.texts, engine.family(vectors, call.use), limits, workers)
