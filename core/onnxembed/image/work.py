"""One call of an image model: pictures are loaded and prepared by the thread that then runs their batch.

While one batch runs, the next is prepared: there is one thread more than batches may run at once. So at most one
prepared batch waits for each that runs, and of whole decoded pictures no more exist than threads decode. Images in the
pipeline before that are what their callers gave: paths, bytes, objects.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Semaphore
from typing import Any

import numpy as np

from onnxembed.image.failures import SkippedImage, attempted
from onnxembed.image.graph import ImageGraph
from onnxembed.image.inputs import GivenImage
from onnxembed.image.limits import ImageLimits
from onnxembed.image.loading import load_image
from onnxembed.image.processor import ImageProcessor
from onnxembed.runtime.batching import BatchLimits, RunPlan
from onnxembed.runtime.cancellation import checkpoint
from onnxembed.runtime.threads import Threads

Array = np.ndarray[Any, np.dtype[Any]]

# Bytes of the arrays and other images that a window holds, as callers gave them.
WINDOW_BYTES = 128 * 1024 * 1024
VARYING_SIZE = 224, 224
"""(height, width) by which pictures count where each keeps its own size."""


class ImageWork:
    """An image model with the choices of one call, of whose batches ``at_once`` may run at once."""

    def __init__(
        self,
        graph: ImageGraph,
        processor: ImageProcessor,
        limits: ImageLimits,
        loaders: Threads,
        *,
        normalized: bool,
        at_once: int,
        skips: bool = False,
    ) -> None:
        """Remember the choices; ``skips`` gives a `SkippedImage` for an image that cannot be used."""
        self._graph = graph
        self._processor = processor
        self._limits = limits
        self._loaders = loaders
        self._normalized = normalized
        self._skips = skips
        self._turns = Semaphore(at_once)
        height, width = processor.fixed_size or VARYING_SIZE
        self._pixels = height * width

    def size(self, item: GivenImage) -> int:
        """Bytes that an image holds in memory as it was given; at least 1."""
        return item.held_bytes + 1

    def prepare(self, items: Sequence[GivenImage], first_index: int) -> Sequence[GivenImage]:  # noqa: ARG002  # the form
        """Leave images as they are: prepared ones would fill the memory long before their turn."""
        return items

    def costs(self, prepared: Sequence[GivenImage]) -> list[int]:
        """Pixels that the model sees of each image, the same of all."""
        return [self._pixels] * len(prepared)

    def run(self, batch: Sequence[GivenImage], worker: int) -> Sequence[Array | SkippedImage]:
        """Load, prepare, run, pool: (dim,) float32 per image."""
        results: dict[int, Array | SkippedImage] = {}
        for places, pixels in self._prepared(batch, results):
            with self._turns:
                rows = self._graph.run(pixels, worker, normalized=self._normalized)
            results.update(zip(places, rows, strict=True))
        return [results[place] for place in range(len(batch))]

    def _prepared(
        self, batch: Sequence[GivenImage], skipped: dict[int, Array | SkippedImage]
    ) -> list[tuple[Sequence[int], Array]]:
        """What the graph takes: images of one size together, with their places in the batch; notes what is skipped."""
        fixed = self._processor.fixed_size
        if fixed is not None:
            pixels: Array = np.empty((len(batch), 3, *fixed), dtype=np.float32)
            outcomes = self._each(batch, lambda place, image: self._processor.into(self._load(image), pixels[place]))
            bad = {place: outcome for place, outcome in enumerate(outcomes) if isinstance(outcome, SkippedImage)}
            if not bad:
                return [(range(len(batch)), pixels)]
            skipped.update(bad)
            good = [place for place in range(len(batch)) if place not in bad]
            return [(good, pixels[good])] if good else []
        results = self._each(batch, lambda _, image: self._processor(self._load(image)))
        groups: dict[tuple[int, ...], list[int]] = {}
        for place, result in enumerate(results):
            if isinstance(result, SkippedImage):
                skipped[place] = result
            else:
                groups.setdefault(result.shape, []).append(place)
        return [(places, np.stack([results[place] for place in places])) for places in groups.values()]

    def _each(self, batch: Sequence[GivenImage], prepare: Callable[[int, GivenImage], Any]) -> list[Any]:
        """Prepare images, several at once; of several errors, that of the first image is raised."""

        def one(place: int) -> Any:
            return attempted(lambda: prepare(place, batch[place]), batch[place].index, skips=self._skips)

        if len(batch) == 1:
            return [one(0)]
        results = []
        for result in self._loaders.map(one, range(len(batch))):
            checkpoint()
            results.append(result)
        return results

    def _load(self, image: GivenImage) -> Any:
        return load_image(image.source, image.index, self._limits, described=image.described)


def image_limits(plan: RunPlan, batch_size: int, at_once: int) -> BatchLimits:
    """The bounds of a call whose batches run ``at_once``; one thread more prepares the next batch meanwhile."""
    return BatchLimits(
        budget=plan.budget_now,
        max_items=1 if plan.one_by_one else batch_size,
        window_items=(at_once + 1) * batch_size,
        window_size=WINDOW_BYTES,
        workers=at_once + 1,
    )
