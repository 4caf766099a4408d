"""A cross-encoder in one process: its graph, and how one call uses it."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from onnxembed.api.engine import GraphEngine
from onnxembed.api.settings import EngineSettings
from onnxembed.errors import UnsupportedModelError
from onnxembed.foreign import reading
from onnxembed.rerank.chat_pairs import ChatPairs
from onnxembed.rerank.cross_encoder import CrossEncoder, LabelWork, PairWork, WindowWork
from onnxembed.rerank.discovery import MOST_LABELS, check_head, read_activation, stored_activation, stored_labels
from onnxembed.rerank.labels import label_function
from onnxembed.rerank.options import CrossEncoderOptions
from onnxembed.rerank.spec import Activation, CrossEncoderModel
from onnxembed.runtime.batching import RunPlan, batch_limits
from onnxembed.runtime.per_process import PerProcess
from onnxembed.runtime.pipeline import Work
from onnxembed.spec import TOKENIZER_FILE
from onnxembed.text.pair_tokenizer import PairTokenizer
from onnxembed.text.text_engine import TextEngine
from onnxembed.text.tokenizer import TextTokenizer

Array = np.ndarray[Any, np.dtype[Any]]
_FUNCTIONS = {Activation.RAW: "torch.nn.Identity", Activation.SIGMOID: "torch.nn.Sigmoid"}


class CrossEncoderEngine:
    """One cross-encoder in one process. Every part is loaded on first use: counting tokens loads no weights."""

    def __init__(self, settings: EngineSettings[CrossEncoderModel]) -> None:
        """Remember what to load."""
        self._model = settings.model
        self._text = TextEngine(settings, pools_itself=lambda file: not file.compiled)
        self.base: GraphEngine[CrossEncoderModel] = self._text.base
        self._pairs = PerProcess(lambda: self.base.healed(self._load_pairs))
        self._encoder = PerProcess(self._load)

    @property
    def pairs(self) -> PairTokenizer | ChatPairs:
        """The tokenizer; loads no weights."""
        return self._pairs.get()

    @property
    def tokenizer(self) -> TextTokenizer:
        """What ``pairs`` stands on; loads no weights."""
        return self._text.tokenizer

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
        self._check_order(encoder)
        if activation is Activation.MODEL:
            activation = self._model.activation or self.base.healed(
                lambda: read_activation(self.base.folder.path, self._model.body_folder)
            )
        if options.windows is None:
            return PairWork(encoder, options, query, activation), encoder.plan
        limits = batch_limits(encoder.plan, batch_size, None, options.token_budget)
        return WindowWork(encoder, options, query, activation, limits), encoder.plan

    def label_work(self, options: CrossEncoderOptions) -> tuple[LabelWork, RunPlan]:
        """Give the work of one call on pairs that gives the scores of all labels."""
        encoder = self._encoder.get()
        stated = self._model.activation
        name = (
            self.base.healed(lambda: stored_activation(self.base.folder.path, self._model.body_folder))
            if stated is None
            else _FUNCTIONS[stated]
        )
        return LabelWork(encoder, partial(_applied, name), truncate=options.truncate), encoder.plan

    def _check_order(self, encoder: CrossEncoder) -> None:
        """Refuse to rank by labels that have no order, before any work."""
        labels = self._text.text.get().file.dim(encoder.output) or 1
        if self._text.text.get().file.axes(encoder.output) == 2 and labels > MOST_LABELS:
            raise UnsupportedModelError(
                f"{self._model.name} has {labels} labels, which have no order to rank by; expected at most "
                f"{MOST_LABELS} labels. label_scores() gives the score of each"
            )

    def _load_pairs(self) -> PairTokenizer | ChatPairs:
        model = self._model
        with reading(self.base.folder.path / TOKENIZER_FILE):
            if model.chat is not None:
                return ChatPairs(self._text.tokenizer, model.chat, model.prompt)
            return PairTokenizer(self._text.tokenizer)

    def _load(self) -> CrossEncoder:
        text = self._text.text.get()
        labels = stored_labels(self.base.folder.path, self._model.body_folder)
        if not text.file.compiled:
            check_head(text.file.path, text.file.outputs[0], labels)
        prompt = "" if self._model.chat is not None else self._model.prompt  # the template has it
        return CrossEncoder(
            text.graph, self.pairs, text.file.output_name(0), text.plan, prompt, bool(self._model.answers)
        )


def _applied(name: str | None, logits: Array) -> Array:
    """Apply the function of a model's files, which without a name depends on the number of labels."""
    return label_function(name, logits.shape[1])(logits)
