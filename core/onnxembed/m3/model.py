"""`M3Embedding`, the public class of models that give a dense, a sparse and a multi-vector result in one pass."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from onnxembed.api.asynchronous import streamed
from onnxembed.api.find import find_model
from onnxembed.api.inputs import check_texts
from onnxembed.api.model import Model, constructor
from onnxembed.api.options import TextOptions
from onnxembed.runtime.batching import batch_limits
from onnxembed.text.known import dense_registry, describe_dense
from onnxembed.text.m3_files import COLBERT_HEAD, SPARSE_HEAD, describe_with_heads

if TYPE_CHECKING:
    from onnxembed.api.settings import EngineSettings
    from onnxembed.catalog.registry import Registry
    from onnxembed.m3.engine import M3Engine
    from onnxembed.m3.work import M3Vectors
    from onnxembed.text.spec import DenseModel


class M3Embedding(Model[TextOptions, "DenseModel", "M3Engine"]):
    """Dense, sparse and multi-vector embeddings of a text in one pass, by BGE-M3 and models made of it.

    The model's files hold ``sparse_linear.pt`` and ``colbert_linear.pt`` beside a dense model; nothing in these two is
    run. Over the same files, `TextEmbedding`, `SparseTextEmbedding` and `LateInteractionTextEmbedding` give one of the
    three results each. Objects are immutable, safe to share between threads, usable after a fork, and small when
    pickled. The options are those of `TextOptions`.
    """

    @constructor(TextOptions)
    def __init__(self, options: TextOptions) -> None:
        found = find_model(dense_registry, options, describe_with_heads)
        self._open(found.model, found.folder, options, _make_engine, found.by_files)

    @property
    def max_length(self) -> int:
        """Tokens that a text is cut to, special tokens included; reads the tokenizer."""
        return self._engine.tokenizer.rules.max_length

    @property
    def fingerprint(self) -> str:
        """32 hexadecimal digits that change whenever the vectors may: made of the files and of all options that count.

        Finds, and if need be downloads, the files; loads no weights.
        """
        return self._digest((self._options.truncate, self.max_length, SPARSE_HEAD, COLBERT_HEAD))

    def embed(
        self, documents: str | Iterable[str], batch_size: int | None = None, parallel: int | None = None
    ) -> Iterator[M3Vectors]:
        """Embed texts, queries and documents alike: these models have no prompts.

        Arguments and lists are checked at the call; a generator's items as they are read. The result of a text does not
        depend on its neighbours.

        Args:
            documents: One text, or any iterable of texts; a generator may be endless.
            batch_size: Most texts in a batch, which ``token_budget`` bounds as well; ``None`` leaves it to that.
            parallel: Batches run at once. ``None`` for one per device, each using ``threads`` processors; 0 for one per
                usable processor.

        Returns:
            An iterator of `M3Vectors`, in the order of the texts.
        """
        return self._stream(check_texts(documents, "documents"), None, batch_size, parallel)

    aembed = streamed(embed)

    def _run(self, items: Iterable[str], use: None, batch_size: int, workers: int | None) -> Iterator[M3Vectors]:  # noqa: ARG002  # there is one
        from onnxembed.runtime.pipeline import stream

        work, plan = self._engine.work(self._options)
        return stream(items, work, batch_limits(plan, batch_size, workers, self._options.token_budget))

    @classmethod
    def list_supported_models(cls) -> list[dict[str, object]]:
        """Describe the known models that have both heads, as plain data; others are opened by folder or repository."""
        heads = {SPARSE_HEAD, COLBERT_HEAD}
        return [describe_dense(model) for model in dense_registry.models() if heads <= set(model.additional_files)]

    @classmethod
    def _registry(cls) -> Registry[DenseModel]:
        return dense_registry

    _describe = staticmethod(describe_dense)


def _make_engine(settings: EngineSettings[DenseModel]) -> M3Engine:
    from onnxembed.m3.engine import M3Engine

    return M3Engine(settings)
