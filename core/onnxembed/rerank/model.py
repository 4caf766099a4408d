"""`TextCrossEncoder`: the cross-encoders as users meet them."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from onnxembed.api.inputs import check_count
from onnxembed.api.options import engine_options, engine_settings, find_model
from onnxembed.api.questions import check_documents, check_many, check_query, read_documents
from onnxembed.api.ranking import RankedDocument, check_cut, ranked
from onnxembed.api.settings import EngineSettings
from onnxembed.api.shared import EngineHandle
from onnxembed.errors import InputTypeError
from onnxembed.rerank.call import Call, check_call, check_pairs, each_checked, paired
from onnxembed.rerank.known import describe_cross_encoder, rerank_registry
from onnxembed.rerank.settings import Windows, parse_activation, parse_settings
from onnxembed.rerank.spec import Activation, CrossEncoderModel
from onnxembed.runtime.providers import Device
from onnxembed.runtime.session import OptionValue
from onnxembed.spec import ModelSource
from onnxembed.text.tokenizer_rules import check_max_length

if TYPE_CHECKING:
    from onnxembed.rerank.engine import CrossEncoderEngine

T = TypeVar("T")

_BATCH_SIZE = 64


class TextCrossEncoder:
    """Scores of documents for a query, by an ONNX model that reads both together.

    Names, methods and parameters are those that users of fastembed know; those after ``lazy_load`` are new. Objects are
    immutable, safe to share between threads, usable after a fork, and small when pickled: only settings travel, and the
    model is opened again where it is used. Two objects that need the same weights share them within a process.

    Scores are raw logits unless ``activation`` says otherwise: any real number, higher for the better document. For a
    model with two labels, "irrelevant" and "relevant", the raw score is the second logit minus the first; its sigmoid
    is the softmax probability of "relevant". Models with more labels are refused.

    Args:
        model_name: A name of `list_supported_models`, in any case, or the path of a folder with a model's files.
        cache_dir: Where models are kept. ``None``: ``ONNXEMBED_CACHE``, then ``FASTEMBED_CACHE_PATH``, then the
            standard Hugging Face cache.
        threads: Processors that one inference uses; ``None`` for all that this process may use.
        providers: ONNX Runtime execution providers, best first: names, or pairs of a name and its options. One that is
            not available is an error, unless ``"CPUExecutionProvider"`` is listed after it.
        cuda: ``True`` requires CUDA, ``False`` the processor; ``Device.AUTO`` takes CUDA where ONNX Runtime has it.
        device_ids: CUDA devices to spread batches over.
        lazy_load: Whether files are looked for and loaded on first use instead of here.
        local_files_only: Whether nothing may be downloaded.
        specific_model_path: A folder that holds the files of ``model_name``; no other place is looked at.
        revision: Branch, tag or commit of the Hub repository.
        max_length: Tokens that a pair is cut to, special tokens included. ``None`` for the model's own limit;
            `max_length_source` tells where it is stated.
        truncate: Whether longer pairs are cut, the longer text first, with one warning in the log per model; otherwise
            they are refused.
        activation: What becomes of the raw scores in all methods: ``"raw"`` for nothing, ``"sigmoid"``, or ``"model"``
            for what the model's authors chose.
        windows: How a document is read that is too long for one pair. ``None``: it is cut. Otherwise its tokens are
            spread over windows, each read with the query, and its raw score is their ``"max"``, their ``"mean"``, or
            that of the ``"first"``. A query is never spread: it keeps at most half of the room.
        window_overlap: Tokens that neighbouring windows share, at most half of a window.
        enable_cpu_mem_arena: Whether ONNX Runtime keeps freed memory for later runs.
        session_options: Further attributes of ``onnxruntime.SessionOptions``, or configuration entries.
        token_budget: Tokens of a padded batch; a longer pair runs alone. ``None``: 256 for each processor in use.

    Raises:
        UnknownModelError: The name is not known; the nearest ones are offered.
        ModelNotFoundError: No source could give the files, or a folder holds no model.
        UnsupportedModelError: The model has no classification head of one or two labels.
        InputError: A value is out of range.
        InputTypeError: A value has the wrong type.
        ProviderError: A provider or device is not available.
    """

    def __init__(
        self,
        model_name: str | os.PathLike[str] = "Xenova/ms-marco-MiniLM-L-6-v2",
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
        activation: Activation | str = Activation.RAW,
        windows: Windows | str | None = None,
        window_overlap: int = 64,
        enable_cpu_mem_arena: bool | None = None,
        session_options: Mapping[str, OptionValue] | None = None,
        token_budget: int | None = None,
    ) -> None:
        self._score_settings = parse_settings(activation, truncate, windows, window_overlap)
        self._token_budget = None if token_budget is None else check_count(token_budget, "token_budget", 1)
        model, folder = find_model(rerank_registry, model_name, specific_model_path, _describe)
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
            max_length=check_max_length(max_length),
            enable_cpu_mem_arena=enable_cpu_mem_arena,
            session_options=session_options,
        )
        self._handle: EngineHandle[EngineSettings[CrossEncoderModel], CrossEncoderEngine] = EngineHandle(
            settings, _make_engine
        )
        if not lazy_load:
            self._engine.load()

    def __copy__(self) -> TextCrossEncoder:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> TextCrossEncoder:
        return self

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.model_name!r})"

    @property
    def _engine(self) -> CrossEncoderEngine:
        """This process's engine for these settings."""
        return self._handle.get()

    # what the model is

    @property
    def model_name(self) -> str:
        """The model's name as the catalogue spells it, or its folder."""
        return self._handle.settings.model.name

    @property
    def max_length(self) -> int:
        """Tokens that a pair is cut to, special tokens included; reads the tokenizer."""
        return self._engine.pairs.rules.max_length

    @property
    def max_length_source(self) -> str:
        """The file, or the argument, that `max_length` comes from; reads the tokenizer."""
        return self._engine.pairs.rules.max_length_source

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
        scores = self._score_settings
        return {
            **engine_options(self._handle.settings),
            "truncate": scores.truncate,
            "activation": scores.activation.value,
            "windows": None if scores.windows is None else scores.windows.value,
            "window_overlap": scores.window_overlap,
            "token_budget": self._token_budget,
        }

    # scores in the order of the documents

    def rerank(
        self,
        query: str,
        documents: Iterable[str],
        batch_size: int = _BATCH_SIZE,
        parallel: int | None = None,
        *,
        activation: Activation | str | None = None,
    ) -> Iterator[float]:
        """Score documents for a query.

        Arguments and lists are checked at the call; a generator's items as they are read. The score of a document does
        not depend on its neighbours. The query is tokenised once for up to 512 documents.

        Args:
            query: The query; not empty.
            documents: Any iterable of documents, which may be empty strings; a generator may be endless.
            batch_size: Most pairs in a batch; batches are also bounded by ``token_budget``.
            parallel: Batches run at once. ``None`` for one a device, each using ``threads`` processors; 0 for one a
                usable processor.
            activation: What becomes of the raw scores; ``None`` for what the constructor was given.

        Returns:
            An iterator of one score a document, in the order of the documents.
        """
        return self._stream(self._document_call(query, documents, batch_size, parallel, activation))

    def rerank_pairs(
        self,
        pairs: Iterable[tuple[str, str]] | tuple[str, str],
        batch_size: int = _BATCH_SIZE,
        parallel: int | None = None,
        *,
        activation: Activation | str | None = None,
    ) -> Iterator[float]:
        """Score pairs of a query and a document.

        Args:
            pairs: Any iterable of ``(query, document)``, or one such tuple.
            batch_size: As for `rerank`.
            parallel: As for `rerank`.
            activation: As for `rerank`.

        Returns:
            An iterator of one score a pair, in the order of the pairs.
        """
        return self._stream(self._call(check_pairs(pairs), batch_size, parallel, activation))

    # documents in the order of their scores

    def rank(
        self,
        query: str,
        documents: Iterable[str],
        top_k: int | None = None,
        threshold: float | None = None,
        activation: Activation | str | None = None,
        *,
        batch_size: int = _BATCH_SIZE,
        parallel: int | None = None,
    ) -> list[RankedDocument]:
        """Sort documents by their scores for a query.

        Args:
            query: The query; not empty.
            documents: Any iterable of documents.
            top_k: Most documents to return; ``None`` for all.
            threshold: Least score to return, after the activation; ``None`` for any.
            activation: What becomes of the raw scores; ``None`` for what the constructor was given.
            batch_size: As for `rerank`.
            parallel: As for `rerank`.

        Returns:
            The documents with score and position, best first; equal scores in the order given, NaN last.
        """
        cut = check_cut(top_k, threshold)
        texts = read_documents(documents)
        call = self._document_call(query, texts, batch_size, parallel, activation)
        return ranked(list(self._stream(call)), texts, cut)

    def rank_many(
        self,
        queries: Iterable[str],
        documents_per_query: Iterable[Iterable[str]],
        top_k: int | None = None,
        threshold: float | None = None,
        activation: Activation | str | None = None,
        *,
        batch_size: int = _BATCH_SIZE,
        parallel: int | None = None,
    ) -> list[list[RankedDocument]]:
        """Sort the documents of many queries in one call; pairs of different queries share batches.

        Args:
            queries: The queries; none empty.
            documents_per_query: For each query its documents.
            top_k: Most documents to return for each query; ``None`` for all.
            threshold: As for `rank`.
            activation: As for `rank`.
            batch_size: As for `rerank`.
            parallel: As for `rerank`.

        Returns:
            For each query what `rank` returns.
        """
        cut = check_cut(top_k, threshold)
        asked = check_many(queries, documents_per_query)
        pairs = [(query, document) for query, documents in asked for document in documents]
        scores = self._stream(self._call(pairs, batch_size, parallel, activation))
        return [ranked([next(scores) for _ in documents], documents, cut) for _, documents in asked]

    def token_count(self, pairs: Iterable[tuple[str, str]] | tuple[str, str], batch_size: int = 1024) -> int:
        """Count tokens of pairs, special tokens included and each pair cut to `max_length`; loads no weights.

        Args:
            pairs: As for `rerank_pairs`.
            batch_size: Pairs counted at once.

        Returns:
            The sum; 0 for no pairs.
        """
        from itertools import islice

        check_count(batch_size, "batch_size", 1)
        checked = each_checked(check_pairs(pairs))
        total = 0
        while chunk := list(islice(checked, batch_size)):
            total += self._engine.pairs.count(chunk)
        return total

    # the same without blocking an event loop

    def arerank(
        self,
        query: str,
        documents: Iterable[str],
        batch_size: int = _BATCH_SIZE,
        parallel: int | None = None,
        *,
        activation: Activation | str | None = None,
    ) -> AsyncIterator[float]:
        """Asynchronous twin of `rerank`: runs in the model's own small pool, with the caller's context variables.

        Args:
            query: As for `rerank`.
            documents: As for `rerank`.
            batch_size: As for `rerank`.
            parallel: As for `rerank`.
            activation: As for `rerank`.

        Returns:
            An asynchronous iterator of scores.
        """
        call = self._document_call(query, documents, batch_size, parallel, activation)
        return self._engine.pool.iterate(self._lazy_stream(call))

    def arerank_pairs(
        self,
        pairs: Iterable[tuple[str, str]] | tuple[str, str],
        batch_size: int = _BATCH_SIZE,
        parallel: int | None = None,
        *,
        activation: Activation | str | None = None,
    ) -> AsyncIterator[float]:
        """Asynchronous twin of `rerank_pairs`.

        Args:
            pairs: As for `rerank_pairs`.
            batch_size: As for `rerank`.
            parallel: As for `rerank`.
            activation: As for `rerank`.

        Returns:
            An asynchronous iterator of scores.
        """
        call = self._call(check_pairs(pairs), batch_size, parallel, activation)
        return self._engine.pool.iterate(self._lazy_stream(call))

    async def arank(
        self,
        query: str,
        documents: Iterable[str],
        top_k: int | None = None,
        threshold: float | None = None,
        activation: Activation | str | None = None,
        *,
        batch_size: int = _BATCH_SIZE,
        parallel: int | None = None,
    ) -> list[RankedDocument]:
        """Asynchronous twin of `rank`.

        Args:
            query: As for `rank`.
            documents: As for `rank`.
            top_k: As for `rank`.
            threshold: As for `rank`.
            activation: As for `rank`.
            batch_size: As for `rerank`.
            parallel: As for `rerank`.

        Returns:
            What `rank` returns.
        """
        cut = check_cut(top_k, threshold)
        texts = read_documents(documents)
        call = self._document_call(query, texts, batch_size, parallel, activation)
        return await self.run_async(lambda: ranked(list(self._stream(call)), texts, cut))

    async def run_async(self, function: Callable[[], T]) -> T:
        """Await a blocking call in the model's own pool, at most `max_concurrency` at once.

        The caller's context variables are copied. Cancelling drops a call that has not begun; one under way finishes.

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
        return [describe_cross_encoder(model) for model in rerank_registry.models()]

    @classmethod
    def add_custom_model(
        cls,
        model: str,
        sources: ModelSource,
        model_file: str = "onnx/model.onnx",
        description: str = "",
        license: str = "",  # noqa: A002  # the name that users know
        size_in_gb: float = 0.0,
        additional_files: Sequence[str] | None = None,
        *,
        activation: Activation | str | None = None,
        max_tokens: int | None = None,
    ) -> None:
        """Add a model for this process; objects made from it carry its description to other processes.

        Args:
            model: Its name; no other model may have it, case aside.
            sources: Where its files are.
            model_file: The graph, relative to the model's folder.
            description: One line for people.
            license: Licence of the weights.
            size_in_gb: Download size.
            additional_files: Further files that must be there.
            activation: What ``activation="model"`` stands for, ``"raw"`` or ``"sigmoid"``; ``None`` or ``"model"`` for
                what its files say.
            max_tokens: The limit its authors state.

        Raises:
            InputTypeError: If ``sources`` is no `ModelSource`.
        """
        if not isinstance(sources, ModelSource):
            raise InputTypeError(f"sources={sources!r}: expected a ModelSource, such as ModelSource(hf='org/name')")
        chosen = parse_activation(activation, Activation.MODEL)
        rerank_registry.add(
            CrossEncoderModel(
                name=model,
                sources=(sources,),
                model_file=model_file,
                additional_files=tuple(additional_files or ()),
                activation=None if chosen is Activation.MODEL else chosen,
                max_tokens=max_tokens,
                license=license,
                size_in_gb=size_in_gb,
                description=description,
            )
        )

    # one call

    def _call(
        self, pairs: Iterable[object], batch_size: int, parallel: int | None, activation: Activation | str | None
    ) -> Call:
        """Check a call's arguments; loads nothing."""
        return check_call(pairs, batch_size, parallel, parse_activation(activation, self._score_settings.activation))

    def _document_call(
        self,
        query: str,
        documents: Iterable[str],
        batch_size: int,
        parallel: int | None,
        activation: Activation | str | None,
    ) -> Call:
        """The same for one query and its documents."""
        pairs = paired(check_query(query), check_documents(documents))
        return self._call(pairs, batch_size, parallel, activation)

    def _stream(self, call: Call) -> Iterator[float]:
        """Load the model if need be, and begin."""
        from onnxembed.api.engine import nothing, start

        if nothing(call.pairs):
            return iter(())
        family = self._engine.family(
            self._score_settings, call.activation, batch_size=call.batch_size, budget=self._token_budget
        )
        return start(
            self._engine,
            family,
            call.pairs,
            batch_size=call.batch_size,
            parallel=call.parallel,
            budget=self._token_budget,
        )

    def _lazy_stream(self, call: Call) -> Iterator[float]:
        """The same, but the model is loaded by whoever takes the first step."""
        yield from self._stream(call)


def _describe(folder: Path) -> CrossEncoderModel:
    from onnxembed.rerank.discovery import describe_cross_encoder_folder

    return describe_cross_encoder_folder(folder)


def _make_engine(settings: EngineSettings[CrossEncoderModel]) -> CrossEncoderEngine:
    from onnxembed.rerank.engine import CrossEncoderEngine

    return CrossEncoderEngine(settings)
