"""A multimodal late-interaction model in one process: its graph, its tokenizer and its conventions."""

from __future__ import annotations

from dataclasses import dataclass

from onnxembed.api.engine import GraphEngine
from onnxembed.api.settings import EngineSettings
from onnxembed.formats.onnx_graph import inspect_graph
from onnxembed.hub.files import find_graph
from onnxembed.multimodal.colmodernvbert import ColModernVbert
from onnxembed.multimodal.colpali import ColPali
from onnxembed.multimodal.colqwen2 import ColQwen2
from onnxembed.multimodal.conventions import Conventions
from onnxembed.multimodal.graph import MultimodalGraph, open_graph, takes_flat_patches
from onnxembed.multimodal.options import MultimodalOptions
from onnxembed.multimodal.spec import MultimodalKind, MultimodalModel
from onnxembed.multimodal.work import PageWork, QueryWork, page_limits
from onnxembed.runtime.batching import BatchLimits, RunPlan, batch_limits
from onnxembed.runtime.per_process import PerProcess
from onnxembed.text.text_engine import text_plan
from onnxembed.text.tokenizer import TextTokenizer, load_tokenizer


@dataclass(frozen=True, slots=True)
class LoadedMultimodal:
    """A loaded model that reads texts and pictures.

    Attributes:
        graph: The graph.
        conventions: How texts and pictures are prepared.
        texts: How it runs texts.
        pages: How it runs pictures.
    """

    graph: MultimodalGraph
    conventions: Conventions
    texts: RunPlan
    pages: RunPlan


class MultimodalEngine:
    """One model in one process. Every part is loaded on first use: counting tokens loads no weights."""

    def __init__(self, settings: EngineSettings[MultimodalModel]) -> None:
        """Remember what to load."""
        self.model = settings.model
        self._max_length = settings.max_length
        self._tokenizer = PerProcess(lambda: self.base.healed(self._load_tokenizer))
        self._conventions = PerProcess(lambda: self.base.healed(self._load_conventions))
        self.base = GraphEngine(settings, beside=self._conventions.get)
        self._multimodal = PerProcess(self._load)
        self._measured = PerProcess(self._measure)

    @property
    def loaded(self) -> bool:
        """Whether the weights are loaded in this process."""
        return self.base.loaded

    @property
    def tokenizer(self) -> TextTokenizer:
        """The tokenizer; loads no weights."""
        return self._tokenizer.get()

    @property
    def conventions(self) -> Conventions:
        """How texts and pictures are prepared; loads no weights."""
        return self._conventions.get()

    @property
    def dim(self) -> int:
        """Numbers of a vector, as the files have it; loads the weights."""
        return self._multimodal.get().graph.dim or self._measured.get()

    def load(self) -> None:
        """Load everything now instead of on first use."""
        self._multimodal.get()

    def text_work(
        self, options: MultimodalOptions, batch_size: int, workers: int | None
    ) -> tuple[QueryWork, BatchLimits]:
        """Give the work of a call for texts, and its bounds."""
        loaded = self._multimodal.get()
        work = QueryWork(loaded.graph, loaded.conventions, truncate=options.truncate)
        return work, batch_limits(loaded.texts, batch_size, workers, options.token_budget)

    def page_work(
        self, options: MultimodalOptions, batch_size: int, workers: int | None, *, skips: bool = False
    ) -> tuple[PageWork, BatchLimits]:
        """Give the work of a call for pictures, and its bounds."""
        loaded = self._multimodal.get()
        work = PageWork(loaded.graph, loaded.conventions, options, skips=skips)
        return work, page_limits(loaded.pages, batch_size, workers, options.token_budget)

    def _measure(self) -> int:
        """Numbers of a vector of a graph that leaves them open: those of one that it gives."""
        loaded = self._multimodal.get()
        work = QueryWork(loaded.graph, loaded.conventions, truncate=True)
        return int(work.run(work.prepare(["a"], 0), 0)[0].shape[1])

    def _load(self) -> LoadedMultimodal:
        loaded = self.base.graph
        graph = open_graph(loaded, self.tokenizer, self.model.output)
        return LoadedMultimodal(
            graph,
            self.conventions,
            texts=text_plan(loaded, one_by_one=graph.lone_texts or not graph.text.reads_mask),
            pages=text_plan(loaded, one_by_one=graph.lone_pages),
        )

    def _load_tokenizer(self) -> TextTokenizer:
        return load_tokenizer(self.base.folder.path, self._max_length)

    def _load_conventions(self) -> Conventions:
        folder, kind = self.base.folder.path, self.model.kind
        if kind is MultimodalKind.COLPALI:
            return ColPali(folder, self.base.settings.accept_unknown)
        if kind is MultimodalKind.COLMODERNVBERT:
            return ColModernVbert(folder, self.tokenizer)
        graph = find_graph(folder, self.model.model_file)
        flat = graph is not None and takes_flat_patches(inspect_graph(graph).inputs)
        return ColQwen2(folder, self.tokenizer, flat=flat)
