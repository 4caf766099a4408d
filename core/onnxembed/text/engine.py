"""A dense text model in one process: a graph, or a static table, and how one call uses it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from onnxembed.api.graph_file import GraphFile
from onnxembed.api.settings import EngineSettings
from onnxembed.errors import InputError
from onnxembed.hub import ModelFolder
from onnxembed.runtime.bounded_pool import BoundedPool
from onnxembed.runtime.per_process import PerProcess
from onnxembed.runtime.pipeline import Family
from onnxembed.spec import DenseModel, PoolingType
from onnxembed.text.call import Use
from onnxembed.text.dense import DenseFamily, Projection
from onnxembed.text.settings import VectorSettings
from onnxembed.text.text_engine import TextEngine
from onnxembed.text.tokenizer import TextTokenizer, Tokens

if TYPE_CHECKING:
    from onnxembed.text.static import StaticTable

TextFamily = Family[str, Tokens, Any]

# Tokens of a batch of a static table, which is bound by memory alone.
_STATIC_BUDGET = 16_384


class DenseEngine:
    """One dense model in one process. Every part is loaded on first use."""

    def __init__(self, settings: EngineSettings[DenseModel]) -> None:
        """Remember what to load.

        Args:
            settings: What to load and how to run it.
        """
        self.settings = settings
        self.text = TextEngine(settings, pad_to_max_length=settings.model.pad_to_max_length)
        self._table = PerProcess(self._load_table)

    @property
    def _static(self) -> bool:
        return self.settings.model.static

    @property
    def pool(self) -> BoundedPool:
        """Runs the asynchronous calls."""
        return self.text.base.pool

    @property
    def folder(self) -> ModelFolder:
        """Where the files are; finds or downloads them."""
        return self.text.base.folder

    @property
    def tokenizer(self) -> TextTokenizer:
        """The tokenizer; loads no weights of a graph."""
        return self._table.get().tokenizer if self._static else self.text.tokenizer

    @property
    def loaded(self) -> bool:
        """Whether the weights are loaded in this process."""
        return self._table.made if self._static else self.text.base.loaded

    def load(self) -> None:
        """Load everything now instead of on first use."""
        if self._static:
            self._table.get()
        else:
            _ = self.text.graph

    @property
    def dim(self) -> int:
        """Numbers of a full vector, as the files have it; loads the weights when the description does not say."""
        model = self.settings.model
        if self._static:
            return self._table.get().dim
        file = self.text.file
        return file.dim("pooled" if file.compiled else file.output_name(model.output)) or model.dim

    @property
    def workers(self) -> int:
        """Threads that run batches when the caller does not say."""
        return 1 if self._static else self.text.workers

    @property
    def default_budget(self) -> int:
        """Tokens of a padded batch beyond which this place gains nothing."""
        return _STATIC_BUDGET if self._static else self.text.default_budget

    @property
    def runs_alone(self) -> bool:
        """Whether every text must be its own batch."""
        return not self._static and self.text.runs_alone

    def family(self, vectors: VectorSettings, use: Use) -> TextFamily:
        """The model as one call uses it.

        Args:
            vectors: What becomes of its output.
            use: What its texts are to the model.

        Returns:
            What the pipeline runs.
        """
        model = self.settings.model
        normalized = model.normalize if vectors.normalize is None else vectors.normalize
        if self._static:
            from onnxembed.text.static import StaticFamily

            return StaticFamily(
                self._table.get(), prompt=use.prompt, truncate=vectors.truncate, normalized=normalized, dim=vectors.dim
            )
        graph = self.text.graph
        projection = self._projection(self.text.file, normalized=normalized, dim=vectors.dim)
        return DenseFamily(graph, projection, prompt=use.prompt, task=use.task, truncate=vectors.truncate)

    def _projection(self, file: GraphFile, *, normalized: bool, dim: int | None) -> Projection:
        """Which output to take and what to do with it; our own graphs pool and normalise by themselves."""
        model = self.settings.model
        if file.compiled and normalized and dim is None:
            return Projection("sentence_embedding", PoolingType.DISABLED, normalize=False)
        output = "pooled" if file.compiled else file.output_name(model.output)
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

    def _load_table(self) -> StaticTable:
        from onnxembed.text.static import load_static

        folder = self.folder.path
        return load_static(folder, folder / self.settings.model.model_file, self.settings.max_length)
