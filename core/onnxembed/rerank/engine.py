"""A cross-encoder in one process: its graph, and how one call uses it."""

from __future__ import annotations

from typing import Any

from onnxembed.api.engine import GraphEngine
from onnxembed.api.settings import EngineSettings
from onnxembed.foreign import reading
from onnxembed.rerank.cross_encoder import CrossEncoder, PairWork, WindowWork
from onnxembed.rerank.discovery import check_head, read_activation
from onnxembed.rerank.options import CrossEncoderOptions
from onnxembed.rerank.spec import Activation, CrossEncoderModel
from onnxembed.runtime.batching import RunPlan, batch_limits
from onnxembed.runtime.per_process import PerProcess
from onnxembed.runtime.pipeline import Work
from onnxembed.spec import TOKENIZER_FILE
from onnxembed.text.pair_tokenizer import PairTokenizer
from onnxembed.text.text_engine import TextEngine


class CrossEncoderEngine:
    """One cross-encoder in one process. Every part is loaded on first use: counting tokens loads no weights."""

    def __init__(self, settings: EngineSettings[CrossEncoderModel]) -> None:
        """Remember what to load."""
        self._model = settings.model
        self._text = TextEngine(settings, pools_itself=lambda _: True)
        self.base: GraphEngine[CrossEncoderModel] = self._text.base
        self._pairs = PerProcess(lambda: self.base.healed(self._load_pairs))
        self._encoder = PerProcess(self._load)

    @property
    def pairs(self) -> PairTokenizer:
        """The tokenizer; loads no weights."""
        return self._pairs.get()

    @property
    def loaded(self) -> bool:
        """Whether the weights are loaded in this process."""
        return self.base.loaded

    def load(self) -> None:
        """Load everything now instead of on first use."""
        self._encoder.get()

    def work(
        self, options: CrossEncoderOptions, query: str | None, activation: Activation, batch_size: int
    ) -> tuple[Work[Any, Any, float], RunPlan]:
        """Give the work of one call on documents of a query, or on pairs, and how the model runs it."""
        encoder = self._encoder.get()
        if activation is Activation.MODEL:
            activation = self._model.activation or self.base.healed(lambda: read_activation(self.base.folder.path))
        if options.windows is None:
            return PairWork(encoder, options, query, activation), encoder.plan
        limits = batch_limits(encoder.plan, batch_size, None, options.token_budget)
        return WindowWork(encoder, options, query, activation, limits), encoder.plan

    def _load_pairs(self) -> PairTokenizer:
        with reading(self.base.folder.path / TOKENIZER_FILE):
            return PairTokenizer(self._text.tokenizer)

    def _load(self) -> CrossEncoder:
        text = self._text.text.get()
        check_head(text.file.path, text.file.outputs[0])
        return CrossEncoder(text.graph, self.pairs, text.file.output_name(0), text.plan)
