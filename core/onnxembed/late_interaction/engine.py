"""A late-interaction text model in one process: its graph, its linear layers, a tokenizer per input type."""

from __future__ import annotations

from dataclasses import dataclass, replace

from onnxembed.api.engine import GraphEngine
from onnxembed.api.settings import EngineSettings
from onnxembed.errors import ModelError
from onnxembed.foreign import reading
from onnxembed.late_interaction.colbert import ColbertWork, TokenHead
from onnxembed.late_interaction.options import LateInteractionOptions
from onnxembed.late_interaction.spec import LateInteractionModel
from onnxembed.late_interaction.tokens import MarkingTokenizer, marking_tokenizer
from onnxembed.runtime.batching import RunPlan
from onnxembed.runtime.per_process import PerProcess
from onnxembed.spec import TOKENIZER_FILE
from onnxembed.text.graph import TextGraph
from onnxembed.text.m3_heads import load_head
from onnxembed.text.options import InputType
from onnxembed.text.stages import DenseLayer, load_dense
from onnxembed.text.text_engine import TextEngine
from onnxembed.text.tokenizer import TextTokenizer


@dataclass(frozen=True, slots=True)
class _Loaded:
    """The graph and how it runs; its output with the token states, and the layers that follow it."""

    graph: TextGraph
    plan: RunPlan
    output: str
    layers: tuple[DenseLayer, ...]
    dim: int  # 0 where the graph leaves it open


class LateInteractionEngine:
    """One late-interaction model in one process. Every part is loaded on first use."""

    def __init__(self, settings: EngineSettings[LateInteractionModel]) -> None:
        """Remember what to load."""
        self.model = settings.model
        if settings.max_length is not None:  # the caller's limit, instead of the metadata's
            self.model = replace(self.model, document_limit=None)
        # The longer of the two: the tokenizer of the other side cuts earlier.
        limits = (self.model.document_limit, self.model.query_limit)
        stated = None if limits[0] is None else max(limit for limit in limits if limit is not None)
        self._chosen = settings.max_length is not None or stated is not None
        if settings.max_length is None and stated is not None:
            settings = replace(settings, max_length=stated)
        self._text = TextEngine(settings, pad_to_max_length=self.model.pad_to_max_length)
        self.base: GraphEngine[LateInteractionModel] = self._text.base
        self._loaded = PerProcess(lambda: self.base.healed(self._load))
        self._documents = PerProcess(lambda: self.base.healed(self._load_document_tokenizer))
        self._queries = PerProcess(lambda: self.base.healed(self._load_query_tokenizer))
        self._measured = PerProcess(self._measure)
        self._works: dict[tuple[InputType | None, bool | None, bool], ColbertWork] = {}

    @property
    def loaded(self) -> bool:
        """Whether the weights are loaded in this process."""
        return self.base.loaded

    @property
    def dim(self) -> int:
        """Numbers of a vector, as the files have it; loads the weights."""
        return self._loaded.get().dim or self._measured.get()

    def load(self) -> None:
        """Load everything now instead of on first use."""
        self._loaded.get()
        self._documents.get()
        self._queries.get()

    def tokenizer(self, input_type: InputType) -> MarkingTokenizer:
        """The tokenizer of queries, or of documents; loads no weights."""
        return (self._queries if input_type == "query" else self._documents).get()

    def work(self, options: LateInteractionOptions, input_type: InputType | None) -> tuple[ColbertWork, RunPlan]:
        """Give the work of calls on one input type, and how the model runs it.

        Texts whose input type is not said are documents, with the default prompt if there is one.
        """
        loaded = self._loaded.get()
        key = (input_type, options.normalize, options.truncate)
        work = self._works.get(key)
        if work is None:
            work = self._works[key] = self._make_work(loaded, *key)
        return work, loaded.plan

    def _make_work(
        self, loaded: _Loaded, input_type: InputType | None, normalize: bool | None, truncate: bool
    ) -> ColbertWork:
        """Fill in what the model's authors do with vectors, and its task."""
        model, query = self.model, input_type == "query"
        own = model.normalize_queries if query else model.normalize_documents
        task = model.query_task if query else model.document_task
        if task is None and "task_id" in loaded.graph.input_types:
            raise ModelError("the graph has a task_id input, but the model is described without tasks")
        pooling = model.token_pooling
        joins = pooling is not None and (pooling.queries if query else pooling.documents)
        head = TokenHead(
            loaded.output,
            loaded.layers,
            own if normalize is None else normalize,
            task,
            pooling if joins else None,
        )
        prompt = self.prompt(input_type)
        return ColbertWork(loaded.graph, self.tokenizer(input_type or "document"), head, truncate, prompt)

    def prompt(self, input_type: InputType | None) -> str:
        """Give what is put before texts; those whose input type is not said have the default one, if there is one."""
        if input_type is None and self.model.default_prompt is not None:
            return self.model.default_prompt
        return self.model.prompts.query if input_type == "query" else self.model.prompts.passage

    def _measure(self) -> int:
        """Numbers of a vector of a graph that leaves them open: those of one that it gives."""
        work, _ = self.work(LateInteractionOptions(self.model.name), "document")
        vectors, _ = work.vectors(work.prepare(["a"], 0), 0)
        return int(vectors.shape[1])

    def _load_document_tokenizer(self) -> MarkingTokenizer:
        return self._marking([self._text.tokenizer], "document")

    def _load_query_tokenizer(self) -> MarkingTokenizer:
        configured = [self._text.tokenizer, self._documents.get().tokenizer]
        return self._marking(configured, "query")

    def _marking(self, configured: list[TextTokenizer], input_type: InputType) -> MarkingTokenizer:
        with reading(self.base.folder.path / TOKENIZER_FILE):
            return marking_tokenizer(configured, self.model, input_type, chosen=self._chosen)

    def _load(self) -> _Loaded:
        text = self._text.text.get()
        output = text.file.token_output(self.model.output)
        layers = tuple(load_dense(self.base.folder.path, stage) for stage in self.model.dense_stages)
        if self.model.token_head:
            layers = (*layers, load_head(self.base.folder.path / self.model.token_head))
        width = text.file.dim(output)
        if not layers or _projects_itself(width, layers, compiled=text.file.compiled):
            return _Loaded(text.graph, text.plan, output, (), width or 0)
        return _Loaded(text.graph, text.plan, output, layers, len(layers[-1].weight))


def _projects_itself(width: int | None, layers: tuple[DenseLayer, ...], *, compiled: bool) -> bool:
    """Whether the graph ends with the linear layers already; one that was compiled here never does."""
    inputs, outputs = layers[0].weight.shape[1], len(layers[-1].weight)
    if width not in (None, inputs, outputs):
        raise ModelError(
            f"the graph gives vectors of {width} numbers, where the linear layers beside it turn {inputs} into "
            f"{outputs}; one of these two was expected"
        )
    return not compiled and width == outputs
