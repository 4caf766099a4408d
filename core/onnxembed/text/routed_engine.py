"""A dense model that reads queries and documents by ways of their own, in one process."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from onnxembed.errors import InputError
from onnxembed.text.engine import DenseEngine
from onnxembed.text.options import DenseOptions, Use

if TYPE_CHECKING:
    from onnxembed.api.engine import GraphEngine
    from onnxembed.api.settings import EngineSettings
    from onnxembed.runtime.batching import RunPlan
    from onnxembed.text.engine import TextWork
    from onnxembed.text.spec import DenseModel
    from onnxembed.text.tokenizer import TextTokenizer


class RoutedEngine:
    """One engine for each way, of which those with the same transformer share it. Every part is loaded on first use."""

    def __init__(self, settings: EngineSettings[DenseModel]) -> None:
        """Remember what to load."""
        self.model = settings.model
        usual = replace(settings, model=replace(settings.model, routes=()))
        self._usual = DenseEngine(usual)
        self._engines = {"": self._usual}
        for task, way in settings.model.routes:
            self._engines[task] = self._made(replace(usual, model=way))

    def _made(self, settings: EngineSettings[DenseModel]) -> DenseEngine:
        for engine in self._engines.values():
            if _body(engine.model) == _body(settings.model):
                return engine.sharing(settings)
        return DenseEngine(settings)

    @property
    def base(self) -> GraphEngine[DenseModel]:
        """The files, and the graph of texts whose input type is not said."""
        return self._usual.base

    @property
    def tokenizer(self) -> TextTokenizer:
        """The tokenizer of such texts; loads no weights of a graph."""
        return self._usual.tokenizer

    @property
    def loaded(self) -> bool:
        """Whether the weights of every way are loaded in this process."""
        return all(engine.loaded for engine in self._engines.values())

    def load(self) -> None:
        """Load everything now instead of on first use."""
        for engine in self._engines.values():
            engine.load()

    @property
    def dim(self) -> int:
        """Numbers of a full vector, the same for every way."""
        return self._usual.dim

    def work(self, options: DenseOptions, use: Use) -> tuple[TextWork, RunPlan]:
        """Give the work of one call, and how the way that its texts go runs it."""
        engine = self._engines.get(use.route)
        if engine is None or (not use.route and self.model.needs_input_type):
            ways = [repr(task) for task, _ in self.model.routes]
            raise InputError(
                f"{self.model.name} reads {' and '.join(ways) or 'texts'} by ways of their own, and has none for "
                f"input_type={use.route or None!r}; pass input_type= one of {', '.join(ways)}"
            )
        return engine.work(options, use)


def _body(model: DenseModel) -> tuple[object, ...]:
    """What decides which weights and which tokenizer are loaded."""
    return (model.static, model.model_file, model.body_folder, model.poolings, model.tokenizer, model.counts_unknown)
