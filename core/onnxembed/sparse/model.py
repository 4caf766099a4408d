"""`SparseTextEmbedding`, the public class of sparse text models."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from onnxembed.api.asynchronous import awaited, streamed
from onnxembed.api.custom import Adding
from onnxembed.api.find import find_model
from onnxembed.api.inputs import check_count, check_parallel, check_texts, in_chunks
from onnxembed.api.model import Model, constructor
from onnxembed.api.settings import EngineSettings, store_settings
from onnxembed.catalog.registry import Registry
from onnxembed.errors import InputError
from onnxembed.runtime.progress import progress, while_read
from onnxembed.sparse.known import describe_sparse, sparse_registry
from onnxembed.sparse.options import SparseOptions, own_options, settle
from onnxembed.sparse.spec import SparseKind, SparseModel
from onnxembed.text.options import InputType
from onnxembed.text.spec import NO_PROMPTS

if TYPE_CHECKING:
    from onnxembed.hub.files import Files
    from onnxembed.sparse.auto_encoder import AutoEncoderEngine
    from onnxembed.sparse.bm25 import Bm25
    from onnxembed.sparse.bm25_engine import Bm25Engine
    from onnxembed.sparse.engine import SparseEngine
    from onnxembed.sparse.statistics import Bm25Statistics
    from onnxembed.sparse.vector import SparseEmbedding


class SparseTextEmbedding(Model[SparseOptions, SparseModel, "SparseEngine | AutoEncoderEngine | Bm25Engine"]):
    """Sparse text embeddings: SPLADE, BM42, BM25, MiniCOIL, inference-free document encoders, and auto-encoders.

    Names, methods and parameters are those that users of fastembed know; options after ``lazy_load`` are keywords. An
    option that the chosen model does not have is refused. Objects are immutable, safe to share between threads, usable
    after a fork, and small when pickled. A text without a word that counts has the empty vector. BM25 never downloads
    anything. The options are those of `SparseOptions`.
    """

    @constructor(SparseOptions)
    def __init__(self, options: SparseOptions) -> None:
        model, folder, by_files = find_model(sparse_registry, options, _describe_files)
        options = settle(options, model)
        self._open(model, folder, options, _engine_maker(model, folder, options), by_files)

    # what the model is

    @property
    def kind(self) -> SparseKind:
        """How a text becomes a vector."""
        return self._settings.model.kind

    @property
    def loaded(self) -> bool:
        """Whether the weights are in this process's memory; BM25, which has none, is always ready."""
        return self.kind is SparseKind.BM25 or super().loaded

    @property
    def statistics(self) -> Bm25Statistics | None:
        """What BM25 measured in `fit`, or was given; ``None`` for other models."""
        return self._options.statistics

    @property
    def requires_idf(self) -> bool:
        """Whether the search engine has to bring in the inverse document frequency."""
        return self._settings.model.requires_idf and not self._options.idf_in_query

    @property
    def max_length(self) -> int | None:
        """Tokens that a text is cut to, special tokens included; ``None`` for BM25. Reads the tokenizer."""
        return self._engine.max_length

    @property
    def fingerprint(self) -> str:
        """32 hexadecimal digits that change whenever the vectors may: made of the files and of all options that count.

        Finds, and if need be downloads, the files; loads no weights.
        """
        bm25 = self._bm25
        if bm25 is not None:
            return bm25.settings.fingerprint
        model, options = self._settings.model, self._options
        names = [name for name in own_options(model.kind) if name not in ("max_length", "token_budget")]
        own = {name: getattr(options, name) for name in ("truncate", *names)}
        relevant: tuple[object, ...] = (model.kind.value, model.output, own, self.max_length)
        described = (
            model.logarithms,
            model.summed,
            model.query_table,
            model.prompts,
            model.default_prompt,
            model.encoder,
        )
        # As ever for models that have none of these.
        return self._digest(relevant if described == (1, False, "", NO_PROMPTS, None, None) else (*relevant, described))

    # embedding

    def embed(
        self, documents: str | Iterable[str], batch_size: int | None = None, parallel: int | None = None
    ) -> Iterator[SparseEmbedding]:
        """Embed documents.

        Arguments and lists are checked at the call; a generator's items as they are read. The result of a text does not
        depend on its neighbours.

        Args:
            documents: One text, or any iterable of texts; a generator may be endless.
            batch_size: Most texts in a batch, which ``token_budget`` bounds as well; ``None`` leaves it to that.
            parallel: Batches run at once. ``None`` for one per device, each using ``threads`` processors; 0 for one per
                usable processor. For BM25 it is the number of processes that share the work, this one included.

        Returns:
            An iterator of one `SparseEmbedding` per text, in order: values float64, indices int64 ascending.
        """
        return self._stream(check_texts(documents, "documents"), None, batch_size, parallel)

    def query_embed(
        self, query: str | Iterable[str], batch_size: int | None = None, parallel: int | None = None
    ) -> Iterator[SparseEmbedding]:
        """Embed one query, or any iterable of queries; otherwise as `embed`.

        For SPLADE they are documents; BM25, BM42 and inference-free models need no inference.
        """
        return self._stream(check_texts(query, "query"), "query", batch_size, parallel)

    def passage_embed(
        self, texts: str | Iterable[str], batch_size: int | None = None, parallel: int | None = None
    ) -> Iterator[SparseEmbedding]:
        """Embed documents, as `embed` does; where a default prompt is chosen, `embed` takes that instead of theirs."""
        return self._stream(check_texts(texts, "texts"), "document", batch_size, parallel)

    def token_count(self, texts: str | Iterable[str], batch_size: int = 1024) -> int:
        """Count tokens, special tokens included and each text cut to `max_length`; loads no weights.

        Args:
            texts: One text, or any iterable of texts.
            batch_size: Texts counted at once.

        Returns:
            The sum; 0 for no texts. For BM25, words before any is dropped.
        """
        batch_size = check_count(batch_size, "batch_size", 1)
        chunks = in_chunks(check_texts(texts, "texts").items, batch_size)
        return sum(self._engine.count(chunk) for chunk in chunks)

    def fit(self, texts: str | Iterable[str], parallel: int | None = None) -> SparseTextEmbedding:
        """Measure a collection with BM25: its mean length and how many documents hold each term.

        Args:
            texts: The documents; read once, as a stream.
            parallel: Processes to share the work, 0 for one per usable processor, ``None`` for none but this.

        Returns:
            A new object with these settings and the statistics, which are among its `options`.

        Raises:
            InputError: If the model is not BM25, or there is no word in the texts.
        """
        bm25 = self._bm25
        if bm25 is None:
            raise InputError(
                f"{self.model_name} is a {self.kind.value} model; only BM25 models measure a collection with fit()"
            )
        checked = check_texts(texts, "texts")
        shown = progress("Measuring", "text", checked.count, shown=self._options.show_progress)
        measured = bm25.fit(while_read(checked.items, shown), check_parallel(parallel) or 1)
        fitted = object.__new__(type(self))
        options = replace(self._options, avg_len=None, statistics=measured.statistics)
        make_engine = partial(_make_bm25_engine, measured)
        fitted.__dict__.update(self.__dict__, _options=options, _make_engine=make_engine, _held=None)
        return fitted

    aembed = streamed(embed)
    aquery_embed = streamed(query_embed)
    apassage_embed = streamed(passage_embed)
    atoken_count = awaited(token_count)
    afit = awaited(fit)

    # models

    add_custom_model = Adding(SparseModel.custom, sparse_registry)

    # one call

    @property
    def _bm25(self) -> Bm25 | None:
        """What counts words, for BM25."""
        return cast("Bm25Engine", self._engine).bm25 if self.kind is SparseKind.BM25 else None

    def _run(
        self, items: Iterable[str], use: InputType | None, batch_size: int, workers: int | None
    ) -> Iterator[SparseEmbedding]:
        return self._engine.run(items, use, self._options, batch_size, workers)

    @classmethod
    def _registry(cls) -> Registry[SparseModel]:
        return sparse_registry

    _describe = staticmethod(describe_sparse)


def _describe_files(files: Files) -> SparseModel:
    from onnxembed.sparse.discovery import describe

    return describe(files)


def _engine_maker(
    model: SparseModel, folder: str | None, options: SparseOptions
) -> Callable[[EngineSettings[SparseModel]], Any]:
    """Choose how an engine is made: one that all share for a graph, one per object for BM25."""
    if model.kind is SparseKind.AUTO_ENCODER:
        return _make_auto_encoder
    if model.kind is not SparseKind.BM25:
        return _make_engine
    from onnxembed.sparse.bm25 import Bm25
    from onnxembed.sparse.bm25_settings import Bm25Settings, find_stop_words

    stop_words = find_stop_words(model, store_settings(folder, options))
    return partial(_make_bm25_engine, Bm25(Bm25Settings(options, stop_words)))


def _make_auto_encoder(settings: EngineSettings[SparseModel]) -> AutoEncoderEngine:
    from onnxembed.sparse.auto_encoder import AutoEncoderEngine

    return AutoEncoderEngine(settings)


def _make_engine(settings: EngineSettings[SparseModel]) -> SparseEngine:
    from onnxembed.sparse.engine import SparseEngine

    return SparseEngine(settings)


def _make_bm25_engine(bm25: Bm25, settings: EngineSettings[SparseModel]) -> Bm25Engine:  # noqa: ARG001  # no files
    from onnxembed.sparse.bm25_engine import Bm25Engine

    return Bm25Engine(bm25)
