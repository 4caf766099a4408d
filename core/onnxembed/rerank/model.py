"""`TextCrossEncoder`, the public class of cross-encoders."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from onnxembed.api.asynchronous import awaited, streamed
from onnxembed.api.custom import Adding
from onnxembed.api.find import find_model
from onnxembed.api.inputs import (
    Checked,
    check_count,
    check_documents,
    check_query,
    check_ranking,
    check_rankings,
    in_chunks,
)
from onnxembed.api.model import Model, constructor
from onnxembed.api.ranking import RankedDocument, check_cut, ranked
from onnxembed.api.settings import EngineSettings
from onnxembed.catalog.registry import Registry
from onnxembed.rerank.known import describe_cross_encoder, rerank_registry
from onnxembed.rerank.options import CrossEncoderOptions
from onnxembed.rerank.pairs import check_pairs
from onnxembed.rerank.spec import Activation, CrossEncoderModel, parse_activation
from onnxembed.runtime.batching import batch_limits
from onnxembed.runtime.progress import Counting

if TYPE_CHECKING:
    import numpy as np

    from onnxembed.hub.files import Files
    from onnxembed.rerank.engine import CrossEncoderEngine
    from onnxembed.runtime.pipeline import Work

    Scores = np.ndarray[tuple[int], np.dtype[np.float32]]


class TextCrossEncoder(Model[CrossEncoderOptions, CrossEncoderModel, "CrossEncoderEngine"]):
    """Scores of documents for a query, by an ONNX model that reads both together.

    Names, methods and parameters are those that users of fastembed know; options after ``lazy_load`` are keywords.
    Objects are immutable, safe to share between threads, usable after a fork, and small when pickled: only settings
    travel, and the model is opened again where it is used. Two objects that need the same weights share them within a
    process. The options are those of `CrossEncoderOptions`.

    Scores are raw logits unless ``activation`` says otherwise: any real number, higher for the better document. For a
    model with two labels, "irrelevant" and "relevant", the raw score is the second logit minus the first; its sigmoid
    is the softmax probability of "relevant". More labels have no order: such a model ranks nothing, and `label_scores`
    gives the score of each label.
    """

    _counting = Counting("Scoring", "pair")

    @constructor(CrossEncoderOptions)
    def __init__(self, options: CrossEncoderOptions) -> None:
        model, folder, by_files = find_model(rerank_registry, options, _describe_files)
        self._open(model, folder, options, _make_engine, by_files)

    # what the model is

    @property
    def max_length(self) -> int:
        """Tokens that a pair is cut to, special tokens included; reads the tokenizer."""
        return self._engine.pairs.rules.max_length

    @property
    def max_length_source(self) -> str:
        """The file, or the argument, that `max_length` comes from; reads the tokenizer."""
        return self._engine.pairs.rules.max_length_source

    # scores in the order of the documents

    def rerank(
        self,
        query: str,
        documents: Iterable[str],
        batch_size: int | None = None,
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
            batch_size: Most pairs in a batch, which ``token_budget`` bounds as well; ``None`` leaves it to that.
            parallel: Batches run at once. ``None`` for one per device, each using ``threads`` processors; 0 for one per
                usable processor.
            activation: What is done to the raw scores; ``None`` for what the constructor was given.

        Returns:
            An iterator of one score per document, in the order of the documents.
        """
        use = check_query(query), self._activation(activation)
        return self._stream(check_documents(documents), use, batch_size, parallel)

    def rerank_pairs(
        self,
        pairs: Iterable[tuple[str, str]] | tuple[str, str],
        batch_size: int | None = None,
        parallel: int | None = None,
        *,
        activation: Activation | str | None = None,
    ) -> Iterator[float]:
        """Score pairs of a query and a document, given as any iterable of tuples or as one tuple; as `rerank`."""
        return self._stream(check_pairs(pairs), (None, self._activation(activation)), batch_size, parallel)

    def label_scores(
        self,
        pairs: Iterable[tuple[str, str]] | tuple[str, str],
        batch_size: int | None = None,
        parallel: int | None = None,
    ) -> Iterator[Scores]:
        """Score each label of pairs, as the ``predict`` of sentence-transformers' CrossEncoder does.

        The logits go through the function that the model's files name; without one through the sigmoid for one label,
        and as they are for several.

        Args:
            pairs: Pairs of a query and a document, as any iterable of tuples, or one tuple.
            batch_size: Most pairs in a batch; ``None`` leaves it to ``token_budget``.
            parallel: Batches run at once.

        Returns:
            An iterator of one float32 array (labels,) per pair, in their order.
        """
        return self._stream(check_pairs(pairs), None, batch_size, parallel)

    # documents in the order of their scores

    def rank(
        self,
        query: str,
        documents: Iterable[str],
        top_k: int | None = None,
        threshold: float | None = None,
        activation: Activation | str | None = None,
        *,
        batch_size: int | None = None,
        parallel: int | None = None,
    ) -> list[RankedDocument]:
        """Sort documents by their scores for a query.

        Args:
            query: The query; not empty.
            documents: Any iterable of documents.
            top_k: Most documents to return; ``None`` for all.
            threshold: Least score to return, after the activation; ``None`` for any.
            activation: What is done to the raw scores; ``None`` for what the constructor was given.
            batch_size: Most pairs in a batch; ``None`` leaves it to ``token_budget``.
            parallel: Batches run at once.

        Returns:
            The documents with score and position, best first; equal scores in the order given, NaN last.
        """
        cut, (asked, texts) = check_cut(top_k, threshold), check_ranking(query, documents)
        use = asked, self._activation(activation)
        return ranked(list(self._stream(Checked(texts, empty=not texts), use, batch_size, parallel)), texts, cut)

    def rank_many(
        self,
        queries: Iterable[str],
        documents_per_query: Iterable[Iterable[str]],
        top_k: int | None = None,
        threshold: float | None = None,
        activation: Activation | str | None = None,
        *,
        batch_size: int | None = None,
        parallel: int | None = None,
    ) -> list[list[RankedDocument]]:
        """Sort the documents of many queries in one call; pairs of different queries share batches.

        Args:
            queries: The queries; none empty.
            documents_per_query: For each query its documents.
            top_k: Most documents to return for each query; ``None`` for all.
            threshold: Least score to return, after the activation; ``None`` for any.
            activation: What is done to the raw scores; ``None`` for what the constructor was given.
            batch_size: Most pairs in a batch; ``None`` leaves it to ``token_budget``.
            parallel: Batches run at once.

        Returns:
            For each query what `rank` returns.
        """
        cut, asked = check_cut(top_k, threshold), check_rankings(queries, documents_per_query)
        pairs = tuple([(query, document) for query, documents in asked for document in documents])
        use = None, self._activation(activation)
        scores = self._stream(Checked(pairs, empty=not pairs), use, batch_size, parallel)
        return [ranked(list(islice(scores, len(documents))), documents, cut) for _, documents in asked]

    def token_count(self, pairs: Iterable[tuple[str, str]] | tuple[str, str], batch_size: int = 1024) -> int:
        """Count tokens of pairs, special tokens included and each pair cut to `max_length`; loads no weights.

        Args:
            pairs: Any iterable of ``(query, document)``, or one such tuple.
            batch_size: Pairs counted at once.

        Returns:
            The sum; 0 for no pairs.
        """
        batch_size = check_count(batch_size, "batch_size", 1)
        chunks = in_chunks(check_pairs(pairs).items, batch_size)
        return sum(self._engine.pairs.count(chunk) for chunk in chunks)

    arerank = streamed(rerank)
    arerank_pairs = streamed(rerank_pairs)
    alabel_scores = streamed(label_scores)
    arank = awaited(rank)
    arank_many = awaited(rank_many)
    atoken_count = awaited(token_count)

    # models

    add_custom_model = Adding(CrossEncoderModel.custom, rerank_registry)

    # one call

    def _activation(self, activation: Activation | str | None) -> Activation:
        """Read the activation of a call; ``None`` is that of the constructor."""
        return parse_activation(activation, Activation(self._options.activation))

    def _run(
        self, items: Iterable[Any], use: tuple[str | None, Activation] | None, batch_size: int, workers: int | None
    ) -> Iterator[Any]:
        from onnxembed.runtime.pipeline import stream

        options = self._options
        work: Work[Any, Any, Any]
        if use is None:
            work, plan = self._engine.label_work(options)
        else:
            work, plan = self._engine.work(options, *use, batch_size)
        return stream(items, work, batch_limits(plan, batch_size, workers, options.token_budget))

    @classmethod
    def _registry(cls) -> Registry[CrossEncoderModel]:
        return rerank_registry

    _describe = staticmethod(describe_cross_encoder)


def _describe_files(files: Files) -> CrossEncoderModel:
    from onnxembed.rerank.discovery import describe

    return describe(files)


def _make_engine(settings: EngineSettings[CrossEncoderModel]) -> CrossEncoderEngine:
    from onnxembed.rerank.engine import CrossEncoderEngine

    return CrossEncoderEngine(settings)
