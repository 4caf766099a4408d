"""A dense text model in one process: a graph or a static table, and the work of one call with it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from onnxembed.api.engine import GraphEngine
from onnxembed.api.graph_file import GraphFile
from onnxembed.api.settings import EngineSettings
from onnxembed.errors import InputError
from onnxembed.runtime.batching import RunPlan
from onnxembed.runtime.per_process import PerProcess
from onnxembed.runtime.pipeline import Work
from onnxembed.spec import PoolingType
from onnxembed.text.dense import DenseWork, Projection
from onnxembed.text.options import DenseOptions, Use
from onnxembed.text.spec import DenseModel
from onnxembed.text.text_engine import TextEngine
from onnxembed.text.tokenizer import TextTokenizer, Tokens

if TYPE_CHECKING:
    from onnxembed.text.static import StaticTable

TextWork = Work[str, Tokens, Any]

# A static table is bound by memory alone.
_STATIC_PLAN = RunPlan(budget=16_384)


class DenseEngine:
    """One dense model in one process. Every part is loaded on first use."""

    def __init__(self, settings: EngineSettings[DenseModel]) -> None:
        """Remember what to load."""
        self.model = settings.model
        self._max_length = settings.max_length
        self._text = TextEngine(
            settings,
            pad_to_max_length=settings.model.pad_to_max_length,
            pools_itself=partial(_pools_itself, settings.model),
        )
        self.base: GraphEngine[DenseModel] = self._text.base
        self._table = PerProcess(self._load_table)
        self._projections: dict[tuple[bool, int | None], Projection] = {}

    @property
    def tokenizer(self) -> TextTokenizer:
        """The tokenizer; loads no weights of a graph."""
        return self._table.get().tokenizer if self.model.static else self._text.tokenizer

    @property
    def loaded(self) -> bool:
        """Whether the weights are loaded in this process."""
        return self._table.made if self.model.static else self.base.loaded

    def load(self) -> None:
        """Load everything now instead of on first use."""
        _ = self._table.get() if self.model.static else self._text.text.get()

    @property
    def dim(self) -> int:
        """Numbers of a full vector, as the files have it; loads the weights when the description does not say."""
        if self.model.static:
            return self._table.get().dim
        file = self._text.text.get().file
        return file.dim(_token_output(self.model, file)) or self.model.dim

    def work(self, options: DenseOptions, use: Use) -> tuple[TextWork, RunPlan]:
        """Give the work of one call, and how the model runs it."""
        model = self.model
        normalized = model.normalize if options.normalize is None else options.normalize
        if model.static:
            from onnxembed.text.static import StaticWork

            table = self._table.get()
            static = StaticWork(
                table, prompt=use.prompt, truncate=options.truncate, normalized=normalized, dim=options.dim
            )
            return static, _STATIC_PLAN
        text = self._text.text.get()
        projection = self._projections.get((normalized, options.dim))
        if projection is None:
            projection = _projection(model, text.file, options.dim, normalized=normalized)
            self._projections[normalized, options.dim] = projection
        return DenseWork(text.graph, projection, use.prompt, use.task, truncate=options.truncate), text.plan

    def _load_table(self) -> StaticTable:
        from onnxembed.text.static import load_static

        folder = self.base.folder.path
        return load_static(folder, folder / self.model.model_file, self._max_length)


def _token_output(model: DenseModel, file: GraphFile) -> str:
    return "pooled" if file.compiled else file.output_name(model.output)


def _pools_itself(model: DenseModel, file: GraphFile) -> bool:
    """Whether a graph gives one vector per text, as far as it says; those compiled here pool by the mask."""
    if file.compiled:
        return False
    axes = file.axes(_token_output(model, file))
    return axes == 2 or (axes is None and model.pooling in (PoolingType.CLS, PoolingType.DISABLED))


def _projection(model: DenseModel, file: GraphFile, dim: int | None, *, normalized: bool) -> Projection:
    """Say which output to take and what to do with it; graphs compiled here pool and normalize by themselves."""
    if file.compiled and normalized and dim is None:
        return Projection("sentence_embedding", PoolingType.DISABLED, normalize=False)
    output = _token_output(model, file)
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
