"""A sparse model that runs as a graph, in one process: its graph, its tokenizer and its tables."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from onnxembed.api.engine import Runner
from onnxembed.api.graph_file import GraphFile, find_graph
from onnxembed.api.settings import EngineSettings
from onnxembed.errors import ModelError
from onnxembed.formats.onnx_graph import inspect_graph
from onnxembed.hub import ModelFolder
from onnxembed.runtime.bounded_pool import BoundedPool
from onnxembed.runtime.per_process import PerProcess
from onnxembed.runtime.pipeline import Family
from onnxembed.sparse.options import GraphChoices
from onnxembed.sparse.spec import SparseKind, SparseModel
from onnxembed.sparse.special import special_ids
from onnxembed.sparse.splade import Pruning, SpladeWeigher
from onnxembed.sparse.vector import SparseEmbedding
from onnxembed.sparse.work import LookupFamily, SparseGraphFamily, Weigher
from onnxembed.text.text_engine import TextEngine
from onnxembed.text.tokenizer import TextTokenizer, Tokens

if TYPE_CHECKING:
    from onnxembed.sparse.bm42 import Bm42Words
    from onnxembed.sparse.inference_free import IdfTable
    from onnxembed.sparse.minicoil_words import MiniCoilTables

SparseFamily = Family[str, Tokens, SparseEmbedding]

MAXIMUM_OUTPUT = "max_logits"
ATTENTION_OUTPUT = "cls_attention"
# Bytes of a batch's logits. On processors larger batches are no faster; a graphics processor wants them.
_LOGIT_BYTES = 64 << 20
_LOGIT_BYTES_ON_GPU = 1 << 30
_LOOKUP_KINDS = (SparseKind.INFERENCE_FREE, SparseKind.BM42)
_LAYER_ATTENTION = re.compile(r"attention_(\d+)")


@dataclass(frozen=True, slots=True)
class LookupRunner:
    """Runs what needs no graph."""

    workers: int = 1
    default_budget: int = 1 << 20
    runs_alone: bool = False


class SparseEngine:
    """One sparse model in one process. Every part is loaded on first use."""

    def __init__(self, settings: EngineSettings[SparseModel]) -> None:
        """Remember what to load.

        Args:
            settings: What to load and how to run it.
        """
        self.settings = settings
        self.text = TextEngine(settings)
        self._idf = PerProcess(self._load_idf)
        self._bm42 = PerProcess(self._load_bm42)
        self._minicoil = PerProcess(self._load_minicoil)

    @property
    def kind(self) -> SparseKind:
        """How a text becomes a vector."""
        return self.settings.model.kind

    @property
    def pool(self) -> BoundedPool:
        """Runs the asynchronous calls."""
        return self.text.base.pool

    @property
    def folder(self) -> ModelFolder:
        """Where the files are; finds or downloads them."""
        return self.text.base.folder

    @property
    def tokenizer(self) -> TextTokenizer:
        """The tokenizer; loads no weights."""
        return self.text.tokenizer

    @property
    def loaded(self) -> bool:
        """Whether the weights are loaded in this process."""
        return self.text.base.loaded

    def load(self) -> None:
        """Load everything now instead of on first use."""
        self.family(GraphChoices(), query=False)
        if self.kind in _LOOKUP_KINDS:
            self.family(GraphChoices(), query=True)

    @property
    def workers(self) -> int:
        """Threads that run batches when the caller does not say."""
        return self.text.workers

    @property
    def default_budget(self) -> int:
        """Tokens of a padded batch beyond which this place gains nothing.

        Logits are hundreds of times larger than token vectors. Graphs that are compiled here never hold them all at
        once; in others their bytes bound the batch, wherever the maximum over the tokens is taken.
        """
        budget = self.text.default_budget
        if self.kind not in (SparseKind.SPLADE, SparseKind.INFERENCE_FREE) or self.text.file.compiled:
            return budget
        vocabulary = self.text.file.dim(self._logits()) or self.tokenizer.backend.get_vocab_size()
        most = _LOGIT_BYTES_ON_GPU if self.text.base.on_gpu else _LOGIT_BYTES
        return max(1, min(budget, most // (4 * vocabulary)))

    @property
    def runs_alone(self) -> bool:
        """Whether every text must be its own batch."""
        return self.text.runs_alone

    def runner(self, *, query: bool) -> Runner:
        """Choose what runs a call.

        Args:
            query: Whether its texts are queries.

        Returns:
            This engine, or one that loads no weights.
        """
        return LookupRunner() if query and self.kind in _LOOKUP_KINDS else self

    def family(self, choices: GraphChoices, *, query: bool) -> SparseFamily:
        """The model as one call uses it.

        Args:
            choices: What the caller chose.
            query: Whether its texts are queries.

        Returns:
            What the pipeline runs.
        """
        if query and self.kind is SparseKind.INFERENCE_FREE:
            return LookupFamily(self.tokenizer, self._idf.get().look_up, truncate=choices.truncate)
        if query and self.kind is SparseKind.BM42:
            return LookupFamily(self.tokenizer, self._bm42.get().look_up, truncate=choices.truncate)
        weigher = self._weigher(choices, query=query)
        return SparseGraphFamily(self.text.graph, weigher, truncate=choices.truncate)

    def _weigher(self, choices: GraphChoices, *, query: bool) -> Weigher:
        if self.kind is SparseKind.BM42:
            from onnxembed.sparse.bm42 import Bm42Weigher

            return Bm42Weigher(self._attention(), self._bm42.get(), choices.alpha)
        if self.kind is SparseKind.MINICOIL:
            from onnxembed.sparse.minicoil import MiniCoilWeigher, WordWeights

            weights = None if query else WordWeights(choices.k, choices.b, choices.avg_len)
            file = self.text.file
            output = file.output_name("last_hidden_state" if file.compiled else self.settings.model.output)
            return MiniCoilWeigher(output, self._minicoil.get(), weights)
        output = self._logits()
        finished = output != MAXIMUM_OUTPUT and _rank(self.text.file, output) == 2
        twice = self.kind is SparseKind.INFERENCE_FREE
        return SpladeWeigher(
            output,
            pruning=Pruning(choices.top_k, choices.min_weight),
            logarithms=0 if finished else 2 if twice else 1,
            left_out=np.array(special_ids(self.tokenizer), dtype=np.int64) if twice else None,
        )

    def _logits(self) -> str:
        """The output with the logits; in a copy that maximises the file's first output, that has another name."""
        file, model = self.text.file, self.settings.model
        if file.compiled:
            return file.output_name(MAXIMUM_OUTPUT)
        names = [output.name for output in file.outputs]
        if isinstance(model.output, str) and model.output not in names and MAXIMUM_OUTPUT in names:
            graph = find_graph(self.folder.path, model.model_file)
            if graph is not None and inspect_graph(graph).outputs[0].name == model.output:
                return MAXIMUM_OUTPUT
        return file.output_name(model.output)

    def _attention(self) -> str:
        """The output with the attention of the last layer."""
        file = self.text.file
        names = [output.name for output in file.outputs]
        if file.compiled or ATTENTION_OUTPUT in names:
            return file.output_name(ATTENTION_OUTPUT)
        wanted = self.settings.model.output
        if isinstance(wanted, str):
            return file.output_name(wanted)
        layers = [(int(match[1]), name) for name in names if (match := _LAYER_ATTENTION.fullmatch(name))]
        if not layers:
            raise ModelError(
                f"{file.path} gives {', '.join(names)}; a BM42 model needs the attention of its last layer, under a "
                "name such as attention_6. Export it with its attentions, or pass output_name= to add_custom_model"
            )
        return max(layers)[1]

    def _load_idf(self) -> IdfTable:
        from onnxembed.sparse.inference_free import load_idf

        return load_idf(self.folder.path, self.tokenizer)

    def _load_bm42(self) -> Bm42Words:
        from onnxembed.sparse.bm42 import load_bm42

        return load_bm42(self.folder.path, self.tokenizer)

    def _load_minicoil(self) -> MiniCoilTables:
        from onnxembed.sparse.minicoil_words import load_minicoil

        return load_minicoil(self.folder.path, self.tokenizer)


def _rank(file: GraphFile, output: str) -> int | None:
    """Dimensions of an output, where the graph says."""
    shape = next((info.shape for info in file.outputs if info.name == output), None)
    return None if shape is None else len(shape)
