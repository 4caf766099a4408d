"""Dense vectors made sparse by an auto-encoder: sentence-transformers' SparseAutoEncoder.

The largest of ``(x - b) W^T + c`` are kept where they are positive (Wen et al., 2025, arXiv:2503.01776). The body and
the pooling are those of a dense model.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from onnxembed.api.engine import GraphEngine
from onnxembed.api.settings import EngineSettings
from onnxembed.errors import ModelError
from onnxembed.formats.safetensors import SafetensorsFile
from onnxembed.formats.weight_files import WEIGHTS_FILE
from onnxembed.runtime.batching import batch_limits
from onnxembed.runtime.per_process import PerProcess
from onnxembed.runtime.pipeline import stream
from onnxembed.sparse.options import SparseOptions
from onnxembed.sparse.prompts import prompt_of
from onnxembed.sparse.spec import AutoEncoderStage, SparseModel
from onnxembed.sparse.splade import Pruning, pruned
from onnxembed.sparse.vector import SparseEmbedding, split_by_text
from onnxembed.text.engine import DenseEngine
from onnxembed.text.options import DenseOptions, InputType, Use
from onnxembed.text.spec import DenseModel
from onnxembed.text.tokenizer import Tokens

if TYPE_CHECKING:
    from onnxembed.text.engine import TextWork

Array = np.ndarray[Any, np.dtype[Any]]
_WEIGHTS = ("encoder.weight", "decoder.linear.weight")
_EPSILON = 1e-5  # of the standardisation, added to the deviation


@dataclass(frozen=True, slots=True, eq=False)
class AutoEncoder:
    """The weights, float32.

    Attributes:
        weight: (entries, inputs).
        before: (inputs,), taken from the vectors.
        after: (entries,), added to the products.
        standardized: Whether vectors are brought to mean 0 and deviation 1 first.
    """

    weight: Array
    before: Array
    after: Array
    standardized: bool

    def encode(self, vectors: Array, pruning: Pruning) -> list[SparseEmbedding]:
        """Make one sparse vector of each of (vectors, inputs) float32."""
        if self.standardized:
            centred = vectors - vectors.mean(axis=1, keepdims=True)
            vectors = centred / (centred.std(axis=1, ddof=1, keepdims=True) + np.float32(_EPSILON))
        latent = (vectors - self.before) @ self.weight.T + self.after
        rows, ids = np.nonzero(latent > 0)
        weights = latent[rows, ids]
        kept = pruned(rows, ids, weights, pruning)
        return split_by_text(rows[kept], ids[kept], weights[kept], len(latent))


@dataclass(frozen=True, slots=True)
class AutoEncoderWork:
    """The work of one call: that of the dense model, and its vectors made sparse."""

    dense: TextWork
    encoder: AutoEncoder
    pruning: Pruning

    size = staticmethod(len)

    def prepare(self, items: Sequence[str], first_index: int) -> Sequence[Tokens]:
        """Tokenise texts."""
        return self.dense.prepare(items, first_index)

    def costs(self, prepared: Sequence[Tokens]) -> Sequence[int]:
        """Count the tokens of each text."""
        return self.dense.costs(prepared)

    def run(self, batch: Sequence[Tokens], worker: int) -> list[SparseEmbedding]:
        """Embed a batch and make its vectors sparse."""
        return self.encoder.encode(np.asarray(self.dense.run(batch, worker)), self.pruning)


class AutoEncoderEngine:
    """One dense model with its auto-encoder in one process. Every part is loaded on first use."""

    def __init__(self, settings: EngineSettings[SparseModel]) -> None:
        """Remember what to load."""
        self.model = settings.model
        dense = cast("DenseModel", settings.model.dense)
        dense_settings = cast("EngineSettings[DenseModel]", replace(cast("Any", settings), model=dense))
        self._dense = DenseEngine(dense_settings)
        self.base: GraphEngine[DenseModel] = self._dense.base
        self._encoder = PerProcess(self._load_encoder)

    @property
    def loaded(self) -> bool:
        """Whether the weights are loaded in this process."""
        return self._dense.loaded

    @property
    def max_length(self) -> int:
        """Tokens that a text is cut to, special tokens included; reads the tokenizer."""
        return self._dense.tokenizer.rules.max_length

    def load(self) -> None:
        """Load everything now instead of on first use."""
        self._dense.load()
        self._encoder.get()

    def count(self, texts: Sequence[str]) -> int:
        """Count tokens, special tokens included and each text cut to the limit; loads no weights."""
        return self._dense.tokenizer.count(texts)

    def run(
        self,
        texts: Iterable[str],
        input_type: InputType | None,
        options: SparseOptions,
        batch_size: int,
        workers: int | None,
    ) -> Iterator[SparseEmbedding]:
        """Load what a call needs, and begin it."""
        use = Use(prompt_of(self.model, input_type), None)
        dense, plan = self._dense.work(DenseOptions(options.model_name, truncate=options.truncate), use)
        pruning = Pruning(options.top_k, cast("float", options.min_weight))
        work = AutoEncoderWork(dense, self._encoder.get(), pruning)
        return stream(texts, work, batch_limits(plan, batch_size, workers, options.token_budget))

    def _load_encoder(self) -> AutoEncoder:
        return load_auto_encoder(self.base.folder.path, cast("AutoEncoderStage", self.model.encoder))


def load_auto_encoder(folder: Path, stage: AutoEncoderStage) -> AutoEncoder:
    """Read the weights in a stage's folder; those of another shape are a `ModelError`."""
    path = folder / stage.folder / WEIGHTS_FILE
    with SafetensorsFile(path) as file:
        # The decoder is the encoder transposed: one tensor, which is saved under either name.
        name = next((name for name in _WEIGHTS if name in file.names), _WEIGHTS[0])
        weight, before, after = (file.tensor(part).astype(np.float32) for part in (name, "pre_bias", "latent_bias"))
    shapes = (weight.shape, before.shape, after.shape)
    expected = ((stage.entries, stage.inputs), (stage.inputs,), (stage.entries,))
    if shapes != expected or not all(np.isfinite(tensor).all() for tensor in (weight, before, after)):
        raise ModelError(f"{path} holds weights of the shapes {shapes}; expected finite ones of {expected}")
    return AutoEncoder(weight, before, after, stage.standardized)
