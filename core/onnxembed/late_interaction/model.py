"""`LateInteractionTextEmbedding`, the public class: one vector per token."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from onnxembed.api.asynchronous import awaited, streamed
from onnxembed.api.custom import Adding
from onnxembed.api.find import Found, find_model, stated_name
from onnxembed.api.inputs import (
    Checked,
    check_count,
    check_flag,
    check_ranking,
    check_rankings,
    check_texts,
    in_chunks,
)
from onnxembed.api.model import constructor
from onnxembed.api.output_precision import OutputPrecision
from onnxembed.api.ranking import Cut, RankedDocument, check_cut, ranked
from onnxembed.api.settings import ByFiles, EngineSettings
from onnxembed.api.vector_model import VectorModel
from onnxembed.catalog.registry import Registry
from onnxembed.errors import InputError, UnknownModelError
from onnxembed.late_interaction.known import describe_late_interaction, late_interaction_registry
from onnxembed.late_interaction.options import LateInteractionOptions
from onnxembed.late_interaction.spec import LateInteractionModel
from onnxembed.runtime.batching import RunPlan, batch_limits
from onnxembed.runtime.forks import kept_here
from onnxembed.text.known import dense_registry
from onnxembed.text.options import InputType
from onnxembed.text.spec import DenseModel

if TYPE_CHECKING:
    import numpy as np

    from onnxembed.hub.files import Files
    from onnxembed.late_interaction.engine import LateInteractionEngine
    from onnxembed.runtime.pipeline import Work

    # float32, but for an output precision.
    Vectors = np.ndarray[tuple[int, int], np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class _Ranking:
    """Queries by number, for each document the numbers of those that ask for it, and how scores are divided."""

    queries: Mapping[int, str]
    asked_by: Mapping[str, Sequence[int]]
    normalize_scores: bool


class LateInteractionTextEmbedding(VectorModel[LateInteractionOptions, LateInteractionModel, "LateInteractionEngine"]):
    """One vector per token (ColBERT and similar models) with an ONNX model; `maxsim` compares such vectors.

    Names, methods and parameters are those that users of fastembed know; options after ``lazy_load`` are keywords.
    Objects are immutable, safe to share between threads, usable after a fork, and small when pickled. Two objects that
    need the same weights share them within a process. The options are those of `LateInteractionOptions`.
    """

    _sized_by_config = True

    @constructor(LateInteractionOptions)
    def __init__(self, options: LateInteractionOptions) -> None:
        describe = partial(_describe_files, options.dense, options.skip_special_tokens)
        found = _find_dense(options, describe) if options.dense else _find(options, describe)
        model = replace(found.model, skip_special_tokens=options.skip_special_tokens)
        self._open(model, found.folder, options, _make_engine, found.by_files)

    # what the model is

    @property
    def max_length(self) -> int:
        """Tokens that a document is cut to, special tokens and marker included; reads the tokenizer."""
        return self._engine.tokenizer("document").max_length

    @property
    def fingerprint(self) -> str:
        """32 hexadecimal digits that change whenever the vectors may: made of the files and of all options that count.

        Finds, and if need be downloads, the files; loads no weights.
        """
        model, options = self._settings.model, self._options
        described = replace(model, name="", sources=(), description="")
        return self._digest((described, self.max_length, options.truncate, options.normalize))

    # embedding

    def embed(
        self,
        documents: str | Iterable[str],
        batch_size: int | None = None,
        parallel: int | None = None,
        *,
        output_precision: OutputPrecision = "float32",
        ranges: object = None,
    ) -> Iterator[Vectors]:
        """Embed documents: marked as such, without the vectors of the words that the model skips.

        Arguments and lists are checked at the call; a generator's items as they are read. The result of a text does not
        depend on its neighbours.

        Args:
            documents: One text, or any iterable of texts; a generator may be endless.
            batch_size: Most texts in a batch, which ``token_budget`` bounds as well; ``None`` leaves it to that.
            parallel: Batches run at once. ``None`` for one per device, each using ``threads`` processors; 0 for one per
                usable processor.
            output_precision: In which numbers vectors are given, as `quantize_embeddings` encodes them. ``"int8"`` and
                ``"uint8"`` without ``ranges`` take those of all vectors of the call: the first array comes after the
                last text, and all are held until then.
            ranges: (2, dim), the least and the largest value of each dimension, for ``"int8"`` and ``"uint8"``; queries
                need those of the documents. `quantization_ranges` measures them.

        Returns:
            An iterator of arrays in the order of the texts: float32 (tokens, dim), or of the output precision, with
            ``ceil(dim / 8)`` bytes a row where signs are packed.
        """
        items = check_texts(documents, "documents")
        if output_precision == "float32" and ranges is None:
            return self._stream(items, None, batch_size, parallel)
        return self._stream_encoded(items, None, batch_size, parallel, output_precision, ranges)

    def passage_embed(
        self,
        texts: str | Iterable[str],
        batch_size: int | None = None,
        parallel: int | None = None,
        *,
        output_precision: OutputPrecision = "float32",
        ranges: object = None,
    ) -> Iterator[Vectors]:
        """Embed documents, as `embed` does; where a default prompt is chosen, `embed` takes that instead of theirs."""
        items = check_texts(texts, "texts")
        if output_precision == "float32" and ranges is None:
            return self._stream(items, "document", batch_size, parallel)
        return self._stream_encoded(items, "document", batch_size, parallel, output_precision, ranges)

    def query_embed(
        self,
        query: str | Iterable[str],
        batch_size: int | None = None,
        parallel: int | None = None,
        *,
        output_precision: OutputPrecision = "float32",
        ranges: object = None,
    ) -> Iterator[Vectors]:
        """Embed one query, or any iterable of queries; otherwise as `embed`.

        They are marked as queries, and filled with mask tokens where the model wants it.
        """
        items = check_texts(query, "query")
        if output_precision == "float32" and ranges is None:
            return self._stream(items, "query", batch_size, parallel)
        return self._stream_encoded(items, "query", batch_size, parallel, output_precision, ranges)

    # documents in the order of their scores

    def rank(
        self,
        query: str,
        documents: Iterable[str],
        top_k: int | None = None,
        threshold: float | None = None,
        *,
        normalize_scores: bool = False,
        batch_size: int | None = None,
        parallel: int | None = None,
    ) -> list[RankedDocument]:
        """Sort documents by MaxSim: the sum, over the query's vectors, of the largest dot product with the document's.

        Args:
            query: The query; not empty.
            documents: Any iterable of documents.
            top_k: Most documents to return; ``None`` for all.
            threshold: Least score to return; ``None`` for any.
            normalize_scores: Whether scores are divided by the number of the query's vectors.
            batch_size: Most texts in a batch; ``None`` leaves it to ``token_budget``.
            parallel: Batches run at once.

        Returns:
            The documents with score and position, best first; equal scores in the order given.
        """
        cut, asked = check_cut(top_k, threshold), [check_ranking(query, documents)]
        return self._rank(asked, cut, normalize_scores, batch_size, parallel)[0]

    def rank_many(
        self,
        queries: Iterable[str],
        documents_per_query: Iterable[Iterable[str]],
        top_k: int | None = None,
        threshold: float | None = None,
        *,
        normalize_scores: bool = False,
        batch_size: int | None = None,
        parallel: int | None = None,
    ) -> list[list[RankedDocument]]:
        """Sort the documents of many queries in one call; a document that several queries have is embedded once.

        Args:
            queries: The queries; none empty.
            documents_per_query: For each query its documents.
            top_k: Most documents to return for each query; ``None`` for all.
            threshold: Least score to return; ``None`` for any.
            normalize_scores: Whether scores are divided by the number of the query's vectors.
            batch_size: Most texts in a batch; ``None`` leaves it to ``token_budget``.
            parallel: Batches run at once.

        Returns:
            For each query what `rank` returns.
        """
        cut, asked = check_cut(top_k, threshold), check_rankings(queries, documents_per_query)
        return self._rank(asked, cut, normalize_scores, batch_size, parallel)

    def tokens(self, texts: str | Iterable[str], input_type: InputType = "document") -> Iterator[list[str]]:
        """Tell which token each vector belongs to, such as for a heat map; loads no weights.

        Args:
            texts: One text, or any iterable of texts.
            input_type: ``"document"`` for the rows of `embed`, ``"query"`` for those of `query_embed`.

        Returns:
            An iterator of one list per text, with one string per row; ids without a string stand in angle brackets.

        Raises:
            InputError: If the input type is neither, or the model joins the vectors of several tokens.
        """
        if input_type not in ("query", "document"):
            raise InputError(f"input_type={input_type!r}: expected 'query' or 'document'")
        checked, pooling = in_chunks(check_texts(texts, "texts").items, 1), self._settings.model.token_pooling
        if pooling is not None and (pooling.queries if input_type == "query" else pooling.documents):
            raise InputError(
                f"{self.model_name} joins the vectors of several tokens into one, so none belongs to a token"
            )
        prompt = self._engine.prompt("query" if input_type == "query" else None)
        return kept_here(self._engine.tokenizer(input_type).kept_tokens(prompt + text) for (text,) in checked)

    def token_count(
        self,
        texts: str | Iterable[str],
        batch_size: int = 1024,
        is_doc: bool = True,
        include_extension: bool = False,
    ) -> int:
        """Count tokens, special tokens included and each text cut to the limit of its input type; loads no weights.

        Args:
            texts: One text, or any iterable of texts.
            batch_size: Texts counted at once.
            is_doc: Whether the texts are documents; otherwise they are queries.
            include_extension: Whether the marker, and what fills short queries, count too.

        Returns:
            The sum; 0 for no texts.
        """
        batch_size = check_count(batch_size, "batch_size", 1)
        input_type: InputType = "document" if check_flag(is_doc, "is_doc") else "query"
        extended = check_flag(include_extension, "include_extension")
        chunks = in_chunks(check_texts(texts, "texts").items, batch_size)
        return sum(self._engine.tokenizer(input_type).count(chunk, extended=extended) for chunk in chunks)

    aembed = streamed(embed)
    apassage_embed = streamed(passage_embed)
    aquery_embed = streamed(query_embed)
    arank = awaited(rank)
    arank_many = awaited(rank_many)
    atokens = streamed(tokens)
    atoken_count = awaited(token_count)

    # models

    add_custom_model = Adding(LateInteractionModel.custom, late_interaction_registry)

    # one call

    def _rank(
        self,
        asked: Sequence[tuple[str, tuple[str, ...]]],
        cut: Cut,
        normalize_scores: bool,
        batch_size: int | None,
        parallel: int | None,
    ) -> list[list[RankedDocument]]:
        """Score each different document for the queries that ask for it, and sort; such queries are embedded first."""
        asked_by: dict[str, list[int]] = {}
        queries: dict[int, str] = {}
        for number, (query, documents) in enumerate(asked):
            if documents:
                queries[number] = query
            for document in documents:
                asked_by.setdefault(document, []).append(number)
        use = _Ranking(queries, asked_by, check_flag(normalize_scores, "normalize_scores"))
        results = self._stream(Checked(asked_by, empty=not asked_by), use, batch_size, parallel)
        scores = dict(zip(asked_by, results, strict=True))
        rankings = []
        for number, (_, documents) in enumerate(asked):
            found = [scores[document][number] for document in documents]
            rankings.append(ranked(found, documents, cut))
        return rankings

    def _run(
        self, items: Iterable[str], use: InputType | _Ranking | None, batch_size: int, workers: int | None
    ) -> Iterator[Any]:
        from onnxembed.runtime.pipeline import stream

        options = self._options
        if isinstance(use, _Ranking):
            work, plan = self._ranking_work(use, batch_size, workers)
        else:
            work, plan = self._engine.work(options, use)
        return stream(items, work, batch_limits(plan, batch_size, workers, options.token_budget))

    def _ranking_work(
        self, ranking: _Ranking, batch_size: int, workers: int | None
    ) -> tuple[Work[str, Any, Any], RunPlan]:
        """Embed the queries of a ranking, and give the work of its documents."""
        from onnxembed.late_interaction.ranking import RankingWork

        engine, texts = self._engine, tuple(ranking.queries.values())
        if len(texts) == 1:  # one text needs no pipeline
            work, _ = engine.work(self._options, "query")
            vectors, _ = work.vectors(work.prepare(texts, 0), 0)
            queries = dict.fromkeys(ranking.queries, vectors)
        else:
            queries = dict(zip(ranking.queries, self._run(texts, "query", batch_size, workers), strict=True))
        documents, plan = engine.work(self._options, "document")
        return RankingWork(documents, queries, ranking.asked_by, normalize_scores=ranking.normalize_scores), plan

    @classmethod
    def _registry(cls) -> Registry[LateInteractionModel]:
        return late_interaction_registry

    _describe = staticmethod(describe_late_interaction)


_Describe = Callable[["Files"], LateInteractionModel]


def _find(options: LateInteractionOptions, describe: _Describe) -> Found[LateInteractionModel]:
    """Find a model of the catalogue, or one in a folder or a repository that describes itself."""
    name = stated_name(options.model_name)
    if dense_registry.holds(name):
        try:
            late_interaction_registry.find(name)
        except UnknownModelError as error:
            raise UnknownModelError(
                f"{name!r} is a dense model: pass dense=True for the vectors of its tokens, or open it with "
                f"TextEmbedding for one vector per text. {error}"
            ) from None
    return find_model(late_interaction_registry, options, describe)


def _find_dense(options: LateInteractionOptions, describe: _Describe) -> Found[LateInteractionModel]:
    """Find a dense model, for its token vectors."""
    from onnxembed.late_interaction.discovery import token_vectors_of

    found = find_model(dense_registry, options, _describe_dense_files)
    by_files = None if found.by_files is None else ByFiles(describe, found.by_files.commit)
    return Found(token_vectors_of(found.model), found.folder, by_files)


def _describe_files(dense: bool, skip_special_tokens: bool, files: Files) -> LateInteractionModel:
    from onnxembed.late_interaction.discovery import describe, token_vectors_of

    model = token_vectors_of(_describe_dense_files(files)) if dense else describe(files)
    return replace(model, skip_special_tokens=skip_special_tokens)


def _describe_dense_files(files: Files) -> DenseModel:
    from onnxembed.metadata.harmless import TOKEN_KEYS
    from onnxembed.text.discovery import describe

    files.accept_unknown += tuple(TOKEN_KEYS)
    return describe(files)


def _make_engine(settings: EngineSettings[LateInteractionModel]) -> LateInteractionEngine:
    from onnxembed.late_interaction.engine import LateInteractionEngine

    return LateInteractionEngine(settings)
