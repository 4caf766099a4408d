"""`LateInteractionTextEmbedding`: one vector a token, as users meet it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from onnxembed.api.inputs import as_texts, check_count, check_flag, check_text
from onnxembed.api.options import engine_options, engine_settings, find_model
from onnxembed.api.questions import check_many, check_query, read_documents
from onnxembed.api.ranking import RankedDocument, check_cut
from onnxembed.api.settings import EngineSettings
from onnxembed.api.shared import EngineHandle
from onnxembed.catalog.registry import dense_registry
from onnxembed.errors import InputError, InputTypeError
from onnxembed.late_interaction.known import describe_late_interaction, late_interaction_registry
from onnxembed.late_interaction.spec import LateInteractionModel, SkipRule
from onnxembed.runtime.providers import Device
from onnxembed.runtime.session import OptionValue
from onnxembed.spec import DenseModel, ModelSource
from onnxembed.text.call import Side
from onnxembed.text.tokenizer_rules import check_max_length

if TYPE_CHECKING:
    import numpy as np

    from onnxembed.late_interaction.engine import LateInteractionEngine

    Vectors = np.ndarray[tuple[int, int], np.dtype[np.float32]]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Call:
    """A call, checked; the model is not loaded yet."""

    texts: Iterable[object]
    side: Side
    batch_size: int
    parallel: int | None


class LateInteractionTextEmbedding:
    """One vector a token (ColBERT and its kin) with an ONNX model; `maxsim` compares such vectors.

    Names, methods and parameters are those that users of fastembed know; those after ``lazy_load`` are new. Objects are
    immutable, safe to share between threads, usable after a fork, and small when pickled. Two objects that need the
    same weights share them within a process.

    Args:
        model_name: A name of `list_supported_models`, in any case, or the path of a folder with a model's files,
            written by PyLate or by the ColBERT code. With ``dense``, a name or a folder of `TextEmbedding`.
        cache_dir: Where models are kept. ``None``: ``ONNXEMBED_CACHE``, then ``FASTEMBED_CACHE_PATH``, then the
            standard Hugging Face cache.
        threads: Processors that one inference uses; ``None`` for all that this process may use.
        providers: ONNX Runtime execution providers, best first: names, or pairs of a name and its options.
        cuda: ``True`` requires CUDA, ``False`` the processor; ``Device.AUTO`` takes CUDA where ONNX Runtime has it.
        device_ids: CUDA devices to spread batches over.
        lazy_load: Whether files are looked for and loaded on first use instead of here.
        local_files_only: Whether nothing may be downloaded.
        specific_model_path: A folder that holds the files of ``model_name``; no other place is looked at.
        revision: Branch, tag or commit of the Hub repository.
        max_length: Tokens that a text is cut to, special tokens and marker included; ``None`` for what the files say.
        truncate: Whether longer texts are cut, with one warning in the log per model; otherwise they are refused.
        dense: Whether the model is a dense one, whose last hidden states are given instead of a vector a text.
        normalize: Whether vectors are scaled to length 1; ``None`` for what the model's authors do.
        skip_special_tokens: Whether the vectors of the tokens around a text, such as ``[CLS]``, are left out.
        enable_cpu_mem_arena: Whether ONNX Runtime keeps freed memory for later runs.
        session_options: Further attributes of ``onnxruntime.SessionOptions``, or configuration entries.
        token_budget: Tokens of a padded batch; a longer text runs alone. ``None``: 256 for each processor in use.

    Raises:
        UnknownModelError: The name is not known; the nearest ones are offered.
        ModelNotFoundError: No source could give the files, or a folder holds no model.
        UnsupportedModelError: A folder does not say how its model treats queries and documents.
        InputError: A value is out of range.
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
        dense: bool = False,
        normalize: bool | None = None,
        skip_special_tokens: bool = False,
        enable_cpu_mem_arena: bool | None = None,
        session_options: Mapping[str, OptionValue] | None = None,
        token_budget: int | None = None,
    ) -> None:
        self._dense = check_flag(dense, "dense")
        find = _find_dense if dense else _find
        model, folder = find(model_name, specific_model_path)
        engine = engine_settings(
            replace(model, skip_special_tokens=check_flag(skip_special_tokens, "skip_special_tokens")),
            folder,
            cache_dir=cache_dir,
            threads=threads,
            providers=providers,
            cuda=cuda,
            device_ids=device_ids,
            local_files_only=local_files_only,
            revision=revision,
            max_length=check_max_length(max_length),
            enable_cpu_mem_arena=enable_cpu_mem_arena,
            session_options=session_options,
        )
        self._truncate = check_flag(truncate, "truncate")
        self._normalize = None if normalize is None else check_flag(normalize, "normalize")
        self._token_budget = None if token_budget is None else check_count(token_budget, "token_budget", 1)
        self._handle: EngineHandle[EngineSettings[LateInteractionModel], LateInteractionEngine]
        self._handle = EngineHandle(engine, _make_engine)
        if not lazy_load:
            self._engine.load()

    def __copy__(self) -> LateInteractionTextEmbedding:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> LateInteractionTextEmbedding:
        return self

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.model_name!r})"

    @property
    def _engine(self) -> LateInteractionEngine:
        """This process's engine for these settings."""
        return self._handle.get()

    # what the model is

    @property
    def model_name(self) -> str:
        """The model's name as the catalogue spells it, or its folder."""
        return self._handle.settings.model.name

    @property
    def embedding_size(self) -> int:
        """Numbers of each vector. Loads the weights only for a folder that does not say."""
        settings = self._handle.settings
        model, folder = settings.model, settings.store.specific_model_path
        # A folder opened under the name of a catalogue model may hold a smaller stand-in.
        described_itself = folder is None or folder == model.name
        return model.dim if described_itself and model.dim else self._engine.dim

    @property
    def max_length(self) -> int:
        """Tokens that a document is cut to, special tokens and marker included; reads the tokenizer."""
        return self._engine.side("passage").max_length

    @property
    def max_concurrency(self) -> int:
        """How many calls of the asynchronous methods run at once."""
        return self._engine.pool.max_concurrency

    @property
    def loaded(self) -> bool:
        """Whether the weights are in this process's memory."""
        return self._engine.loaded

    @property
    def options(self) -> dict[str, Any]:
        """The constructor's arguments that would make this object again, ``lazy_load`` aside; defaults filled in."""
        return {
            **engine_options(self._handle.settings),
            "truncate": self._truncate,
            "dense": self._dense,
            "normalize": self._normalize,
            "skip_special_tokens": self._handle.settings.model.skip_special_tokens,
            "token_budget": self._token_budget,
        }

    @property
    def fingerprint(self) -> str:
        """32 hexadecimal digits that change whenever the vectors may: made of the files and of all options that count.

        Finds, and if need be downloads, the files; loads no weights.
        """
        from onnxembed.hub.fingerprint import folder_fingerprint

        model = self._handle.settings.model
        folder = folder_fingerprint(self._engine.folder.path, model.model_file, model.additional_files)
        relevant = (replace(model, name="", sources=(), description=""), self.max_length, self._truncate)
        return hashlib.sha256(f"{folder}\0{relevant!r}\0{self._normalize!r}".encode()).hexdigest()[:32]

    # embedding

    def embed(
        self, documents: str | Iterable[str], batch_size: int = 256, parallel: int | None = None
    ) -> Iterator[Vectors]:
        """Embed documents: marked as such, without the vectors of the words that the model skips.

        Arguments and lists are checked at the call; a generator's items as they are read. The result of a text does not
        depend on its neighbours.

        Args:
            documents: One text, or any iterable of texts; a generator may be endless.
            batch_size: Most texts in a batch; batches are also bounded by ``token_budget``.
            parallel: Batches run at once. ``None`` for one a device, each using ``threads`` processors; 0 for one a
                usable processor.

        Returns:
            An iterator of float32 arrays (tokens, dim), in the order of the texts.
        """
        return self._stream(_check_call(documents, "documents", "passage", batch_size, parallel))

    def passage_embed(
        self, texts: str | Iterable[str], batch_size: int = 256, parallel: int | None = None
    ) -> Iterator[Vectors]:
        """Embed documents, as `embed` does.

        Args:
            texts: One text, or any iterable of texts.
            batch_size: As for `embed`.
            parallel: As for `embed`.

        Returns:
            An iterator of float32 arrays (tokens, dim), in the order of the texts.
        """
        return self._stream(_check_call(texts, "texts", "passage", batch_size, parallel))

    def query_embed(
        self, query: str | Iterable[str], batch_size: int = 256, parallel: int | None = None
    ) -> Iterator[Vectors]:
        """Embed queries: marked as such, and filled with mask tokens where the model wants it.

        Args:
            query: One query, or any iterable of queries.
            batch_size: As for `embed`.
            parallel: As for `embed`.

        Returns:
            An iterator of float32 arrays (tokens, dim), in the order of the queries.
        """
        return self._stream(_check_call(query, "query", "query", batch_size, parallel))

    def rank(
        self,
        query: str,
        documents: Iterable[str],
        top_k: int | None = None,
        threshold: float | None = None,
        *,
        normalize_scores: bool = False,
        batch_size: int = 256,
        parallel: int | None = None,
    ) -> list[RankedDocument]:
        """Sort documents by MaxSim: the sum, over the query's vectors, of the largest dot product with the document's.

        Args:
            query: The query; not empty.
            documents: Any iterable of documents.
            top_k: Most documents to return; ``None`` for all.
            threshold: Least score to return; ``None`` for any.
            normalize_scores: Whether scores are divided by the number of the query's vectors.
            batch_size: As for `embed`.
            parallel: As for `embed`.

        Returns:
            The documents with score and position, best first; equal scores in the order given.
        """
        return self.rank_many(
            [check_query(query)],
            [read_documents(documents)],
            top_k,
            threshold,
            normalize_scores=normalize_scores,
            batch_size=batch_size,
            parallel=parallel,
        )[0]

    def rank_many(
        self,
        queries: Iterable[str],
        documents_per_query: Iterable[Iterable[str]],
        top_k: int | None = None,
        threshold: float | None = None,
        *,
        normalize_scores: bool = False,
        batch_size: int = 256,
        parallel: int | None = None,
    ) -> list[list[RankedDocument]]:
        """Sort the documents of many queries in one call; a document that several queries have is embedded once.

        Args:
            queries: The queries; none empty.
            documents_per_query: For each query its documents.
            top_k: Most documents to return for each query; ``None`` for all.
            threshold: As for `rank`.
            normalize_scores: As for `rank`.
            batch_size: As for `embed`.
            parallel: As for `embed`.

        Returns:
            For each query what `rank` returns.
        """
        from onnxembed.late_interaction.ranking import rank_by_maxsim

        cut = check_cut(top_k, threshold)
        asked = check_many(queries, documents_per_query)
        calls = _check_call([], "documents", "passage", batch_size, parallel)
        return rank_by_maxsim(
            asked,
            lambda texts: self._stream(replace(calls, texts=texts, side="query")),
            lambda texts: self._stream(replace(calls, texts=texts)),
            cut,
            normalize_scores=check_flag(normalize_scores, "normalize_scores"),
        )

    async def arank(
        self,
        query: str,
        documents: Iterable[str],
        top_k: int | None = None,
        threshold: float | None = None,
        *,
        normalize_scores: bool = False,
        batch_size: int = 256,
        parallel: int | None = None,
    ) -> list[RankedDocument]:
        """Asynchronous twin of `rank`.

        Args:
            query: As for `rank`.
            documents: As for `rank`.
            top_k: As for `rank`.
            threshold: As for `rank`.
            normalize_scores: As for `rank`.
            batch_size: As for `embed`.
            parallel: As for `embed`.

        Returns:
            What `rank` returns.
        """
        return await self.run_async(
            lambda: self.rank(
                query,
                documents,
                top_k,
                threshold,
                normalize_scores=normalize_scores,
                batch_size=batch_size,
                parallel=parallel,
            )
        )

    def tokens(self, texts: str | Iterable[str], side: Side = "passage") -> Iterator[list[str]]:
        """Tell which token each vector belongs to, such as for a heat map; loads no weights.

        Args:
            texts: One text, or any iterable of texts.
            side: ``"passage"`` for the rows of `embed`, ``"query"`` for those of `query_embed`.

        Returns:
            An iterator of one list a text, with one string a row; ids without a string stand in angle brackets.

        Raises:
            InputError: If the side is neither.
        """
        if side not in ("query", "passage"):
            raise InputError(f"side={side!r}: expected 'query' or 'passage'")
        checked = _checked(as_texts(texts, "texts"))
        return (self._engine.side(side).rows(text) for text in checked)

    def token_count(
        self,
        texts: str | Iterable[str],
        batch_size: int = 1024,
        is_doc: bool = True,
        include_extension: bool = False,
    ) -> int:
        """Count tokens, special tokens included and each text cut to the limit of its side; loads no weights.

        Args:
            texts: One text, or any iterable of texts.
            batch_size: Texts counted at once.
            is_doc: Whether the texts are documents; otherwise they are queries.
            include_extension: Whether the marker, and what fills short queries, count too.

        Returns:
            The sum; 0 for no texts.
        """
        check_count(batch_size, "batch_size", 1)
        side: Side = "passage" if check_flag(is_doc, "is_doc") else "query"
        extended = check_flag(include_extension, "include_extension")
        checked = _checked(as_texts(texts, "texts"))
        total = 0
        while chunk := list(islice(checked, batch_size)):
            total += self._engine.side(side).count(chunk, extended=extended)
        return total

    # the same without blocking an event loop

    def aembed(
        self, documents: str | Iterable[str], batch_size: int = 256, parallel: int | None = None
    ) -> AsyncIterator[Vectors]:
        """Asynchronous twin of `embed`: runs in the model's own small pool, with the caller's context variables.

        Args:
            documents: As for `embed`.
            batch_size: As for `embed`.
            parallel: As for `embed`.

        Returns:
            An asynchronous iterator of float32 arrays (tokens, dim).
        """
        return self._iterate(_check_call(documents, "documents", "passage", batch_size, parallel))

    def apassage_embed(
        self, texts: str | Iterable[str], batch_size: int = 256, parallel: int | None = None
    ) -> AsyncIterator[Vectors]:
        """Asynchronous twin of `passage_embed`.

        Args:
            texts: As for `passage_embed`.
            batch_size: As for `embed`.
            parallel: As for `embed`.

        Returns:
            An asynchronous iterator of float32 arrays (tokens, dim).
        """
        return self._iterate(_check_call(texts, "texts", "passage", batch_size, parallel))

    def aquery_embed(
        self, query: str | Iterable[str], batch_size: int = 256, parallel: int | None = None
    ) -> AsyncIterator[Vectors]:
        """Asynchronous twin of `query_embed`.

        Args:
            query: As for `query_embed`.
            batch_size: As for `embed`.
            parallel: As for `embed`.

        Returns:
            An asynchronous iterator of float32 arrays (tokens, dim).
        """
        return self._iterate(_check_call(query, "query", "query", batch_size, parallel))

    async def run_async(self, function: Callable[[], T]) -> T:
        """Await a blocking call in the model's own pool, at most `max_concurrency` at once.

        Args:
            function: The call.

        Returns:
            What it returns.
        """
        return await self._engine.pool.run(function)

    # models

    @classmethod
    def list_supported_models(cls) -> list[dict[str, object]]:
        """Tell what models there are, those added by `add_custom_model` included.

        Returns:
            A description of each, as plain data.
        """
        return [describe_late_interaction(model) for model in late_interaction_registry.models()]

    @classmethod
    def get_embedding_size(cls, model_name: str) -> int:
        """Tell how many numbers the vectors of a model have, without its files.

        Args:
            model_name: Its name, in any case.

        Returns:
            The number.
        """
        return late_interaction_registry.find(model_name).dim

    @classmethod
    def add_custom_model(
        cls,
        model: str,
        sources: ModelSource,
        dim: int,
        model_file: str = "model.onnx",
        description: str = "",
        license: str = "",  # noqa: A002  # the name that users know
        size_in_gb: float = 0.0,
        additional_files: Sequence[str] | None = None,
        output_name: str | None = None,
        *,
        query_marker: int | str | None = None,
        document_marker: int | str | None = None,
        query_length: int | None = None,
        mask_token: str = "[MASK]",  # noqa: S107  # a token of a vocabulary, no password
        attend_to_expansion: bool = False,
        skip_words: Sequence[str] | None = None,
        normalize_queries: bool = True,
        max_tokens: int | None = None,
    ) -> None:
        """Add a model for this process; embeddings made from it carry its description to other processes.

        Args:
            model: Its name; no other model may have it, case aside.
            sources: Where its files are.
            dim: Numbers of a vector.
            model_file: The graph, relative to the model's folder.
            description: One line for people.
            license: Licence of the weights.
            size_in_gb: Download size.
            additional_files: Further files that must be there.
            output_name: Name of the graph output to take; ``None`` for the first one of three axes.
            query_marker: Put after the first token of a query: a token id, or the text of a token of the vocabulary.
            document_marker: The same for documents.
            query_length: Length that short queries are filled to with mask tokens; ``None`` for no filling.
            mask_token: Text of the mask token.
            attend_to_expansion: Whether the filling takes part in attention.
            skip_words: Tokens of the vocabulary whose vectors documents leave out; ``None`` for ASCII punctuation.
            normalize_queries: Whether the vectors of queries are scaled to length 1; those of documents always are.
            max_tokens: The limit its authors state.

        Raises:
            InputTypeError: If ``sources`` is no `ModelSource`.
        """
        if not isinstance(sources, ModelSource):
            raise InputTypeError(f"sources={sources!r}: expected a ModelSource, such as ModelSource(hf='org/name')")
        described = LateInteractionModel(
            name=model,
            sources=(sources,),
            dim=dim,
            model_file=model_file,
            additional_files=tuple(additional_files or ()),
            query_marker=query_marker,
            document_marker=document_marker,
            mask_token=mask_token,
            query_length=None if query_length is None else check_count(query_length, "query_length", 1),
            attend_to_expansion=check_flag(attend_to_expansion, "attend_to_expansion"),
            skip_rule=SkipRule.VOCABULARY,
            normalize_queries=check_flag(normalize_queries, "normalize_queries"),
            output=output_name,
            max_tokens=max_tokens,
            license=license,
            size_in_gb=size_in_gb,
            description=description,
        )
        late_interaction_registry.add(
            described if skip_words is None else replace(described, skip_words=tuple(skip_words))
        )

    # one call

    def _stream(self, call: _Call) -> Iterator[Vectors]:
        """Load the model if need be, and begin."""
        from onnxembed.api.engine import nothing, start

        if nothing(call.texts):
            return iter(())
        engine = self._engine
        return start(
            engine,
            engine.family(call.side, normalize=self._normalize, truncate=self._truncate),
            call.texts,
            batch_size=call.batch_size,
            parallel=call.parallel,
            budget=self._token_budget,
        )

    def _iterate(self, call: _Call) -> AsyncIterator[Vectors]:
        """The same off the event loop; the model is loaded by whoever takes the first step."""

        def lazily() -> Iterator[Vectors]:
            yield from self._stream(call)

        return self._engine.pool.iterate(lazily())


def _check_call(texts: object, name: str, side: Side, batch_size: int, parallel: int | None) -> _Call:
    check_count(batch_size, "batch_size", 1)
    if parallel is not None:
        check_count(parallel, "parallel", 0)
    return _Call(as_texts(texts, name), side, batch_size, parallel)


def _checked(texts: Iterable[object]) -> Iterator[str]:
    for index, text in enumerate(texts):
        yield check_text(text, index)


def _find(
    model_name: str | os.PathLike[str], specific_model_path: str | os.PathLike[str] | None
) -> tuple[LateInteractionModel, str | None]:
    """A model of the catalogue, or in a folder that describes itself."""
    return find_model(late_interaction_registry, model_name, specific_model_path, _describe)


def _find_dense(
    model_name: str | os.PathLike[str], specific_model_path: str | os.PathLike[str] | None
) -> tuple[LateInteractionModel, str | None]:
    """The token vectors of a dense model."""
    from onnxembed.late_interaction.discovery import token_vectors_of

    model, folder = find_model(dense_registry, model_name, specific_model_path, _describe_dense)
    return token_vectors_of(model), folder


def _describe(folder: Path) -> LateInteractionModel:
    from onnxembed.late_interaction.discovery import describe_late_interaction_folder

    return describe_late_interaction_folder(folder)


def _describe_dense(folder: Path) -> DenseModel:
    from onnxembed.text.discovery import describe_folder

    return describe_folder(folder)


def _make_engine(settings: EngineSettings[LateInteractionModel]) -> LateInteractionEngine:
    from onnxembed.late_interaction.engine import LateInteractionEngine

    return LateInteractionEngine(settings)
