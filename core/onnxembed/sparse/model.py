"""`SparseTextEmbedding`: the sparse text models as users meet them."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from onnxembed.api.inputs import as_texts, check_count, check_flag
from onnxembed.api.options import engine_settings, find_model
from onnxembed.errors import InputError, InputTypeError
from onnxembed.runtime.providers import Device
from onnxembed.runtime.session import OptionValue
from onnxembed.sparse.backend import Backend, SparseCall, check_sparse_call
from onnxembed.sparse.known import describe_sparse, sparse_registry
from onnxembed.sparse.options import parse_choices, refuse_foreign_options
from onnxembed.sparse.spec import SparseKind, SparseModel
from onnxembed.spec import ModelSource
from onnxembed.text.tokenizer_rules import check_max_length

if TYPE_CHECKING:
    from pathlib import Path

    from onnxembed.api.settings import EngineSettings
    from onnxembed.sparse.scripts import Segmenter
    from onnxembed.sparse.statistics import Bm25Statistics
    from onnxembed.sparse.terms import Stemmer
    from onnxembed.sparse.vector import SparseEmbedding

T = TypeVar("T")


class SparseTextEmbedding:
    """Sparse text embeddings: SPLADE, BM42, BM25, MiniCOIL, and the inference-free document encoder.

    Names, methods and parameters are those that users of fastembed know; those after ``lazy_load`` are keywords. An
    option that the chosen model does not know is refused. Objects are immutable, safe to share between threads, usable
    after a fork, and small when pickled. A text without a word that counts has the empty vector.

    Args:
        model_name: A name of `list_supported_models`, in any case, or the path of a folder with a model's files.
        cache_dir: Where models are kept. ``None``: ``ONNXEMBED_CACHE``, then ``FASTEMBED_CACHE_PATH``, then the
            standard Hugging Face cache.
        threads: Processors that one inference uses; ``None`` for all that this process may use.
        providers: ONNX Runtime execution providers, best first: names, or pairs of a name and its options.
        cuda: ``True`` requires CUDA, ``False`` the processor; ``Device.AUTO`` takes CUDA where ONNX Runtime has it.
        device_ids: CUDA devices to spread batches over.
        lazy_load: Whether files are looked for and loaded on first use instead of here.
        local_files_only: Whether nothing may be downloaded. BM25 never downloads anything.
        specific_model_path: A folder that holds the files of ``model_name``; for BM25, ``<language>.txt`` files with
            stop words, which win over those of the package.
        revision: Branch, tag or commit of the Hub repository.
        max_length: Tokens that a text is cut to, special tokens included; ``None`` for the limit of the files.
        truncate: Whether longer texts are cut, with one warning in the log per model; otherwise they are refused.
        enable_cpu_mem_arena: Whether ONNX Runtime keeps freed memory for later runs.
        session_options: Further attributes of ``onnxruntime.SessionOptions``, or configuration entries.
        token_budget: Tokens of a padded batch; a longer text runs alone. ``None``: 256 for each processor in use, and
            for SPLADE no more than give 64 MB of logits.
        alpha: BM42: exponent of the weights, 0.5 unless given.
        k: BM25 and MiniCOIL: how slowly repetition stops to count, at least 0; 1.2 unless given.
        b: BM25 and MiniCOIL: how much the length of a document counts, 0 to 1; 0.75 unless given.
        avg_len: BM25 and MiniCOIL: mean length of a document in words; 256 and 150 unless given.
        language: BM25: name or ISO 639-1 code; English unless given.
        token_max_length: BM25: longer words are dropped, in code points; 40 unless given.
        disable_stemmer: BM25: keep words whole.
        stemmer: BM25: an object with ``stem_word(word) -> str``, instead of Snowball.
        stopwords: BM25: words to drop, instead of the language's list; an empty collection drops none.
        compatible: BM25: give fastembed 0.9.1's numbers, its faults included.
        statistics: BM25: what `fit` measured.
        idf_in_query: BM25: put the inverse document frequency into query vectors, for stores that cannot.
        segmenter: BM25: cuts runs of scripts without spaces into words.
        top_k: SPLADE kinds: keep so many entries, the heaviest.
        min_weight: SPLADE kinds: keep entries of at least this weight.

    Raises:
        UnknownModelError: The name is not known; the nearest ones are offered.
        ModelNotFoundError: No source could give the files, or a folder holds no model.
        InputError: A value is out of range, or the model does not know the option.
        InputTypeError: A value has the wrong type.
        ProviderError: A provider or device is not available.
    """

    def __init__(
        self,
        model_name: str | os.PathLike[str],
        cache_dir: str | os.PathLike[str] | None = None,
        threads: int | None = None,
        providers: Sequence[str | tuple[str, Mapping[str, Any]]] | None = None,
        cuda: bool | Device | str = Device.AUTO,
        device_ids: Sequence[int] | None = None,
        lazy_load: bool = False,
        *,
        local_files_only: bool = False,
        specific_model_path: str | os.PathLike[str] | None = None,
        revision: str | None = None,
        max_length: int | None = None,
        truncate: bool = True,
        enable_cpu_mem_arena: bool | None = None,
        session_options: Mapping[str, OptionValue] | None = None,
        token_budget: int | None = None,
        alpha: float | None = None,
        k: float | None = None,
        b: float | None = None,
        avg_len: float | None = None,
        language: str | None = None,
        token_max_length: int | None = None,
        disable_stemmer: bool | None = None,
        stemmer: Stemmer | None = None,
        stopwords: Iterable[str] | None = None,
        compatible: bool | None = None,
        statistics: Bm25Statistics | None = None,
        idf_in_query: bool | None = None,
        segmenter: Segmenter | None = None,
        top_k: int | None = None,
        min_weight: float | None = None,
    ) -> None:
        model, folder = find_model(sparse_registry, model_name, specific_model_path, _describe)
        given = refuse_foreign_options(
            model,
            {
                "max_length": check_max_length(max_length),
                "token_budget": None if token_budget is None else check_count(token_budget, "token_budget", 1),
                "alpha": alpha,
                "k": k,
                "b": b,
                "avg_len": avg_len,
                "language": language,
                "token_max_length": token_max_length,
                "disable_stemmer": disable_stemmer,
                "stemmer": stemmer,
                "stopwords": stopwords,
                "compatible": compatible,
                "statistics": statistics,
                "idf_in_query": idf_in_query,
                "segmenter": segmenter,
                "top_k": top_k,
                "min_weight": min_weight,
            },
        )
        settings = engine_settings(
            model,
            folder,
            cache_dir=cache_dir,
            threads=threads,
            providers=providers,
            cuda=cuda,
            device_ids=device_ids,
            local_files_only=local_files_only,
            revision=revision,
            max_length=max_length,
            enable_cpu_mem_arena=enable_cpu_mem_arena,
            session_options=session_options,
        )
        self._backend = _backend(settings, given, check_flag(truncate, "truncate"))
        if not lazy_load:
            self._backend.load()

    def __copy__(self) -> SparseTextEmbedding:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> SparseTextEmbedding:
        return self

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.model_name!r})"

    # what the model is

    @property
    def model_name(self) -> str:
        """The model's name as the catalogue spells it, or its folder."""
        return self._backend.model.name

    @property
    def kind(self) -> SparseKind:
        """How a text becomes a vector."""
        return self._backend.model.kind

    @property
    def statistics(self) -> Bm25Statistics | None:
        """What BM25 measured in `fit`, or was given; ``None`` for other models."""
        statistics: Bm25Statistics | None = self.options.get("statistics")
        return statistics

    @property
    def requires_idf(self) -> bool:
        """Whether the search engine has to bring in the inverse document frequency."""
        return self._backend.requires_idf

    @property
    def max_length(self) -> int | None:
        """Tokens that a text is cut to, special tokens included; ``None`` for BM25. Reads the tokenizer."""
        return self._backend.max_length

    @property
    def max_concurrency(self) -> int:
        """How many calls of the asynchronous methods run at once."""
        return self._backend.pool.max_concurrency

    @property
    def loaded(self) -> bool:
        """Whether the weights are in this process's memory."""
        return self._backend.loaded

    @property
    def options(self) -> dict[str, Any]:
        """The constructor's arguments that would make this object again, ``lazy_load`` aside; defaults filled in."""
        return self._backend.options

    @property
    def fingerprint(self) -> str:
        """32 hexadecimal digits that change whenever the vectors may: made of the files and of all options that count.

        Finds, and if need be downloads, the files; loads no weights.
        """
        return self._backend.fingerprint

    # embedding

    def embed(
        self, documents: str | Iterable[str], batch_size: int = 256, parallel: int | None = None
    ) -> Iterator[SparseEmbedding]:
        """Embed documents.

        Arguments and lists are checked at the call; a generator's items as they are read. The result of a text does not
        depend on its neighbours.

        Args:
            documents: One text, or any iterable of texts; a generator may be endless.
            batch_size: Most texts in a batch; batches are also bounded by ``token_budget``.
            parallel: Batches run at once. ``None`` for one a device, each using ``threads`` processors; 0 for one a
                usable processor. For BM25 it is the number of processes that share the work, this one included.

        Returns:
            An iterator of one `SparseEmbedding` a text, in order: values float64, indices int64 ascending.
        """
        return self._backend.embed(check_sparse_call(documents, "documents", batch_size, parallel, query=False))

    def query_embed(
        self, query: str | Iterable[str], batch_size: int = 256, parallel: int | None = None
    ) -> Iterator[SparseEmbedding]:
        """Embed queries. For SPLADE they are documents; BM25, BM42 and inference-free models need no inference.

        Args:
            query: One query, or any iterable of queries.
            batch_size: As for `embed`.
            parallel: As for `embed`.

        Returns:
            An iterator of one `SparseEmbedding` a query, in order.
        """
        return self._backend.embed(check_sparse_call(query, "query", batch_size, parallel, query=True))

    def passage_embed(
        self, texts: str | Iterable[str], batch_size: int = 256, parallel: int | None = None
    ) -> Iterator[SparseEmbedding]:
        """Embed passages: the same as `embed`.

        Args:
            texts: One passage, or any iterable of passages.
            batch_size: As for `embed`.
            parallel: As for `embed`.

        Returns:
            An iterator of one `SparseEmbedding` a passage, in order.
        """
        return self._backend.embed(check_sparse_call(texts, "texts", batch_size, parallel, query=False))

    def token_count(self, texts: str | Iterable[str], batch_size: int = 1024) -> int:
        """Count tokens, special tokens included and each text cut to `max_length`; loads no weights.

        Args:
            texts: One text, or any iterable of texts.
            batch_size: Texts counted at once.

        Returns:
            The sum; 0 for no texts. For BM25, words before any is dropped.
        """
        check_count(batch_size, "batch_size", 1)
        return self._backend.count(as_texts(texts, "texts"), batch_size)

    def fit(self, texts: str | Iterable[str], parallel: int | None = None) -> SparseTextEmbedding:
        """Measure a collection with BM25: its mean length and how many documents hold each term.

        Args:
            texts: The documents; read once, as a stream.
            parallel: Processes to share the work, 0 for one a usable processor, ``None`` for none but this.

        Returns:
            A new object with these settings and the statistics, which are among its `options`.

        Raises:
            InputError: If the model is not BM25, or there is no word in the texts.
        """
        from onnxembed.sparse.lexical import LexicalBackend

        if not isinstance(self._backend, LexicalBackend):
            raise InputError(
                f"{self.model_name} is a {self.kind.value} model, which measures no collection; fit() belongs to BM25"
            )
        fitted = object.__new__(type(self))
        fitted._backend = self._backend.fit(texts, parallel)
        return fitted

    # the same without blocking an event loop

    def aembed(
        self, documents: str | Iterable[str], batch_size: int = 256, parallel: int | None = None
    ) -> AsyncIterator[SparseEmbedding]:
        """Asynchronous twin of `embed`: runs in the model's own small pool, with the caller's context variables.

        Args:
            documents: As for `embed`.
            batch_size: As for `embed`.
            parallel: As for `embed`.

        Returns:
            An asynchronous iterator of one `SparseEmbedding` a text.
        """
        call = check_sparse_call(documents, "documents", batch_size, parallel, query=False)
        return self._backend.pool.iterate(self._lazy_stream(call))

    def aquery_embed(
        self, query: str | Iterable[str], batch_size: int = 256, parallel: int | None = None
    ) -> AsyncIterator[SparseEmbedding]:
        """Asynchronous twin of `query_embed`.

        Args:
            query: As for `query_embed`.
            batch_size: As for `embed`.
            parallel: As for `embed`.

        Returns:
            An asynchronous iterator of one `SparseEmbedding` a query.
        """
        call = check_sparse_call(query, "query", batch_size, parallel, query=True)
        return self._backend.pool.iterate(self._lazy_stream(call))

    def apassage_embed(
        self, texts: str | Iterable[str], batch_size: int = 256, parallel: int | None = None
    ) -> AsyncIterator[SparseEmbedding]:
        """Asynchronous twin of `passage_embed`.

        Args:
            texts: As for `passage_embed`.
            batch_size: As for `embed`.
            parallel: As for `embed`.

        Returns:
            An asynchronous iterator of one `SparseEmbedding` a passage.
        """
        call = check_sparse_call(texts, "texts", batch_size, parallel, query=False)
        return self._backend.pool.iterate(self._lazy_stream(call))

    async def run_async(self, function: Callable[[], T]) -> T:
        """Await a blocking call in the model's own pool, at most `max_concurrency` at once.

        The caller's context variables are copied. Cancelling drops a call that has not begun; one under way finishes.

        Args:
            function: The call.

        Returns:
            What it returns.
        """
        return await self._backend.pool.run(function)

    # models

    @classmethod
    def list_supported_models(cls) -> list[dict[str, object]]:
        """Tell what models there are, those added by `add_custom_model` included.

        Returns:
            A description of each, as plain data.
        """
        return [describe_sparse(model) for model in sparse_registry.models()]

    @classmethod
    def add_custom_model(
        cls,
        model: str,
        kind: SparseKind | str,
        sources: ModelSource,
        model_file: str = "onnx/model.onnx",
        description: str = "",
        license: str = "",  # noqa: A002  # the name that users know
        size_in_gb: float = 0.0,
        additional_files: Sequence[str] | None = None,
        output_name: str | None = None,
        *,
        requires_idf: bool | None = None,
        vocab_size: int = 0,
        max_tokens: int | None = None,
    ) -> None:
        """Add a model for this process; embeddings made from it carry its description to other processes.

        Args:
            model: Its name; no other model may have it, case aside.
            kind: How a text becomes a vector. Models of one kind need the same files beside the graph: ``idf.json``
                (INFERENCE_FREE), ``stopwords.txt`` (BM42, MINICOIL; may be absent),
                ``minicoil.triplet.model.{npy,vocab}`` (MINICOIL).
            sources: Where its files are.
            model_file: The graph, relative to the model's folder.
            description: One line for people.
            license: Licence of the weights.
            size_in_gb: Download size.
            additional_files: Further files that must be there; ``None`` for those that the kind needs.
            output_name: Name of the graph output to take; ``None`` for the first, for BM42 the last layer's attention.
            requires_idf: Whether the search engine has to bring in the inverse document frequency; ``None`` for what
                is usual for the kind.
            vocab_size: Words or entries that can have a weight by themselves; 0 where it is not known.
            max_tokens: The limit its authors state.

        Raises:
            InputTypeError: If ``sources`` is no `ModelSource`.
            InputError: If the kind is unknown, or is BM25, which needs no model.
        """
        if not isinstance(sources, ModelSource):
            raise InputTypeError(f"sources={sources!r}: expected a ModelSource, such as ModelSource(hf='org/name')")
        chosen = _parse_kind(kind)
        sparse_registry.add(
            SparseModel(
                name=model,
                sources=(sources,),
                kind=chosen,
                model_file=model_file,
                additional_files=_FILES_OF_KIND[chosen] if additional_files is None else tuple(additional_files),
                output=0 if output_name is None else output_name,
                requires_idf=chosen in _IDF_KINDS if requires_idf is None else check_flag(requires_idf, "requires_idf"),
                vocab_size=check_count(vocab_size, "vocab_size", 0),
                max_tokens=max_tokens,
                license=license,
                size_in_gb=size_in_gb,
                description=description,
            )
        )

    def _lazy_stream(self, call: SparseCall) -> Iterator[SparseEmbedding]:
        """The same as `embed`, but the model is loaded by whoever takes the first step."""
        yield from self._backend.embed(call)


_FILES_OF_KIND: Mapping[SparseKind, tuple[str, ...]] = {
    SparseKind.SPLADE: (),
    SparseKind.INFERENCE_FREE: ("idf.json",),
    SparseKind.BM42: (),
    SparseKind.MINICOIL: ("minicoil.triplet.model.npy", "minicoil.triplet.model.vocab"),
}
_IDF_KINDS = frozenset({SparseKind.BM42, SparseKind.MINICOIL})


def _parse_kind(kind: SparseKind | str) -> SparseKind:
    from onnxembed.suggest import nearest

    names = [known.value for known in _FILES_OF_KIND]
    try:
        chosen = SparseKind(str(kind).upper())
    except ValueError:
        raise InputError(
            f"kind={kind!r} is unknown; expected one of {', '.join(names)}.{nearest(str(kind), names)}"
        ) from None
    if chosen is SparseKind.BM25:
        raise InputError(f"kind={kind!r}: BM25 has no model to add; use 'Qdrant/bm25'. Others are {', '.join(names)}")
    return chosen


def _backend(settings: EngineSettings[SparseModel], given: Mapping[str, Any], truncate: bool) -> Backend:
    if settings.model.kind is SparseKind.BM25:
        from onnxembed.sparse.lexical import open_lexical

        return open_lexical(settings, given, truncate=truncate)
    from onnxembed.sparse.neural import NeuralBackend

    return NeuralBackend(settings, parse_choices(truncate, given), given.get("token_budget"))


def _describe(folder: Path) -> SparseModel:
    from onnxembed.sparse.discovery import describe_sparse_folder

    return describe_sparse_folder(folder)
