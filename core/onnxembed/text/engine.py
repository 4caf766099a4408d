"""A dense text model in one process: a graph or a static table, and the work of one call with it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from onnxembed.api.engine import GraphEngine
from onnxembed.api.graph_file import GraphFile
from onnxembed.api.settings import EngineSettings
from onnxembed.errors import InputError
from onnxembed.runtime.batching import RunPlan
from onnxembed.runtime.per_process import PerProcess
from onnxembed.spec import PoolingType
from onnxembed.text.options import DenseOptions, Use
from onnxembed.text.spec import DenseModel
from onnxembed.text.text_engine import TextEngine

if TYPE_CHECKING:
    from onnxembed.runtime.pipeline import Work
    from onnxembed.text.dense import Projection
    from onnxembed.text.stages import Apply
    from onnxembed.text.static import StaticTable
    from onnxembed.text.tokenizer import TextTokenizer, Tokens

    TextWork: TypeAlias = Work[str, Tokens, Any]

# A static table is bound by memory alone.
_STATIC_PLAN = RunPlan(budget=16_384)


class DenseEngine:
    """One dense model in one process. Every part is loaded on first use."""

    def __init__(self, settings: EngineSettings[DenseModel], text: TextEngine[DenseModel] | None = None) -> None:
        """Remember what to load; ``text`` is shared with a way through the model that has the same transformer."""
        self.model = settings.model
        self._max_length = settings.max_length
        self._text = text or TextEngine(
            settings,
            pad_to_max_length=settings.model.pad_to_max_length,
            pools_itself=partial(_pools_itself, settings.model),
            imports=_import_work,
        )
        self._steps = PerProcess(self._load_steps)
        self.base: GraphEngine[DenseModel] = self._text.base
        self._table = PerProcess(lambda: self.base.healed(self._load_table))
        self._measured = PerProcess(self._measure)
        self._projections: dict[tuple[bool, int | None, bool], Projection] = {}

    def sharing(self, settings: EngineSettings[DenseModel]) -> DenseEngine:
        """Give an engine of other stages after the same transformer or table, which is loaded once for both."""
        engine = DenseEngine(settings, self._text)
        engine._table = self._table
        return engine

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
        self._steps.get()

    @property
    def dim(self) -> int:
        """Numbers of a full vector, as the files have it; loads the weights when the description does not say."""
        model = self.model
        sized = [stage.outputs for stage in model.stages if stage.outputs is not None]
        if sized:
            width = sized[-1]
        elif model.static:
            width = self._table.get().dim
        else:
            file = self._text.text.get().file
            joined = 1 if file.pools else len(model.poolings)
            width = joined * (file.dim(_token_output(model, file)) or 0) or self._measured.get()
        return width if model.truncate_dim is None else min(width, model.truncate_dim)

    def work(self, options: DenseOptions, use: Use) -> tuple[TextWork, RunPlan]:
        """Give the work of one call, and how the model runs it."""
        model = self.model
        normalized = model.normalize if options.normalize is None else options.normalize
        dim = model.truncate_dim if options.dim is None else options.dim
        if model.static:
            from onnxembed.text.static import StaticWork

            static = StaticWork(
                self._table.get(),
                prompt=use.prompt,
                truncate=options.truncate,
                normalized=normalized,
                dim=dim,
                steps=self._steps.get(),
            )
            return static, _STATIC_PLAN
        from onnxembed.text.dense import DenseWork, prompt_tokens

        text = self._text.text.get()
        left_out = 0 if model.pools_prompt or not use.prompt else prompt_tokens(text.graph.tokenizer, use.prompt)
        key = (normalized, dim, left_out > 0)
        projection = self._projections.get(key)
        if projection is None:
            projection = _projection(
                model, text.file, dim, self._steps.get(), normalized=normalized, with_prompt=left_out == 0
            )
            self._projections[key] = projection
        work = DenseWork(text.graph, projection, use.prompt, use.task, truncate=options.truncate, left_out=left_out)
        return work, text.plan

    def _load_steps(self) -> tuple[Apply, ...]:
        if not self.model.stages:
            return ()
        from onnxembed.text.stages import load_stages

        return load_stages(self.base.folder.path, self.model.stages)

    def _measure(self) -> int:
        """Numbers of a vector of a graph that leaves them open: those of one that it gives."""
        from onnxembed.text.dense import DenseWork

        text = self._text.text.get()
        projection = _projection(self.model, text.file, None, (), normalized=False, with_prompt=True)
        work = DenseWork(text.graph, projection, "", 0, truncate=True, left_out=0)
        return int(work.run(work.prepare(["a"], 0), 0).shape[1])

    def _load_table(self) -> StaticTable:
        from onnxembed.text.static import load_static

        folder = self.base.folder.path
        return load_static(
            folder / self.model.body_folder,
            folder / self.model.model_file,
            self._max_length,
            counts_unknown=self.model.counts_unknown,
        )


def _import_work() -> None:
    import onnxembed.runtime.pipeline
    import onnxembed.text.dense  # noqa: F401


def _token_output(model: DenseModel, file: GraphFile) -> str:
    return "pooled" if file.pools else file.output_name(model.output)


def _pools_itself(model: DenseModel, file: GraphFile) -> bool:
    """Whether a graph gives one vector per text, as far as it says; those compiled here pool by the mask."""
    if file.pools:
        return False
    axes = file.axes(_token_output(model, file))
    return axes == 2 or (axes is None and model.pooling in (PoolingType.CLS, PoolingType.DISABLED))


def _projection(
    model: DenseModel,
    file: GraphFile,
    dim: int | None,
    steps: tuple[Apply, ...],
    *,
    normalized: bool,
    with_prompt: bool,
) -> Projection:
    """Say which output to take and what to do with it; graphs made here pool and normalize by themselves.

    Where a prompt does not count in the pooling, their token vectors are pooled here.
    """
    from onnxembed.text.dense import Projection

    pooled = file.pools and with_prompt
    if pooled and normalized and dim is None and not steps:
        return Projection("sentence_embedding", (PoolingType.DISABLED,), normalize=False)
    if with_prompt:
        output = _token_output(model, file)
    else:
        output = "last_hidden_state" if file.compiled else file.output_name(model.output)
    poolings = (PoolingType.DISABLED,) if pooled else model.poolings
    full = file.dim(output)
    if dim is not None and full is not None and not model.stages and dim > full * len(poolings):
        if model.truncate_dim == dim:
            dim = None  # the library keeps what there is
        else:
            raise InputError(f"dim={dim}: the graph gives vectors of {full * len(poolings)} numbers; pass at most that")
    return Projection(
        output=output,
        poolings=poolings,
        normalize=normalized,
        dim=dim,
        layer_norm=model.matryoshka is not None and model.matryoshka.layer_norm,
        steps=steps,
    )
