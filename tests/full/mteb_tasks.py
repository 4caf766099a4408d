"""Tasks of mteb made on the spot, run with this package's models, for `tests.full.test_cluster`.

Run by the Python that has mteb: ``python -m tests.full.mteb_tasks FOLDER``; writes ``FOLDER/mteb.json``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import mteb
import numpy as np
from datasets import Dataset, DatasetDict
from mteb.abstasks.retrieval import AbsTaskRetrieval
from mteb.abstasks.retrieval_dataset_loaders import RetrievalSplitData
from mteb.abstasks.sts import AbsTaskSTS
from mteb.abstasks.task_metadata import TaskMetadata
from mteb.models import CrossEncoderProtocol, EncoderProtocol

from onnxembed import LateInteractionTextEmbedding, TextCrossEncoder, TextEmbedding
from onnxembed.mteb import MtebCrossEncoder, MtebEncoder
from tests.fixtures.rerank_models import VARIANTS, write_variant

MINILM = "sentence-transformers/all-MiniLM-L6-v2"

QUERIES = ("How do plants make food?", "Who wrote Hamlet?", "What melts at zero degrees?")
CORPUS = (
    "Photosynthesis lets plants turn sunlight into sugar.",
    "Hamlet is a tragedy by William Shakespeare.",
    "Ice turns to water at zero degrees Celsius.",
    "The stock market fell sharply on Monday.",
)
PAIRS = (
    ("A man plays a guitar.", "Someone plays a guitar.", 4.5),
    ("A dog runs in the park.", "A cat sleeps on the sofa.", 1.0),
    ("The train was late.", "The train did not arrive on time.", 4.2),
    ("He bought a car.", "The soup is hot.", 0.1),
)


def metadata(name: str, kind: str, score: str) -> TaskMetadata:
    return TaskMetadata(
        name=name,
        description="Made on the spot.",
        reference=None,
        dataset={"path": "NA", "revision": "NA"},
        type=kind,
        category="t2t",
        eval_splits=["test"],
        eval_langs=["eng-Latn"],
        main_score=score,
        date=None,
        domains=[],
        task_subtypes=[],
        license=None,
        annotations_creators=None,
        dialect=[],
        sample_creation=None,
        bibtex_citation="",
    )


class Retrieval(AbsTaskRetrieval):  # type: ignore[misc]  # mteb is not installed where types are checked
    metadata = metadata("SmallRetrieval", "Retrieval", "ndcg_at_10")
    candidates: dict[str, list[str]] | None = None

    def load_data(self, num_proc: int | None = None, **kwargs: Any) -> None:
        queries = [{"id": f"q{number}", "text": text} for number, text in enumerate(QUERIES)]
        corpus = [{"id": f"d{number}", "text": text, "title": ""} for number, text in enumerate(CORPUS)]
        split = RetrievalSplitData(
            queries=Dataset.from_list(queries),
            corpus=Dataset.from_list(corpus),
            relevant_docs={f"q{number}": {f"d{number}": 1} for number in range(len(QUERIES))},
            top_ranked=self.candidates,
        )
        self.dataset = {"default": {"test": split}}
        self.data_loaded = True


class Reranking(Retrieval):
    metadata = metadata("SmallReranking", "Reranking", "map_at_1000")
    candidates = {f"q{query}": [f"d{document}" for document in range(len(CORPUS))] for query in range(len(QUERIES))}  # noqa: RUF012


class Similarity(AbsTaskSTS):  # type: ignore[misc]
    metadata = metadata("SmallSts", "STS", "cosine_spearman")
    min_score, max_score = 0, 5

    def load_data(self, num_proc: int | None = None, **kwargs: Any) -> None:
        first, second, scores = map(list, zip(*PAIRS, strict=True))
        rows = {"sentence1": first, "sentence2": second, "score": scores}
        self.dataset = DatasetDict({"test": Dataset.from_dict(rows)})
        self.data_loaded = True


def score(model: Any, task: Any) -> dict[str, Any]:
    result = mteb.evaluate(model, task, cache=None, show_progress_bar=False, co2_tracker=False)
    scores: dict[str, Any] = result.task_results[0].scores["test"][0]
    return scores


def main(folder: Path) -> None:
    model = TextEmbedding(MINILM, threads=1)
    dense = MtebEncoder(model)
    late = MtebEncoder(LateInteractionTextEmbedding(MINILM, dense=True, threads=1))
    cross_model = TextCrossEncoder(write_variant(folder / "cross", VARIANTS[0]), threads=1)
    cross = MtebCrossEncoder(cross_model)
    left, right = [first for first, *_ in PAIRS], [second for _, second, _ in PAIRS]
    cosines = np.sum(model.embed_to_array(left) * model.embed_to_array(right), axis=1)
    ranked = {query: cross_model.rank(query, CORPUS) for query in QUERIES}
    ranks = [1 + [one.index for one in ranked[query]].index(number) for number, query in enumerate(QUERIES)]
    found = {
        "protocols": [
            isinstance(dense, EncoderProtocol),
            isinstance(late, EncoderProtocol),
            isinstance(cross, CrossEncoderProtocol),
        ],
        "names": [dense.mteb_model_meta.name, cross.mteb_model_meta.name],
        "retrieval": score(dense, Retrieval())["main_score"],
        "late": score(late, Retrieval())["main_score"],
        "sts": score(dense, Similarity())["cosine_pearson"],
        "expected_sts": float(np.corrcoef(cosines, [gold for *_, gold in PAIRS])[0, 1]),
        "cross": score(cross, Reranking())["mrr_at_1000"],
        "expected_cross": float(np.mean([1 / rank for rank in ranks])),
    }
    (folder / "mteb.json").write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
