"""A multimodal late-interaction model in one process: its graph, its tokenizer and its conventions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from onnxembed.api.engine import GraphEngine
from onnxembed.api.graph_file import find_graph
from onnxembed.api.settings import EngineSettings
from onnxembed.formats.onnx_graph import inspect_graph
from onnxembed.image.limits import ImageLimits
from onnxembed.multimodal.colmodernvbert import ColModernVbert
from onnxembed.multimodal.colpali import ColPali
from onnxembed.multimodal.colqwen2 import ColQwen2
from onnxembed.multimodal.conventions import Array, Conventions
from onnxembed.multimodal.graph import MultimodalGraph, open_graph, takes_flat_patches
from onnxembed.multimodal.spec import MultimodalKind, MultimodalModel
from onnxembed.multimodal.work import PageFamily, QueryFamily
from onnxembed.runtime.batching import BatchLimits
from onnxembed.runtime.bounded_pool import BoundedPool
from onnxembed.runtime.cpu import usable_cpus
from onnxembed.runtime.per_process import PerProcess
from onnxembed.runtime.pipeline import stream
from onnxembed.text.tokenizer import TextTokenizer, load_tokenizer

# Pictures read ahead and sorted together, however large a batch may be: a page of 2048 x 2048 takes 17 MB until it has
# run, and three windows are held.
_HIGHEST_WINDOW = 32


class MultimodalEngine:
    """One model in one process. Every part is loaded on first use: counting tokens loads no weights."""

    def __init__(self, settings: EngineSettings[MultimodalModel]) -> None:
        """Remember what to load.

        Args:
            settings: What to load and how to run it.
        """
        self.settings = settings
        self._tokenizer = PerProcess(lambda: load_tokenizer(self._base.folder.path, settings.max_length))
        self._conventions = PerProcess(self._load_conventions)
        self._base = GraphEngine(settings, beside=self._conventions.get)
        self._graph = PerProcess(lambda: open_graph(self._base.graph, self.tokenizer, settings.model.output))

    @property
    def pool(self) -> BoundedPool:
        """Runs the asynchronous calls."""
        return self._base.pool

    @property
    def loaded(self) -> bool:
        """Whether the weights are loaded in this process."""
        return self._base.loaded

    @property
    def tokenizer(self) -> TextTokenizer:
        """The tokenizer; loads no weights."""
        return self._tokenizer.get()

    @property
    def conventions(self) -> Conventions:
        """How texts and pictures are prepared; loads no weights."""
        return self._conventions.get()

    @property
    def graph(self) -> MultimodalGraph:
        """The loaded graph."""
        return self._graph.get()

    @property
    def dim(self) -> int:
        """Numbers of a vector, as the files have it, 0 when they do not say; loads the weights."""
        return self.graph.dim or self.settings.model.dim

    @property
    def workers(self) -> int:
        """Threads that run batches when the caller does not say."""
        return self._base.workers

    @property
    def default_budget(self) -> int:
        """Positions of a padded batch beyond which this place gains nothing; see `TextEngine.default_budget`."""
        return 16_384 if self._base.on_gpu else 256 * self._base.threads

    @property
    def runs_alone(self) -> bool:
        """Whether every text must be its own batch; see `TextEngine.runs_alone`."""
        graph = self.graph
        return graph.lone_texts or not graph.text.reads_mask or graph.loaded.file.dynamically_quantized

    def load(self) -> None:
        """Load everything now instead of on first use."""
        self._graph.get()
        self._conventions.get()

    def queries(self, *, truncate: bool) -> QueryFamily:
        """The model as one call for texts uses it.

        Args:
            truncate: Whether long texts are cut or refused.

        Returns:
            What the pipeline runs.
        """
        return QueryFamily(self.graph, self.conventions, truncate=truncate)

    def stream_pages(
        self,
        images: Iterable[object],
        limits: ImageLimits,
        *,
        batch_size: int,
        parallel: int | None,
        budget: int | None,
    ) -> Iterator[Array]:
        """Begin a call for pictures.

        Args:
            images: The pictures.
            limits: What each may cost.
            batch_size: Most pictures in a batch.
            parallel: Batches run at once; ``None`` for one a session, 0 for one a usable processor.
            budget: Positions of a batch, or ``None`` for the engine's default.

        Returns:
            An iterator of one (tokens, dim) float32 array a picture, in their order.
        """
        workers = self.workers if parallel is None else (parallel or usable_cpus())
        alone = self.graph.lone_pages or self.graph.loaded.file.dynamically_quantized
        batch = 1 if alone else batch_size
        window = min(2 * batch * workers, max(_HIGHEST_WINDOW, workers))
        bounds = BatchLimits(budget or self.default_budget, batch, window_items=window, window_size=window)
        return stream(images, PageFamily(self.graph, self.conventions, limits), bounds, workers)

    def _load_conventions(self) -> Conventions:
        folder, kind = self._base.folder.path, self.settings.model.kind
        if kind is MultimodalKind.COLPALI:
            return ColPali(folder)
        if kind is MultimodalKind.COLMODERNVBERT:
            return ColModernVbert(folder, self.tokenizer)
        graph = find_graph(folder, self.settings.model.model_file)
        flat = graph is not None and takes_flat_patches(inspect_graph(graph).inputs)
        return ColQwen2(folder, self.tokenizer, flat=flat)
