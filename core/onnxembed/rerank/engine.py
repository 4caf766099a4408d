"""A cross-encoder in one process: its graph, and how one call uses it."""

from __future__ import annotations

from onnxembed.api.settings import EngineSettings
from onnxembed.rerank.cross_encoder import CrossEncoder, CrossEncoderFamily, RunBounds
from onnxembed.rerank.discovery import check_head, read_activation
from onnxembed.rerank.settings import ScoreSettings
from onnxembed.rerank.spec import Activation, CrossEncoderModel
from onnxembed.runtime.bounded_pool import BoundedPool
from onnxembed.runtime.per_process import PerProcess
from onnxembed.text.pair_tokenizer import PairTokenizer
from onnxembed.text.text_engine import TextEngine


class CrossEncoderEngine:
    """One cross-encoder in one process. Every part is loaded on first use: counting tokens loads no weights."""

    def __init__(self, settings: EngineSettings[CrossEncoderModel]) -> None:
        """Remember what to load.

        Args:
            settings: What to load and how to run it.
        """
        self.settings = settings
        self.text = TextEngine(settings)
        self._pairs = PerProcess(lambda: PairTokenizer(self.text.tokenizer))
        self._model = PerProcess(self._load)

    @property
    def pool(self) -> BoundedPool:
        """Runs the asynchronous calls."""
        return self.text.base.pool

    @property
    def pairs(self) -> PairTokenizer:
        """The tokenizer; loads no weights."""
        return self._pairs.get()

    @property
    def loaded(self) -> bool:
        """Whether the weights are loaded in this process."""
        return self.text.base.loaded

    def load(self) -> None:
        """Load everything now instead of on first use."""
        self._model.get()

    @property
    def workers(self) -> int:
        """Threads that run batches when the caller does not say."""
        return self.text.workers

    @property
    def default_budget(self) -> int:
        """Tokens of a padded batch beyond which this place gains nothing."""
        return self.text.default_budget

    @property
    def runs_alone(self) -> bool:
        """Whether every pair must be its own batch."""
        return self.text.runs_alone

    @property
    def own_activation(self) -> Activation:
        """What the model's authors make of its raw score; reads the files where the description does not say."""
        return self.settings.model.activation or read_activation(self.text.base.folder.path)

    def family(
        self, settings: ScoreSettings, activation: Activation, *, batch_size: int, budget: int | None
    ) -> CrossEncoderFamily:
        """The model as one call uses it.

        Args:
            settings: How long pairs are read.
            activation: What becomes of the raw scores.
            batch_size: Most pairs in a batch.
            budget: Tokens of a padded batch, or ``None`` for the engine's default.

        Returns:
            What the pipeline runs.
        """
        if activation is Activation.MODEL:
            activation = self.own_activation
        bounds = RunBounds(budget or self.default_budget, 1 if self.runs_alone else batch_size)
        return CrossEncoderFamily(self._model.get(), settings, activation, bounds)

    def _load(self) -> CrossEncoder:
        graph, file = self.text.graph, self.text.file
        check_head(file.path, file.outputs[0])
        return CrossEncoder(graph, self.pairs, file.output_name(0))
