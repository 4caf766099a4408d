"""Image models as one call uses them: pictures are loaded and prepared by the thread that then runs their batch.

While one batch runs, the next is prepared: there is one thread more than batches may run at once. So at most one
prepared batch waits for each that runs, and of whole decoded pictures no more exist than threads decode. Images in the
pipeline before that are what their callers gave: paths, bytes, objects.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from threading import Semaphore
from typing import Any

import numpy as np

from onnxembed.image.given import GivenImage, take_image
from onnxembed.image.graph import ImageGraph
from onnxembed.image.limits import ImageLimits
from onnxembed.image.loading import load_image
from onnxembed.image.processor import ImageProcessor

Array = np.ndarray[Any, np.dtype[Any]]

UNKNOWN_SIZE = 224, 224
"""(height, width) by which pictures are reckoned whose size only they tell."""


class ImageFamily:
    """An image model as it is used in one call."""

    def __init__(
        self,
        graph: ImageGraph,
        processor: ImageProcessor,
        limits: ImageLimits,
        loaders: Executor,
        *,
        normalized: bool,
        at_once: int,
    ) -> None:
        """Combine a loaded model with the choices of a call.

        Args:
            graph: The model.
            processor: What is done to pictures before.
            limits: What an image may cost.
            loaders: Threads that load and prepare the images of a batch.
            normalized: Whether vectors are scaled to length 1.
            at_once: Batches that may run at once.
        """
        self._graph = graph
        self._processor = processor
        self._limits = limits
        self._loaders = loaders
        self._normalized = normalized
        self._turns = Semaphore(at_once)
        height, width = processor.fixed_size or UNKNOWN_SIZE
        self._pixels = height * width

    def check(self, item: object, index: int) -> GivenImage:
        """Accept an image by its type, and read file objects.

        Args:
            item: The item.
            index: Its position.

        Returns:
            The image.
        """
        return take_image(item, index, self._limits)

    def size(self, item: GivenImage) -> int:
        """Bytes that an image holds in memory as it was given.

        Args:
            item: The image.

        Returns:
            Their number; at least 1.
        """
        return item.held_bytes + 1

    def prepare(self, items: Sequence[GivenImage], first_index: int) -> Sequence[GivenImage]:  # noqa: ARG002  # the form
        """Leave images as they are: prepared ones would fill the memory long before their turn.

        Args:
            items: The images.
            first_index: Position of the first.

        Returns:
            The images.
        """
        return items

    def cost(self, prepared: GivenImage) -> int:  # noqa: ARG002  # the same of all
        """Pixels that the model sees of an image.

        Args:
            prepared: The image.

        Returns:
            Their number.
        """
        return self._pixels

    def run(self, batch: Sequence[GivenImage], worker: int) -> Sequence[Array]:
        """Load, prepare, run, pool.

        Args:
            batch: The images.
            worker: Number of the batch.

        Returns:
            (dim,) float32 for each image.
        """
        vectors: list[Array] = [np.empty(0)] * len(batch)
        for places, pixels in self._prepared(batch):
            with self._turns:
                rows = self._graph.run(pixels, worker, normalized=self._normalized)
            for place, row in zip(places, rows, strict=True):
                vectors[place] = row
        return vectors

    def _prepared(self, batch: Sequence[GivenImage]) -> list[tuple[Sequence[int], Array]]:
        """What the graph takes: images of one size together, each with its place in the batch."""
        fixed = self._processor.fixed_size
        if fixed is not None:
            pixels: Array = np.empty((len(batch), 3, *fixed), dtype=np.float32)
            self._each(lambda place: self._processor.into(self._load(batch[place]), pixels[place]), len(batch))
            return [(range(len(batch)), pixels)]
        results = self._each(lambda place: self._processor(self._load(batch[place])), len(batch))
        groups: dict[tuple[int, ...], list[int]] = {}
        for place, result in enumerate(results):
            groups.setdefault(result.shape, []).append(place)
        return [(places, np.stack([results[place] for place in places])) for places in groups.values()]

    def _each(self, prepare: Any, count: int) -> list[Any]:
        """Prepare images, several at once; of errors the one of the first image is told."""
        if count == 1:
            return [prepare(0)]
        return list(self._loaders.map(prepare, range(count)))

    def _load(self, image: GivenImage) -> Any:
        return load_image(image.source, image.index, self._limits, described=image.described)
