"""An image model in one process."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from onnxembed.api.engine import GraphEngine
from onnxembed.api.settings import EngineSettings
from onnxembed.hub import ModelFolder
from onnxembed.image.graph import ImageGraph, image_graph
from onnxembed.image.limits import ImageLimits
from onnxembed.image.processor import ImageProcessor
from onnxembed.image.processor_config import read_processor
from onnxembed.image.spec import ImageModel, vector_width
from onnxembed.image.work import ImageFamily
from onnxembed.runtime.bounded_pool import BoundedPool
from onnxembed.runtime.cpu import usable_cpus
from onnxembed.runtime.per_process import PerProcess

LOAD_THREAD_PREFIX = "onnxembed-image"
# Fetching waits for others, so more threads than processors are of use.
_FETCHERS = 16
_PICTURE = 224 * 224


class ImageEngine:
    """One image model in one process. Every part is loaded on first use."""

    def __init__(self, settings: EngineSettings[ImageModel]) -> None:
        """Remember what to load.

        Args:
            settings: What to load and how to run it.
        """
        self.settings = settings
        self._processor = PerProcess(lambda: read_processor(self.base.folder.path))
        self.base = GraphEngine(settings, beside=self._processor.get)
        self._graph = PerProcess(self._load_graph)
        self._loaders = PerProcess(lambda: _threads(self.base.cpus))
        self._fetchers = PerProcess(lambda: _threads(max(self.base.cpus, _FETCHERS)))

    @property
    def pool(self) -> BoundedPool:
        """Runs the asynchronous calls."""
        return self.base.pool

    @property
    def folder(self) -> ModelFolder:
        """Where the files are; finds or downloads them."""
        return self.base.folder

    @property
    def processor(self) -> ImageProcessor:
        """What is done to pictures; loads no weights."""
        return self._processor.get()

    @property
    def loaded(self) -> bool:
        """Whether the weights are loaded in this process."""
        return self.base.loaded

    def load(self) -> None:
        """Load everything now instead of on first use."""
        self._graph.get()

    @property
    def dim(self) -> int:
        """Numbers of a vector, as the graph has it; loads the weights."""
        graph = self._graph.get()
        shapes = {output.name: output.shape for output in self.base.graph.file.outputs}
        return vector_width(shapes[graph.output], graph.pooling) or self.settings.model.dim

    def at_once(self, parallel: int | None) -> int:
        """Say how many batches run at once.

        Args:
            parallel: What the caller wants; ``None`` for one a session, 0 for one a usable processor.

        Returns:
            The number.
        """
        return len(self.base.graph.sessions) if parallel is None else (parallel or usable_cpus())

    @property
    def workers(self) -> int:
        """Threads that prepare and run batches when the caller does not say: one prepares while the others run."""
        return self.at_once(None) + 1

    @property
    def default_budget(self) -> int:
        """Pixels of a batch beyond which this place gains nothing.

        Measured on processors with a ViT-B/32: batches of 4 to 16 pictures of 224 x 224 cost the same a picture, single
        ones a tenth more.
        """
        return (256 if self.base.on_gpu else 16) * _PICTURE

    @property
    def runs_alone(self) -> bool:
        """Whether every image must be its own batch.

        Dynamically quantised graphs scale activations by the largest one of the whole batch, so neighbours would change
        an image's vector.
        """
        return self._graph.get().one_by_one or self.base.graph.file.dynamically_quantized

    def family(self, limits: ImageLimits, *, normalize: bool | None, at_once: int) -> ImageFamily:
        """The model as one call uses it.

        Args:
            limits: What an image may cost.
            normalize: Whether vectors are scaled to length 1; ``None`` for what the description says.
            at_once: Batches that may run at once.

        Returns:
            What the pipeline runs.
        """
        return ImageFamily(
            self._graph.get(),
            self.processor,
            limits,
            (self._fetchers if limits.allow_urls else self._loaders).get(),
            normalized=self.settings.model.normalize if normalize is None else normalize,
            at_once=at_once,
        )

    def _load_graph(self) -> ImageGraph:
        loaded = self.base.graph
        return image_graph(loaded, self.settings.model, self.processor.fixed_size)


def _threads(count: int) -> Any:
    return ThreadPoolExecutor(count, thread_name_prefix=LOAD_THREAD_PREFIX)
