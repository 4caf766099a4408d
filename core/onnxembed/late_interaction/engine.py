"""A late-interaction text model in one process: its graph, the tokenizers of both sides, and its linear layers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from onnxembed.api.graph_file import GraphFile
from onnxembed.api.settings import EngineSettings
from onnxembed.errors import ModelError
from onnxembed.formats.safetensors import SafetensorsFile
from onnxembed.hub import ModelFolder
from onnxembed.hub.folder import WEIGHTS_FILE
from onnxembed.late_interaction.colbert import ColbertFamily, LinearLayer, TokenHead
from onnxembed.late_interaction.spec import LateInteractionModel
from onnxembed.late_interaction.tokens import SideTokenizer, side_tokenizer
from onnxembed.runtime.bounded_pool import BoundedPool
from onnxembed.runtime.per_process import PerProcess
from onnxembed.text.call import Side
from onnxembed.text.text_engine import TextEngine


@dataclass(frozen=True, slots=True)
class _Projection:
    """The graph output with the token states, and the layers that follow it."""

    output: str
    layers: tuple[LinearLayer, ...]
    dim: int


class LateInteractionEngine:
    """One late-interaction model in one process. Every part is loaded on first use."""

    def __init__(self, settings: EngineSettings[LateInteractionModel]) -> None:
        """Remember what to load.

        Args:
            settings: What to load and how to run it.
        """
        self.settings = settings
        model = settings.model
        self._stated = settings.max_length is None and model.document_limit is not None
        chosen = replace(settings, max_length=model.document_limit) if self._stated else settings
        self._text = TextEngine(chosen, pad_to_max_length=model.pad_to_max_length)
        self._documents = PerProcess(lambda: self._load_side("passage"))
        self._queries = PerProcess(lambda: self._load_side("query"))
        self._projection = PerProcess(self._load_projection)

    @property
    def pool(self) -> BoundedPool:
        """Runs the asynchronous calls."""
        return self._text.base.pool

    @property
    def folder(self) -> ModelFolder:
        """Where the files are; finds or downloads them."""
        return self._text.base.folder

    @property
    def loaded(self) -> bool:
        """Whether the weights are loaded in this process."""
        return self._text.base.loaded

    @property
    def workers(self) -> int:
        """Threads that run batches when the caller does not say."""
        return self._text.workers

    @property
    def default_budget(self) -> int:
        """Tokens of a padded batch beyond which this place gains nothing."""
        return self._text.default_budget

    @property
    def runs_alone(self) -> bool:
        """Whether every text must be its own batch."""
        return self._text.runs_alone

    @property
    def dim(self) -> int:
        """Numbers of a vector, as the files have it, 0 when they do not say; loads the weights."""
        return self._projection.get().dim

    def load(self) -> None:
        """Load everything now instead of on first use."""
        self._projection.get()
        self._documents.get()
        self._queries.get()

    def side(self, side: Side) -> SideTokenizer:
        """The tokenizer of one side; loads no weights.

        Args:
            side: Which side.

        Returns:
            The tokenizer.
        """
        return (self._queries if side == "query" else self._documents).get()

    def family(self, side: Side, *, normalize: bool | None, truncate: bool) -> ColbertFamily:
        """The model as one call uses it.

        Args:
            side: Whether the texts are queries or documents.
            normalize: Whether vectors are scaled to length 1; ``None`` for what the model's authors do.
            truncate: Whether long texts are cut or refused.

        Returns:
            What the pipeline runs.

        Raises:
            ModelError: If the graph needs a task and the model is described without.
        """
        model, projection = self.settings.model, self._projection.get()
        own = model.normalize_queries if side == "query" else model.normalize_documents
        task = model.query_task if side == "query" else model.document_task
        if task is None and "task_id" in self._text.graph.input_types:
            raise ModelError("the graph has a task_id input, but the model is described without tasks")
        head = TokenHead(projection.output, projection.layers, own if normalize is None else normalize, task)
        return ColbertFamily(self._text.graph, self.side(side), head, truncate=truncate)

    def _load_side(self, side: Side) -> SideTokenizer:
        chosen = self._stated or self.settings.max_length is not None
        configured = [self._text.tokenizer]
        if side == "query":
            configured.append(self._documents.get().tokenizer)
        return side_tokenizer(configured, self.settings.model, side, chosen=chosen)

    def _load_projection(self) -> _Projection:
        model, file = self.settings.model, self._text.file
        output = _token_output(file, model.output)
        folder = self._text.base.folder.path
        layers = tuple(_load_layer(folder / stage) for stage in model.dense_stages)
        width = file.dim(output)
        if not layers or _projects_itself(width, layers, compiled=file.compiled):
            return _Projection(output, (), width or model.dim)
        return _Projection(output, layers, len(layers[-1].weight))


def _token_output(file: GraphFile, named: str | None) -> str:
    """The output with one vector a token: the named one, else the first of three axes."""
    if named is not None:
        return file.output_name(named)
    for info in file.outputs:
        if info.shape is None or len(info.shape) == 3:
            return info.name
    shapes = ", ".join(f"{info.name} {list(info.shape or ())}" for info in file.outputs)
    raise ModelError(f"{file.path} gives no vector a token: its outputs are {shapes}; expected one of three axes")


def _projects_itself(width: int | None, layers: tuple[LinearLayer, ...], *, compiled: bool) -> bool:
    """Whether the graph ends with the linear layers already; one that was compiled here never does."""
    inputs, outputs = layers[0].weight.shape[1], len(layers[-1].weight)
    if width not in (None, inputs, outputs):
        raise ModelError(
            f"the graph gives vectors of {width} numbers, where the linear layers beside it turn {inputs} into "
            f"{outputs}; one of these two was expected"
        )
    return not compiled and width == outputs


def _load_layer(stage: Path) -> LinearLayer:
    """Read the weights of a linear layer, as sentence-transformers and PyLate name them."""
    with SafetensorsFile(stage / WEIGHTS_FILE) as file:
        weight = file.tensor("linear.weight").astype(np.float32)
        bias = file.tensor("linear.bias").astype(np.float32) if "linear.bias" in file.names else None
    if weight.ndim != 2 or (bias is not None and bias.shape != weight.shape[:1]):
        raise ModelError(f"{stage / WEIGHTS_FILE} holds no linear layer: its weight has the shape {weight.shape}")
    return LinearLayer(weight, bias)
