"""What ``benchmarks.compare`` compares: tasks of each kind with their inputs, models, options and aims."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.texts import as_written, queries


@dataclass(frozen=True)
class Comparison:
    """One figure.

    Attributes:
        label: What it is called.
        task: A task of ``benchmarks.tasks``.
        inputs: Makes the inputs, given the scratch folder.
        model: Name of the folder that both load, or ``None``.
        ours: Options of our call.
        theirs: Options of the other library's call.
        one_processor: Whether both are held to one processor.
        least_speed: How many times the speed of the other is aimed at.
        most_memory: What part of the other's peak memory is aimed at, where that is a figure.
        rounds: Runs of each.
        bound: Largest difference between any two numbers.
        singles: Makes the inputs that are given one by one, given the scratch folder.
        torch: Whether sentence-transformers takes part.
    """

    label: str
    task: str
    inputs: Callable[[Path], Sequence[Any]]
    model: str | None
    least_speed: float | None
    ours: Mapping[str, Any] = field(default_factory=dict)
    theirs: Mapping[str, Any] = field(default_factory=dict)
    one_processor: bool = False
    most_memory: float | None = None
    rounds: int = 3
    bound: float = 1e-4
    singles: Callable[[Path], Sequence[Any]] | None = None
    torch: bool = False


def paragraphs(_: Path) -> list[str]:
    """20,000 short paragraphs of 28 words, as a collection has them: the same words come again and again."""
    words = " ".join(as_written(5_000)).split()
    starts = [start for offset in (0, 9, 18) for start in range(offset, len(words) - 28, 28)]
    return [" ".join(words[start : start + 28]) for start in starts[:20_000]]


def mixed(count: int) -> Callable[[Path], list[str]]:
    """Texts as people wrote them: most are short, a few fill the model's limit."""
    return lambda _: as_written(count)


def full_length(_: Path) -> list[str]:
    """256 texts that all fill 128 tokens."""
    words = " ".join(as_written(2_000)).split()
    return [" ".join(words[start : start + 128]) for start in range(0, 256 * 128, 128)]


def questions(_: Path) -> list[str]:
    """64 short questions."""
    return queries(64)


def asked(_: Path) -> list[str]:
    """41 questions of ten words, the first of which does not count."""
    return queries(41)


def tens(_: Path) -> list[list[str]]:
    """Eleven times ten documents for one question, the first of which do not count."""
    documents = as_written(110)
    return [documents[start : start + 10] for start in range(0, 110, 10)]


def few_photographs(scratch: Path) -> list[str]:
    """21 of the photographs, the first of which does not count."""
    return photographs(scratch)[:21]


def seeds(_: Path) -> list[int]:
    """Documents of 200 random vectors each, by the seed of each."""
    return list(range(100))


def photographs(scratch: Path) -> list[str]:
    """200 JPEGs of 1024 x 768 that compress as photographs do."""
    import numpy as np
    from PIL import Image

    folder = scratch / "photographs"
    if not folder.is_dir():
        folder.mkdir()
        draw = np.random.default_rng(0)
        for number in range(200):
            coarse = draw.integers(0, 256, (24, 32, 3), dtype=np.uint8)
            picture = Image.fromarray(coarse).resize((1024, 768), Image.Resampling.BICUBIC)
            noise = draw.integers(-12, 13, (768, 1024, 1))
            pixels = np.clip(np.asarray(picture).astype(int) + noise, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{number:03}.jpg", quality=90)
    return [str(path) for path in sorted(folder.iterdir())]


COMPARISONS: Mapping[str, Sequence[Comparison]] = {
    "sparse": (
        Comparison(
            "BM25, compatible, one processor",
            "bm25",
            paragraphs,
            "bm25",
            8,
            one_processor=True,
            rounds=5,
            bound=1e-12,
            singles=asked,
        ),
        Comparison(
            "BM25, compatible, two processes", "bm25", paragraphs, "bm25", None, ours={"parallel": 2}, bound=1e-12
        ),
        Comparison(
            "SPLADE, mixed lengths, default batch",
            "splade",
            mixed(192),
            "splade",
            10,
            rounds=2,
            singles=asked,
            torch=True,
        ),
        Comparison(
            "SPLADE, 256 texts of 128 tokens", "splade", full_length, "splade", None, most_memory=1 / 20, rounds=2
        ),
        Comparison("BM42, mixed lengths, default batch", "bm42", mixed(256), "bm42", 10, rounds=2, singles=asked),
    ),
    "rerank": (
        Comparison(
            "rerank 100 mixed documents, default batch",
            "rerank",
            mixed(100),
            "cross-encoder",
            12,
            singles=tens,
            torch=True,
        ),
        Comparison(
            "rerank 100 mixed documents, batch 16", "rerank", mixed(100), "cross-encoder", 4, theirs={"batch_size": 16}
        ),
        Comparison(
            "ColBERT, 256 mixed documents, default batch",
            "colbert-documents",
            mixed(256),
            "colbert",
            10,
            rounds=2,
            singles=asked,
            torch=True,
        ),
        Comparison("ColBERT, 64 queries", "colbert-queries", questions, "colbert", 5, rounds=5),
        Comparison("MUVERA, documents of 200 vectors", "muvera", seeds, None, 20, rounds=5, bound=1e-3),
    ),
    "image": (
        Comparison(
            "CLIP ViT-B/32, 200 JPEGs of 1024 x 768",
            "images",
            photographs,
            "image",
            1.25,
            bound=1e-3,
            singles=few_photographs,
        ),
        # One level of 255, before the picture is divided by the standard deviation.
        Comparison("decoding and transforming alone", "preprocessing", photographs, "image", 2.5, bound=0.016),
    ),
}
