"""Writes a cache of models under the names of fastembed's, which fastembed and the stand-in open by name, offline.

    python -m tests.fastembed.weights FOLDER

Three dense models are the real all-MiniLM-L6-v2 from its package, compiled; the others are small and random. The layout
is that of the Hub's cache.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from onnxembed import (
    ImageEmbedding,
    LateInteractionTextEmbedding,
    SparseTextEmbedding,
    TextCrossEncoder,
    TextEmbedding,
)
from onnxembed.compile import compile_model
from tests.fixtures.dense_models import VARIANTS, write_variant
from tests.fixtures.image_models import VARIANTS as IMAGES
from tests.fixtures.image_models import write_image_variant
from tests.fixtures.late_interaction_models import FORMS, write_form
from tests.fixtures.rerank_models import VARIANTS as RERANKERS
from tests.fixtures.rerank_models import write_variant as write_reranker
from tests.fixtures.sparse_models import FOLDERS
from tests.golden.make_dense import minilm_folder

REAL = ("BAAI/bge-small-en-v1.5", "BAAI/bge-small-en", "sentence-transformers/all-MiniLM-L6-v2")
"""Dense models that the real weights stand in for."""
_STOP_WORDS = Path(__file__).parents[2] / "core" / "onnxembed" / "sparse" / "stop_words"
_FILES = ("config.json", "tokenizer.json", "special_tokens_map.json", "tokenizer_config.json")

Write = Callable[[Path], object]


def _bm25(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text("{}")
    for words in _STOP_WORDS.glob("*.txt"):
        shutil.copy(words, folder)


def _models() -> Iterator[tuple[type, str, Write]]:
    """The class, the name and the writer of each small model."""
    for variant in VARIANTS:
        if variant.custom is None and variant.model not in REAL:
            yield TextEmbedding, variant.model, lambda folder, one=variant: write_variant(folder, one)  # type: ignore[misc]
    for name, write in FOLDERS.values():
        yield SparseTextEmbedding, name, _bm25 if name == "Qdrant/bm25" else write
    for form in FORMS:
        yield LateInteractionTextEmbedding, form.name, lambda folder, one=form: write_form(folder, one)  # type: ignore[misc]
    for image in IMAGES:
        if image.model:
            yield ImageEmbedding, image.model, lambda folder, one=image: write_image_variant(folder, one)  # type: ignore[misc]
    for ranker in RERANKERS:
        yield TextCrossEncoder, ranker.model, lambda folder, one=ranker: write_reranker(folder, one)  # type: ignore[misc]


def place(cache: Path, repository: str) -> Path:
    """Name and announce the folder of a repository's files in a cache of the Hub's layout."""
    commit = hashlib.sha1(repository.encode(), usedforsecurity=False).hexdigest()
    home = cache / f"models--{repository.replace('/', '--')}"
    (home / "refs").mkdir(parents=True, exist_ok=True)
    (home / "refs" / "main").write_text(commit)
    return home / "snapshots" / commit


def write_cache(cache: Path) -> None:
    """Write all models.

    Args:
        cache: Where to; made when it is not there.
    """
    cache.mkdir(parents=True, exist_ok=True)
    rows: dict[tuple[type, str], dict[str, object]] = {
        (kind, str(row["model"])): row
        for kind in (TextEmbedding, SparseTextEmbedding, ImageEmbedding, LateInteractionTextEmbedding, TextCrossEncoder)
        for row in kind.list_supported_models()
    }
    for kind, name, write in _models():
        row = rows[kind, name]
        sources = row["sources"]
        assert isinstance(sources, dict)
        folder = place(cache, sources["hf"])
        # Two models of one repository differ in their graph.
        if not (folder / str(row["model_file"])).exists():
            with tempfile.TemporaryDirectory() as made:
                write(Path(made) / "model")
                shutil.copytree(Path(made) / "model", folder, dirs_exist_ok=True)
    _write_real(cache, [rows[TextEmbedding, name] for name in REAL])


def _write_real(cache: Path, rows: list[dict[str, object]]) -> None:
    """Compile all-MiniLM-L6-v2, and put it into the place of several models."""
    source = minilm_folder()
    with tempfile.TemporaryDirectory(dir=cache) as made:
        graph = Path(made) / "model.onnx"
        compile_model(source, graph)
        for row in rows:
            sources = row["sources"]
            assert isinstance(sources, dict)
            folder = place(cache, sources["hf"])
            folder.mkdir(parents=True, exist_ok=True)
            target = folder / str(row["model_file"])
            if not target.exists():
                os.link(graph, target)
            for name in _FILES:
                shutil.copy(source / name, folder)
            limits = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
            limits |= {"model_max_length": 512, "max_length": 128}  # fastembed takes the smaller one
            (folder / "tokenizer_config.json").write_text(json.dumps(limits), encoding="utf-8")


if __name__ == "__main__":
    write_cache(Path(sys.argv[1]))
