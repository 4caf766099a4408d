"""An image model in one process."""

from __future__ import annotations

from dataclasses import dataclass

from onnxembed.api.engine import GraphEngine
from onnxembed.api.settings import EngineSettings
from onnxembed.image.graph import ImageGraph, image_graph
from onnxembed.image.options import ImageOptions
from onnxembed.image.processor import ImageProcessor
from onnxembed.image.processor_config import read_processor
from onnxembed.image.spec import ImageModel, vector_width
from onnxembed.image.work import VARYING_SIZE, ImageWork, image_limits
from onnxembed.runtime.batching import ANY_NUMBER, BatchLimits, RunPlan
from onnxembed.runtime.per_process import PerProcess
from onnxembed.runtime.threads import Threads

LOAD_THREAD_PREFIX = "onnxembed-image"
# Fetching waits for others, so more threads than processors are of use.
_FETCHERS = 16
# Pixels of a batch. Measured on processors with a ViT-B/32: batches of 4 to 16 pictures of 224 x 224 cost the same per
# picture, single ones a tenth more.
_BATCH = 16
_BUDGET = _BATCH * 224 * 224
_BUDGET_ON_GPU = 256 * 224 * 224
_MEASURED_SIZE = (64, 64)


@dataclass(frozen=True, slots=True)
class LoadedImages:
    """A loaded model that reads pictures.

    Attributes:
        graph: The graph.
        processor: What is done to pictures before it sees them.
        plan: How it runs.
        dim: Numbers of a vector, ``None`` when the graph leaves it open.
    """

    graph: ImageGraph
    processor: ImageProcessor
    plan: RunPlan
    dim: int | None


class ImageEngine:
    """One image model in one process. Every part is loaded on first use."""

    def __init__(self, settings: EngineSettings[ImageModel]) -> None:
        """Remember what to load."""
        self.model = settings.model
        self._processor = PerProcess(
            lambda: self.base.healed(lambda: read_processor(self.base.folder.path, settings.accept_unknown))
        )
        self.base = GraphEngine(settings, beside=self._processor.get)
        self.images = PerProcess(self._load)
        self._measured = PerProcess(self._measure)
        self._loaders = PerProcess(lambda: Threads(self.base.cpus, LOAD_THREAD_PREFIX))
        self._fetchers = PerProcess(lambda: Threads(max(self.base.cpus, _FETCHERS), LOAD_THREAD_PREFIX))

    @property
    def loaded(self) -> bool:
        """Whether the weights are loaded in this process."""
        return self.base.loaded

    def load(self) -> None:
        """Load everything now instead of on first use."""
        self.images.get()

    @property
    def dim(self) -> int:
        """Numbers of a vector, as the graph has it; loads the weights."""
        return self.images.get().dim or self._measured.get()

    def work(
        self, options: ImageOptions, batch_size: int, workers: int | None, *, skips: bool = False
    ) -> tuple[ImageWork, BatchLimits]:
        """Give the work of one call, and its bounds; ``workers`` batches run at once, ``None`` for one per session."""
        images = self.images.get()
        at_once = workers or images.plan.workers
        if batch_size == ANY_NUMBER:
            height, width = images.processor.fixed_size or VARYING_SIZE
            most = ANY_NUMBER if self.base.graph.on_gpu else _BATCH
            batch_size = min(most, max(1, images.plan.budget_now // (height * width)))
        work = ImageWork(
            images.graph,
            images.processor,
            options,
            (self._fetchers if options.allow_urls else self._loaders).get(),
            normalized=self.model.normalize if options.normalize is None else options.normalize,
            at_once=at_once,
            skips=skips,
        )
        return work, image_limits(images.plan, batch_size, at_once)

    def _measure(self) -> int:
        """Numbers of a vector of a graph that leaves them open: those of one that it gives."""
        from PIL import Image

        images = self.images.get()
        pixels = images.processor(Image.new("RGB", _MEASURED_SIZE))
        return int(images.graph.run(pixels[None], 0, normalized=False).shape[1])

    def _load(self) -> LoadedImages:
        loaded, processor = self.base.graph, self._processor.get()
        graph = image_graph(loaded, self.model, processor.fixed_size)

        def budget() -> int:
            return _BUDGET_ON_GPU if loaded.on_gpu else _BUDGET

        plan = RunPlan(
            budget=budget(),
            workers=loaded.runs_at_once,
            # Dynamically quantised graphs scale activations by the largest one of the whole batch, so that neighbours
            # would change an image's vector.
            one_by_one=graph.one_by_one or loaded.file.dynamically_quantized,
            moved=budget if loaded.may_move else None,
        )
        shapes = {output.name: output.shape for output in loaded.file.outputs}
        return LoadedImages(graph, processor, plan, vector_width(shapes[graph.output], graph.pooling))
