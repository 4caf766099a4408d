"""What each precision costs and gives on a user's own texts."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from onnxembed.api.output_precision import OUTPUT_PRECISIONS, PACKED, STEPPED, OutputPrecision
from onnxembed.api.quantization import Output, quantization_ranges
from onnxembed.api.rescoring import hamming_top_k
from onnxembed.api.vectors import normalize
from onnxembed.errors import InputError, OnnxEmbedError
from onnxembed.runtime.precision import Precision
from onnxembed.text.model import TextEmbedding

Array = np.ndarray[Any, np.dtype[Any]]

FEWEST_TEXTS = 20
"""Below this the nearest ten are most of the texts."""
TOP_K = 10
FULL = "fp32"
"""The precision that the others are compared with."""
_MOST_QUERIES = 256
# How many more are taken from the search in signs than are kept.
_OVERSAMPLING = 4
_WARM_UP = 8
# A precision that is hardly faster is not worth other vectors.
_WORTH = 1.1
_STATM = Path("/proc/self/statm")
_PAGE = 4096


@dataclass(frozen=True, slots=True)
class Row:
    """One way to compute and to keep vectors.

    Attributes:
        precision: How the model is computed.
        output_precision: In which numbers vectors are kept.
        cosine_mean: Mean, over the texts, of the cosine of a vector with that of fp32 in float32.
        cosine_least: The least one.
        overlap: Share of the ten nearest texts, by fp32 in float32, that are among the ten found. Queries are floats
            computed in the same precision; in signs, 40 candidates by differing bits are sorted by them.
        overlap_rescored: The same for signs where the candidates are sorted with the float32 vectors, which have to be
            kept beside them; ``None`` for what needs no candidates.
        texts_per_second: Texts embedded in a second, the model loaded.
        memory_mb: Growth of resident memory, in 10^6 bytes, by loading and a first batch; ``None`` where the system
            does not tell.
        bytes_per_vector: Bytes of a vector as it is kept.
    """

    precision: str
    output_precision: OutputPrecision
    cosine_mean: float
    cosine_least: float
    overlap: float
    overlap_rescored: float | None
    texts_per_second: float
    memory_mb: float | None
    bytes_per_vector: int


@dataclass(frozen=True, slots=True)
class Recommendation:
    """What to use.

    Attributes:
        precision: How to compute the model.
        output_precision: In which numbers to keep vectors.
        reason: Why, in a sentence.
    """

    precision: str
    output_precision: OutputPrecision
    reason: str


@dataclass(frozen=True, slots=True)
class Calibration:
    """The result.

    Attributes:
        texts: How many texts were embedded.
        rows: One for each pair of precisions.
        refused: Precisions that the model or the machine does not have, with the reason.
        recommended: What to use.
    """

    texts: int
    rows: tuple[Row, ...]
    refused: tuple[tuple[str, str], ...]
    recommended: Recommendation


@dataclass(frozen=True, slots=True, eq=False)
class _Run:
    """The vectors of one precision, and what they cost."""

    vectors: Array
    texts_per_second: float
    memory_mb: float | None


def precisions() -> tuple[str, ...]:
    """Names of the ways to compute a model."""
    return tuple(precision.value for precision in Precision)


def calibrate(name: str, texts: Sequence[str], options: dict[str, Any], least_overlap: float = 0.95) -> Calibration:
    """Embed texts in every precision, each in a process of its own, and compare.

    Args:
        name: The model; a dense one.
        texts: The texts, 20 or more.
        options: Further options of `TextEmbedding`.
        least_overlap: The overlap of the nearest ten below which nothing is recommended.

    Returns:
        What was measured, and what to use.

    Raises:
        InputError: For fewer texts.
        OnnxEmbedError: If the model cannot be used in fp32.
    """
    if len(texts) < FEWEST_TEXTS:
        raise InputError(f"{len(texts)} texts were given; pass {FEWEST_TEXTS} or more, and better some hundreds")
    runs: dict[str, _Run] = {}
    refused: list[tuple[str, str]] = []
    for precision in precisions():
        chosen = {**options, "precision": precision}
        try:
            runs[precision] = _in_its_own_process(TextEmbedding(name, lazy_load=True, **chosen), texts)
        except OnnxEmbedError as error:
            if precision == FULL:
                raise
            refused.append((precision, " ".join(str(error).split())))
    full = normalize(runs[FULL].vectors)
    rows = tuple(row for precision, run in runs.items() for row in _rows(precision, run, full))
    return Calibration(len(texts), rows, tuple(refused), recommend(rows, least_overlap))


def recommend(rows: Sequence[Row], least_overlap: float) -> Recommendation:
    """Choose the fastest way to compute that keeps the order, and then the smallest way to keep vectors."""
    plain = {row.precision: row for row in rows if row.output_precision == "float32"}
    full = plain[FULL]
    keeping = [row for row in plain.values() if row.overlap >= least_overlap]
    fastest = max(keeping, key=lambda row: row.texts_per_second, default=full)
    gain = fastest.texts_per_second / full.texts_per_second
    computed = fastest if gain >= _WORTH else full
    kept = [row for row in rows if row.precision == computed.precision and row.overlap >= least_overlap]
    best = min(kept, key=lambda row: (row.bytes_per_vector, -row.overlap), default=computed)
    why = (
        f"{gain:.1f} times the texts per second of {FULL}"
        if computed is not full
        else f"no precision that keeps the order is {_WORTH} times as fast"
        if len(plain) > 1
        else "there is no other precision here"
    )
    reason = (
        f"computed in {best.precision}: {why}; kept in {best.output_precision}: {best.bytes_per_vector} bytes a "
        f"vector instead of {full.bytes_per_vector}, the smallest with "
        f"{best.overlap:.3f} >= {least_overlap:g} of the nearest {TOP_K}"
    )
    return Recommendation(best.precision, best.output_precision, reason)


def _rows(precision: str, run: _Run, full: Array) -> Iterator[Row]:
    queries = np.unique(np.linspace(0, len(full) - 1, min(len(full), _MOST_QUERIES)).astype(np.int64))
    nearest = _nearest(full[queries] @ full.T, queries)
    own = normalize(run.vectors)
    asked, ranges = own[queries], quantization_ranges(run.vectors)
    for output_precision in OUTPUT_PRECISIONS:
        output = Output(output_precision, ranges if output_precision in STEPPED else None)
        encoded = output.of(run.vectors)
        decoded = normalize(output.decode(encoded, full.shape[1]))
        scores, rescored = asked @ decoded.T, None
        if output_precision in PACKED:
            # A text finds itself, too.
            _, candidates = hamming_top_k(encoded[queries], encoded, TOP_K * _OVERSAMPLING + 1)
            scores = _only(candidates, scores)
            rescored = _overlap(nearest, _nearest(_only(candidates, asked @ own.T), queries))
        cosines = np.einsum("td,td->t", decoded, full)
        yield Row(
            precision,
            output_precision,
            float(cosines.mean()),
            float(cosines.min()),
            _overlap(nearest, _nearest(scores, queries)),
            rescored,
            run.texts_per_second,
            run.memory_mb,
            encoded[0].nbytes,
        )


def _only(candidates: Array, scores: Array) -> Array:
    """Leave the scores of the candidates."""
    kept = np.full_like(scores, -np.inf)
    np.put_along_axis(kept, candidates, np.take_along_axis(scores, candidates, axis=1), axis=1)
    return kept


def _overlap(nearest: Array, found: Array) -> float:
    return float(np.mean([np.isin(one, other).mean() for one, other in zip(nearest, found, strict=True)]))


def _nearest(scores: Array, queries: Array) -> Array:
    """The positions of the best, a text itself left out."""
    others = scores.copy()
    others[np.arange(len(queries)), queries] = -np.inf
    best: Array = np.argsort(-others, axis=1, kind="stable")[:, :TOP_K]
    return best


def _in_its_own_process(model: TextEmbedding, texts: Sequence[str]) -> _Run:
    """Measure in a process that has held no other model; the model's settings travel, not its weights."""
    with _process() as before:  # files that are fetched, and graphs that are made, take memory only once
        before.submit(_open, model).result()
    with _process() as pool:
        return pool.submit(_measure, model, list(texts)).result()


def _process() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, mp_context=get_context("spawn"))


def _open(model: TextEmbedding) -> None:
    model.embed_to_array("a")


def _measure(model: TextEmbedding, texts: list[str]) -> _Run:
    import onnxruntime  # noqa: F401  # its own memory is not the model's
    import tokenizers  # noqa: F401

    before = _resident()
    model.embed_to_array(texts[:_WARM_UP])
    after = _resident()
    begin = time.perf_counter()
    vectors = model.embed_to_array(texts)
    seconds = time.perf_counter() - begin
    grown = None if before is None or after is None else (after - before) / 1e6
    return _Run(vectors, len(texts) / seconds, grown)


def _resident() -> int | None:
    """Bytes of this process in memory, where the system tells."""
    try:
        return int(_STATM.read_text("ascii").split()[1]) * _PAGE
    except OSError:
        return None
