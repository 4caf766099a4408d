"""Texts and pictures through one model: the work of a call for either."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import partial

import numpy as np

from onnxembed.image.failures import SkippedImage, attempted
from onnxembed.image.inputs import GivenImage
from onnxembed.image.limits import ImageLimits
from onnxembed.image.loading import load_image
from onnxembed.multimodal.conventions import Array, Conventions, Page
from onnxembed.multimodal.graph import MultimodalGraph
from onnxembed.runtime.batching import ANY_NUMBER, BatchLimits, RunPlan
from onnxembed.runtime.cancellation import checkpoint
from onnxembed.text.graph import PaddedTokens
from onnxembed.text.tokenizer import Tokens

# Pictures read ahead and sorted together, however large a batch may be: a page of 2048 x 2048 takes 17 MB until it has
# run, and three windows are held.
_HIGHEST_WINDOW = 32
_FEWEST_PAGES = 2
_TOKENS_PER_PAGE = 1024


class QueryWork:
    """Texts in the form of queries; long ones are cut or refused."""

    def __init__(self, graph: MultimodalGraph, conventions: Conventions, *, truncate: bool) -> None:
        self._graph = graph
        self._conventions = conventions
        self._truncate = truncate
        self._shared = conventions.drops_blanks or graph.shares_blank
        # A blank picture that every text brings along goes through the vision tower and takes memory like any other.
        self._besides = conventions.blank_positions if graph.needs_pictures and not self._shared else 0

    size = staticmethod(len)

    def prepare(self, items: Sequence[str], first_index: int) -> list[Tokens]:
        """Tokenise texts as queries."""
        queries = [self._conventions.query(text) for text in items]
        encoded = self._graph.text.tokenizer.encode(queries, first_index, truncate=self._truncate)
        return [Tokens(self._conventions.mark(tokens.ids)) for tokens in encoded]

    def costs(self, prepared: Sequence[Tokens]) -> list[int]:
        """Positions that each text makes the model read: its tokens, and those of the blank picture beside it."""
        return [len(tokens.ids) + self._besides for tokens in prepared]

    def run(self, batch: Sequence[Tokens], worker: int) -> list[Array]:
        """Pad, run, leave out the rows of padding: (tokens, dim) float32 per text."""
        padded = self._graph.text.pad(batch)
        blanks = self._conventions.blank(1 if self._shared else len(batch)) if self._graph.needs_pictures else {}
        states = self._graph.run(padded, blanks, worker)
        kept = padded.mask.astype(bool)
        return [_own(rows[keep]) for rows, keep in zip(states, kept, strict=True)]


class PageWork:
    """Pictures, such as those of pages."""

    def __init__(
        self, graph: MultimodalGraph, conventions: Conventions, limits: ImageLimits, *, skips: bool = False
    ) -> None:
        """Remember the choices; ``skips`` gives a `SkippedImage` for a picture that cannot be used."""
        self._graph = graph
        self._conventions = conventions
        self._limits = limits
        self._skips = skips

    def size(self, item: GivenImage) -> int:  # noqa: ARG002  # windows are bounded by their number of pictures
        """Count a picture as one."""
        return 1

    def prepare(self, items: Sequence[GivenImage], first_index: int) -> list[Page | SkippedImage]:  # noqa: ARG002  # they know theirs
        """Load and cut pictures."""
        return [attempted(partial(self._page, item), item.index, skips=self._skips) for item in items]

    def costs(self, prepared: Sequence[Page | SkippedImage]) -> list[int]:
        """Positions of each page."""
        return [1 if isinstance(page, SkippedImage) else len(page.ids) for page in prepared]

    def run(self, batch: Sequence[Page | SkippedImage], worker: int) -> list[Array | SkippedImage]:
        """Run pages of one layout together, so that none is padded or feels another: (tokens, dim) float32 per page."""
        layouts: dict[object, dict[int, Page]] = defaultdict(dict)
        results: dict[int, Array | SkippedImage] = {}
        for number, page in enumerate(batch):
            if isinstance(page, SkippedImage):
                results[number] = page
            else:
                layouts[page.layout][number] = page
        for pages in layouts.values():
            ids = np.stack([page.ids for page in pages.values()])
            pixels = self._conventions.pixels(list(pages.values()))
            states = self._graph.run(PaddedTokens(ids, np.ones_like(ids)), pixels, worker)
            results.update((number, _own(rows)) for number, rows in zip(pages, states, strict=True))
        return [results[number] for number in range(len(batch))]

    def _page(self, item: GivenImage) -> Page:
        checkpoint()
        return self._conventions.page(load_image(item.source, item.index, self._limits, described=item.described))


def page_limits(plan: RunPlan, batch_size: int, workers: int | None, budget: int | None) -> BatchLimits:
    """The bounds of a call: windows of two batches for each that runs at once, but of few pages."""
    at_once = workers or plan.workers
    if batch_size == ANY_NUMBER:
        batch_size = max(_FEWEST_PAGES, (budget or plan.budget_now) // _TOKENS_PER_PAGE)
    batch = 1 if plan.one_by_one else batch_size
    window = min(2 * batch * at_once, max(_HIGHEST_WINDOW, at_once))
    return BatchLimits(
        budget or plan.budget_now,
        batch,
        window_items=window,
        window_size=window,
        workers=at_once,
        apart_from=plan.apart_from,
        squares=None if budget else plan.squares,
    )


def _own(rows: Array) -> Array:
    """Vectors as float32 in memory of their own, so that one kept does not keep its batch."""
    vectors: Array = np.array(rows, dtype=np.float32, order="C")
    return vectors
