"""A model that reads tokens, in one process: its graph and its tokenizer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic

from onnxembed.api.engine import GraphEngine, LoadedGraph
from onnxembed.api.graph_file import GraphFile
from onnxembed.api.settings import EngineSettings, SpecT
from onnxembed.runtime.batching import RunPlan
from onnxembed.runtime.per_process import PerProcess
from onnxembed.text.graph import TextGraph
from onnxembed.text.tokenizer import TextTokenizer, load_tokenizer

# Tokens of a padded batch. Measured on processors: 256 tokens each keep the matrix units busy, and more only grow the
# intermediate results. A graphics processor wants far larger batches.
_BUDGET_PER_CPU = 256
_BUDGET_ON_GPU = 16_384


@dataclass(frozen=True, slots=True)
class LoadedText:
    """A loaded model that reads tokens.

    Attributes:
        graph: The graph.
        file: What is known of its file.
        plan: How it runs.
    """

    graph: TextGraph
    file: GraphFile
    plan: RunPlan


class TextEngine(Generic[SpecT]):
    """The tokenizer and the graph of one model, each loaded on first use: counting tokens loads no weights.

    Attributes:
        base: The files and the sessions.
        text: The loaded model.
    """

    def __init__(self, settings: EngineSettings[SpecT], *, pad_to_max_length: bool = False) -> None:
        """Remember what to load; ``pad_to_max_length`` pads every batch to the limit instead of its longest text."""
        self.settings = settings
        self._pad_to_max_length = pad_to_max_length
        self._tokenizer = PerProcess(self._load_tokenizer)
        self.base = GraphEngine(settings, beside=self._tokenizer.get)
        self.text = PerProcess(self._load)

    @property
    def tokenizer(self) -> TextTokenizer:
        """The tokenizer; loads no weights."""
        return self._tokenizer.get()

    @property
    def loaded(self) -> bool:
        """Whether the weights are loaded in this process."""
        return self.base.loaded

    def _load_tokenizer(self) -> TextTokenizer:
        return load_tokenizer(self.base.folder.path, self.settings.max_length)

    def _load(self) -> LoadedText:
        loaded = self.base.graph
        graph = TextGraph(loaded.sessions, loaded.input_types, self.tokenizer, self._pad_to_max_length)
        # A graph without a mask takes padding for text, unless its fixed length is part of the model.
        unmasked = not graph.reads_mask and not self._pad_to_max_length
        return LoadedText(graph, loaded.file, text_plan(loaded, one_by_one=unmasked))


def text_plan(loaded: LoadedGraph, *, one_by_one: bool) -> RunPlan:
    """Plan the runs of a graph whose costs are tokens.

    Dynamically quantised graphs scale activations by the largest one of the whole batch, so that neighbours would
    change a text's vector: each text is its own batch.
    """
    return RunPlan(
        budget=_BUDGET_ON_GPU if loaded.on_gpu else _BUDGET_PER_CPU * loaded.threads,
        workers=len(loaded.sessions),
        one_by_one=one_by_one or loaded.file.dynamically_quantized,
    )
