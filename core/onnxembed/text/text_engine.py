"""A model that reads tokens, in one process: its graph and its tokenizer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
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
    """The tokenizer and the graph of one model, each loaded on first use: counting tokens loads no weights."""

    def __init__(
        self,
        settings: EngineSettings[SpecT],
        *,
        pad_to_max_length: bool = False,
        pools_itself: Callable[[GraphFile], bool] = lambda _: False,
    ) -> None:
        """Remember what to load.

        ``pad_to_max_length`` pads every batch to the limit instead of its longest text; ``pools_itself`` says whether a
        graph makes one result per text by itself, so that it may read the last position.
        """
        self.settings = settings
        self._pad_to_max_length = pad_to_max_length
        self._pools_itself = pools_itself
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
        def load() -> TextTokenizer:
            model = self.settings.model
            folder = self.base.folder.path / model.body_folder
            return load_tokenizer(folder, self.settings.max_length, model.tokenizer)

        return self.base.healed(load)

    def _load(self) -> LoadedText:
        loaded, rules, fixed = self.base.graph, self.tokenizer.rules, self._pad_to_max_length
        # Padding on the left would move a text's positions by the length of its neighbours. It is kept for graphs that
        # may read the last position, which then run each text by itself.
        rules = replace(rules, pad_left=rules.pad_left and (fixed or self._pools_itself(loaded.file)))
        graph = TextGraph(loaded.sessions, loaded.input_types, self.tokenizer, fixed, rules)
        # A graph without a mask takes padding for text, unless its fixed length is part of the model.
        alone = not fixed and (rules.pad_left or not graph.reads_mask)
        return LoadedText(graph, loaded.file, text_plan(loaded, one_by_one=alone))


def text_plan(loaded: LoadedGraph, *, one_by_one: bool) -> RunPlan:
    """Plan the runs of a graph whose costs are tokens.

    Dynamically quantised graphs scale activations by the largest one of the whole batch, so that neighbours would
    change a text's vector: each text is its own batch.
    """

    def budget() -> int:
        return _BUDGET_ON_GPU if loaded.on_gpu else _BUDGET_PER_CPU * loaded.threads

    return RunPlan(
        budget=budget(),
        workers=len(loaded.sessions),
        one_by_one=one_by_one or loaded.file.dynamically_quantized,
        apart_from=loaded.file.lengths_apart_from,
        moved=budget if loaded.may_move else None,
    )
