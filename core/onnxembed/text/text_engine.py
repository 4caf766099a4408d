"""A model that reads tokens, in one process: its graph and its tokenizer."""

from __future__ import annotations

from typing import Generic

from onnxembed.api.engine import GraphEngine
from onnxembed.api.graph_file import GraphFile
from onnxembed.api.settings import EngineSettings, ModelT
from onnxembed.runtime.per_process import PerProcess
from onnxembed.text.graph import TextGraph
from onnxembed.text.tokenizer import TextTokenizer, load_tokenizer


class TextEngine(Generic[ModelT]):
    """The tokenizer and the graph of one model, each loaded on first use: counting tokens loads no weights."""

    def __init__(self, settings: EngineSettings[ModelT], *, pad_to_max_length: bool = False) -> None:
        """Remember what to load.

        Args:
            settings: What to load and how to run it.
            pad_to_max_length: Whether every batch is padded to the limit instead of its longest text.
        """
        self.settings = settings
        self._pad_to_max_length = pad_to_max_length
        self._tokenizer = PerProcess(self._load_tokenizer)
        self.base = GraphEngine(settings, beside=self._tokenizer.get)
        self._graph = PerProcess(self._load_graph)

    @property
    def tokenizer(self) -> TextTokenizer:
        """The tokenizer; loads no weights."""
        return self._tokenizer.get()

    @property
    def graph(self) -> TextGraph:
        """The loaded graph."""
        return self._graph.get()

    @property
    def file(self) -> GraphFile:
        """What is known of the loaded graph's file."""
        return self.base.graph.file

    @property
    def workers(self) -> int:
        """Threads that run batches when the caller does not say."""
        return self.base.workers

    @property
    def default_budget(self) -> int:
        """Tokens of a padded batch beyond which this place gains nothing.

        Measured on processors: 256 tokens each keep the matrix units busy, and more only grow the intermediate results.
        A graphics processor wants far larger batches.
        """
        return 16_384 if self.base.on_gpu else 256 * self.base.threads

    @property
    def runs_alone(self) -> bool:
        """Whether every text must be its own batch.

        Dynamically quantised graphs scale activations by the largest one of the whole batch, and graphs without a mask
        take padding for text; so neighbours would change a text's vector. A fixed length, though, is part of its model.
        """
        unmasked = not self.graph.reads_mask and not self._pad_to_max_length
        return unmasked or self.file.dynamically_quantized

    def _load_tokenizer(self) -> TextTokenizer:
        return load_tokenizer(self.base.folder.path, self.settings.max_length)

    def _load_graph(self) -> TextGraph:
        loaded = self.base.graph
        return TextGraph(loaded.sessions, loaded.input_types, self.tokenizer, self._pad_to_max_length)
