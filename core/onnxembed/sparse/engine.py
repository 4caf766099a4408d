"""A sparse model that runs as a graph, in one process: its graph, its tokenizer and its table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np

from onnxembed.api.engine import GraphEngine
from onnxembed.api.graph_file import GraphFile
from onnxembed.api.settings import EngineSettings
from onnxembed.compile.heads.vocabulary import MAX_LOGITS, VOCABULARY_SUM
from onnxembed.foreign import reading
from onnxembed.formats.onnx_graph import inspect_graph
from onnxembed.hub.files import find_graph
from onnxembed.runtime.batching import RunPlan, batch_limits
from onnxembed.runtime.per_process import PerProcess
from onnxembed.runtime.pipeline import stream
from onnxembed.sparse.bm42 import Bm42Weigher, Bm42Words, attention_output, load_bm42
from onnxembed.sparse.inference_free import IdfTable, load_idf
from onnxembed.sparse.minicoil import MiniCoilWeigher, WordWeights
from onnxembed.sparse.minicoil_words import MiniCoilTables, load_minicoil
from onnxembed.sparse.options import SparseOptions
from onnxembed.sparse.pieces import special_ids
from onnxembed.sparse.prompts import prompt_of
from onnxembed.sparse.spec import SPLADE_KINDS, SparseKind, SparseModel
from onnxembed.sparse.splade import Array, Pruning, SpladeWeigher
from onnxembed.sparse.static_queries import StaticQueries, load_static_queries
from onnxembed.sparse.token_weights import TokenWeigher, WeightHead, load_weight_head
from onnxembed.sparse.vector import SparseEmbedding
from onnxembed.sparse.work import LookupWork, SparseGraphWork, Weigher
from onnxembed.text.graph import TextGraph
from onnxembed.text.options import InputType
from onnxembed.text.text_engine import TextEngine
from onnxembed.text.tokenizer import TextTokenizer

# Bytes of a batch's logits. On processors larger batches are no faster; a graphics processor wants them.
LOGIT_BYTES = 64 << 20
LOGIT_BYTES_ON_GPU = 1 << 30
_Table = IdfTable | Bm42Words | MiniCoilTables | WeightHead
_TABLES: Mapping[SparseKind, Callable[[Path, TextTokenizer], _Table]] = {
    SparseKind.INFERENCE_FREE: load_idf,
    SparseKind.BM42: load_bm42,
    SparseKind.MINICOIL: load_minicoil,
    SparseKind.TOKEN_WEIGHTS: load_weight_head,
}
_LOOKUP_PLAN = RunPlan(budget=1 << 20)


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A loaded graph: how it runs, the output to take, and what SPLADE models do with it."""

    graph: TextGraph
    plan: RunPlan
    output: str
    logarithms: int
    left_out: Array | None


class SparseEngine:
    """One sparse model in one process. Every part is loaded on first use."""

    def __init__(self, settings: EngineSettings[SparseModel]) -> None:
        """Remember what to load."""
        self.model = settings.model
        self._text = TextEngine(settings)
        self.base: GraphEngine[SparseModel] = self._text.base
        self._loaded = PerProcess(self._load)
        self._table = PerProcess(lambda: self.base.healed(self._load_table))

    @property
    def loaded(self) -> bool:
        """Whether the weights are loaded in this process."""
        return self.base.loaded

    @property
    def tokenizer(self) -> TextTokenizer:
        """The tokenizer; loads no weights."""
        return self._text.tokenizer

    @property
    def max_length(self) -> int:
        """Tokens that a text is cut to, special tokens included; reads the tokenizer."""
        return self.tokenizer.rules.max_length

    def load(self) -> None:
        """Load everything now instead of on first use."""
        self._loaded.get()
        self._table.get()

    def count(self, texts: Sequence[str]) -> int:
        """Count tokens, special tokens included and each text cut to the limit; loads no weights."""
        return self._text.tokenizer.count(texts)

    def run(
        self,
        texts: Iterable[str],
        input_type: InputType | None,
        options: SparseOptions,
        batch_size: int,
        workers: int | None,
    ) -> Iterator[SparseEmbedding]:
        """Load what a call needs, and begin it."""
        work, plan = self.work(input_type, options)
        return stream(texts, work, batch_limits(plan, batch_size, workers, options.token_budget))

    def work(
        self, input_type: InputType | None, options: SparseOptions
    ) -> tuple[LookupWork | SparseGraphWork, RunPlan]:
        """Give the work of one call, and how it runs; queries with a table of their own need no weights."""
        prompt = prompt_of(self.model, input_type)
        if input_type == "query":
            table = self._table.get()
            if isinstance(table, StaticQueries):
                look_up = partial(table.look_up, pruning=_pruning(options))
                return LookupWork(table.tokenizer, look_up, options.truncate, prompt), _LOOKUP_PLAN
            if isinstance(table, IdfTable | Bm42Words):
                return LookupWork(self._text.tokenizer, table.look_up, options.truncate, prompt), _LOOKUP_PLAN
        loaded = self._loaded.get()
        weigher = self._weigher(loaded, input_type, options)
        return SparseGraphWork(loaded.graph, weigher, options.truncate, prompt), loaded.plan

    def _weigher(self, loaded: _Loaded, input_type: InputType | None, options: SparseOptions) -> Weigher:
        if self.model.kind in SPLADE_KINDS:
            model = self.model
            return SpladeWeigher(loaded.output, _pruning(options), loaded.logarithms, loaded.left_out, model.summed)
        table = self._table.get()
        if isinstance(table, WeightHead):
            return TokenWeigher(loaded.output, table, _pruning(options))
        if isinstance(table, Bm42Words):
            return Bm42Weigher(loaded.output, table, cast("float", options.alpha))
        numbers = cast("tuple[float, float, float]", (options.k, options.b, options.avg_len))
        weights = None if input_type == "query" else WordWeights(*numbers)
        return MiniCoilWeigher(loaded.output, cast("MiniCoilTables", table), weights)

    def _load(self) -> _Loaded:
        text, kind = self._text.text.get(), self.model.kind
        output = self._output(text.file)
        if kind not in SPLADE_KINDS:
            return _Loaded(text.graph, text.plan, output, 0, None)
        twice = kind is SparseKind.INFERENCE_FREE
        finished = output != MAX_LOGITS and text.file.axes(output) == 2
        left_out = np.array(special_ids(self._text.tokenizer), dtype=np.int64) if twice else None
        plan = text.plan if text.file.compiled else self._bounded(text.plan, text.file.dim(output))
        return _Loaded(text.graph, plan, output, 0 if finished else 2 if twice else self.model.logarithms, left_out)

    def _bounded(self, plan: RunPlan, vocabulary: int | None) -> RunPlan:
        """Bound the bytes of a batch's logits.

        They are hundreds of times larger than token vectors. Graphs that are compiled here never hold them all at once;
        in others their bytes bound the batch, wherever the maximum over the tokens is taken.
        """
        vocabulary = vocabulary or self._text.tokenizer.backend.get_vocab_size()
        most = LOGIT_BYTES_ON_GPU if self.base.graph.on_gpu else LOGIT_BYTES
        return replace(plan, budget=max(1, min(plan.budget, most // (4 * vocabulary))))

    def _output(self, file: GraphFile) -> str:
        """Choose the graph's output."""
        model = self.model
        if model.kind is SparseKind.BM42:
            return attention_output(file, model.output)
        if model.kind is SparseKind.TOKEN_WEIGHTS:
            return file.token_output(None)
        if model.kind is SparseKind.MINICOIL:
            return file.output_name("last_hidden_state" if file.compiled else model.output)
        if file.compiled:
            return file.output_name(VOCABULARY_SUM if model.summed else MAX_LOGITS)
        names = [output.name for output in file.outputs]
        if isinstance(model.output, str) and model.output not in names and MAX_LOGITS in names:
            # A copy that maximises the file's first output gives it another name; in an exported folder it is alone.
            graph = find_graph(self.base.folder.path, model.model_file)
            if graph is None or inspect_graph(graph).outputs[0].name == model.output:
                return MAX_LOGITS
        return file.output_name(model.output)

    def _load_table(self) -> _Table | StaticQueries | None:
        """Read what the kind needs beside the graph."""
        if self.model.query_table:
            folder = self.base.folder.path / self.model.query_table
            with reading(folder):
                return load_static_queries(folder, self._text.settings.max_length, self.model.query_tokenizer)
        folder, tokenizer = self.base.folder.path, self._text.tokenizer
        load = _TABLES.get(self.model.kind)
        if load is None:
            return None
        with reading(folder):
            return load(folder, tokenizer)


def _pruning(options: SparseOptions) -> Pruning:
    return Pruning(options.top_k, cast("float", options.min_weight))
