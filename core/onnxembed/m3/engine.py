"""A model like BGE-M3 in one process: its graph, its tokenizer and its two heads, each loaded on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnxembed.late_interaction.colbert import TokenHead
from onnxembed.m3.work import M3Work
from onnxembed.runtime.per_process import PerProcess
from onnxembed.sparse.splade import Pruning
from onnxembed.sparse.token_weights import TokenWeigher, WeightHead, load_weight_head
from onnxembed.text.m3_files import COLBERT_HEAD
from onnxembed.text.m3_heads import load_head
from onnxembed.text.stages import DenseLayer
from onnxembed.text.text_engine import TextEngine

if TYPE_CHECKING:
    from onnxembed.api.engine import GraphEngine
    from onnxembed.api.options import TextOptions
    from onnxembed.api.settings import EngineSettings
    from onnxembed.runtime.batching import RunPlan
    from onnxembed.text.spec import DenseModel
    from onnxembed.text.tokenizer import TextTokenizer


class M3Engine:
    """One model in one process."""

    def __init__(self, settings: EngineSettings[DenseModel]) -> None:
        """Remember what to load."""
        self._text = TextEngine(settings)
        self.base: GraphEngine[DenseModel] = self._text.base
        self._heads = PerProcess(lambda: self.base.healed(self._load_heads))

    @property
    def tokenizer(self) -> TextTokenizer:
        """The tokenizer; loads no weights."""
        return self._text.tokenizer

    @property
    def loaded(self) -> bool:
        """Whether the weights are loaded in this process."""
        return self.base.loaded

    def load(self) -> None:
        """Load everything now instead of on first use; the heads first, which are read in no time."""
        self._heads.get()
        self._text.text.get()

    def work(self, options: TextOptions) -> tuple[M3Work, RunPlan]:
        """Give the work of one call, and how the model runs it."""
        head, colbert = self._heads.get()
        text = self._text.text.get()
        output = text.file.token_output(None)
        weigher = TokenWeigher(output, head, Pruning())
        tokens = TokenHead(output, (colbert,), normalize=True)
        return M3Work(text.graph, weigher, tokens, options.truncate), text.plan

    def _load_heads(self) -> tuple[WeightHead, DenseLayer]:
        folder = self.base.folder.path
        return load_weight_head(folder, self._text.tokenizer), load_head(folder / COLBERT_HEAD)
