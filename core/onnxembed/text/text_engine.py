"""A model that reads tokens, in one process: its graph and its tokenizer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Generic

from onnxembed.api.engine import GraphEngine, LoadedGraph
from onnxembed.api.graph_file import GraphFile
from onnxembed.api.settings import EngineSettings, SpecT
from onnxembed.runtime.batching import RunPlan
from onnxembed.runtime.per_process import PerProcess
from onnxembed.runtime.provider_traits import compiles_by_shape
from onnxembed.runtime.sessions import first_provider

if TYPE_CHECKING:
    from onnxembed.text.graph import TextGraph
    from onnxembed.text.tokenizer import TextTokenizer

# Windows that are tokenised while a device computes.
_PREPARERS_FOR_DEVICES = 2


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
        imports: Callable[[], object] = lambda: None,
    ) -> None:
        """Remember what to load.

        ``pad_to_max_length`` pads every batch to the limit instead of its longest text; ``pools_itself`` says whether a
        graph makes one result per text by itself, so that it may read the last position; ``imports`` imports what the
        first batch needs besides, while the graph is opened.
        """
        self.settings = settings
        self._pad_to_max_length = pad_to_max_length
        self._pools_itself = pools_itself
        self._tokenizer = PerProcess(self._load_tokenizer)
        self._imports = imports
        self.base = GraphEngine(settings, beside=self._load_beside)
        self.text = PerProcess(self._load)

    @property
    def tokenizer(self) -> TextTokenizer:
        """The tokenizer; loads no weights."""
        return self._tokenizer.get()

    @property
    def loaded(self) -> bool:
        """Whether the weights are loaded in this process."""
        return self.base.loaded

    def _load_beside(self) -> None:
        """Load the tokenizer, and what works with both it and the graph, while ONNX Runtime opens the graph."""
        self._tokenizer.get()
        import onnxembed.text.graph  # noqa: F401

        self._imports()

    def _load_tokenizer(self) -> TextTokenizer:
        from onnxembed.text.tokenizer import load_tokenizer

        def load() -> TextTokenizer:
            model = self.settings.model
            folder = self.base.folder.path / model.body_folder
            return load_tokenizer(folder, self.settings.max_length, model.tokenizer)

        return self.base.healed(load)

    def _load(self) -> LoadedText:
        loaded, rules, fixed = self.base.graph, self.tokenizer.rules, self._pad_to_max_length
        from onnxembed.text.graph import TextGraph

        # Padding on the left would move a text's positions by the length of its neighbours. It is kept for graphs that
        # may read the last position, which then run each text by itself.
        rules = replace(rules, pad_left=rules.pad_left and (fixed or self._pools_itself(loaded.file)))
        graph = TextGraph(loaded.sessions, loaded.input_types, self.tokenizer, fixed, rules)
        by_shape = any(compiles_by_shape(first_provider(session)[0]) for session in loaded.sessions)
        # Padding on the left would move positions, and a graph without a mask would take it for text.
        graph = replace(graph, few_lengths=by_shape and graph.reads_mask and not rules.pad_left)
        # A graph without a mask takes padding for text, unless its fixed length is part of the model.
        alone = not fixed and (rules.pad_left or not graph.reads_mask)
        return LoadedText(graph, loaded.file, text_plan(loaded, one_by_one=alone))


def text_plan(loaded: LoadedGraph, *, one_by_one: bool) -> RunPlan:
    """Plan the runs of a graph whose costs are tokens.

    Dynamically quantised graphs scale activations by the largest one of the whole batch, so that neighbours would
    change a text's vector: each text is its own batch.
    """
    budget, names = loaded.text_budget(), loaded.provider_names

    def moved() -> int:
        return budget.tokens if loaded.provider_names == names else loaded.text_budget().tokens

    return RunPlan(
        budget=budget.tokens,
        workers=loaded.runs_at_once,
        one_by_one=one_by_one or loaded.file.dynamically_quantized,
        apart_from=loaded.file.lengths_apart_from,
        squares=budget.squares,
        # A processor tokenises with the threads that it computes with: a device would wait for it.
        least_window=budget.least_window * len(loaded.sessions) if loaded.on_gpu else 0,
        preparers=_PREPARERS_FOR_DEVICES if loaded.on_gpu else 1,
        lanes=loaded.lanes,
        moved=moved if loaded.may_move else None,
    )
