"""The hybrid retrievers on a collection with judged answers, beside what the frameworks do by default."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks.cranfield import read_collection
from benchmarks.hybrid import OURS, measure

pytestmark = [
    pytest.mark.full,
    pytest.mark.timeout(3600),
    pytest.mark.filterwarnings("ignore"),  # of stores in memory
]

FOLDER = os.environ.get("ONNXEMBED_CRANFIELD")
LEAST = 0.436
DEFAULTS = ("EnsembleRetriever", "QueryFusionRetriever", "QdrantVectorStore", "QdrantVectorStore, mean length measured")


@pytest.mark.skipif(
    FOLDER is None,
    reason="ONNXEMBED_CRANFIELD= names no folder with cran.all.1400.xml, cran.qry.xml and cranqrel.trec.txt",
)
def test_finds_more_than_the_frameworks_defaults() -> None:
    for framework, found in measure(read_collection(Path(str(FOLDER)))).items():
        ours = {name: figure for name, figure in found.items() if name.startswith(OURS)}
        assert min(ours.values()) > max(found[name] for name in DEFAULTS if name in found), (framework, found)
        assert min(found[OURS], found[f"{OURS}.in_qdrant"]) >= LEAST, (framework, found)
