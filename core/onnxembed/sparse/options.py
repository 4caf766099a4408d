"""The arguments that only sparse models have: who knows which one, and every check that needs no file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from onnxembed.api.inputs import check_count, check_flag, check_number
from onnxembed.errors import InputError
from onnxembed.sparse.known import sparse_registry
from onnxembed.sparse.spec import SparseKind, SparseModel

_WEIGHTED = (SparseKind.SPLADE, SparseKind.INFERENCE_FREE)
_COUNTED = (SparseKind.BM25, SparseKind.MINICOIL)
_LEXICAL = (SparseKind.BM25,)
_GRAPHS = (SparseKind.SPLADE, SparseKind.INFERENCE_FREE, SparseKind.BM42, SparseKind.MINICOIL)

KINDS_OF_OPTION: Mapping[str, tuple[SparseKind, ...]] = {
    "alpha": (SparseKind.BM42,),
    "top_k": _WEIGHTED,
    "min_weight": _WEIGHTED,
    "k": _COUNTED,
    "b": _COUNTED,
    "avg_len": _COUNTED,
    "language": _LEXICAL,
    "token_max_length": _LEXICAL,
    "disable_stemmer": _LEXICAL,
    "stemmer": _LEXICAL,
    "stopwords": _LEXICAL,
    "compatible": _LEXICAL,
    "statistics": _LEXICAL,
    "idf_in_query": _LEXICAL,
    "segmenter": _LEXICAL,
    "max_length": _GRAPHS,
    "token_budget": _GRAPHS,
}
"""Which kinds of models know which option."""


@dataclass(frozen=True, slots=True)
class GraphChoices:
    """What a caller chose of a model that runs as a graph, beside what decides which engine it needs.

    Attributes:
        truncate: Whether long texts are cut or refused.
        alpha: Exponent of BM42's weights.
        k: How slowly repetition stops to count (MiniCOIL).
        b: How much the length of a document counts (MiniCOIL).
        avg_len: Mean length of a document, in words (MiniCOIL).
        top_k: Entries to keep (SPLADE kinds), or ``None`` for all.
        min_weight: Least weight to keep (SPLADE kinds).
    """

    truncate: bool = True
    alpha: float = 0.5
    k: float = 1.2
    b: float = 0.75
    avg_len: float = 150.0
    top_k: int | None = None
    min_weight: float = 0.0


def refuse_foreign_options(model: SparseModel, given: Mapping[str, Any]) -> dict[str, Any]:
    """Refuse options that a model does not know.

    Args:
        model: The model.
        given: All options by name; ``None`` for those that were not given.

    Returns:
        The options that were given.

    Raises:
        InputError: If the model does not know one; the models that do are named.
    """
    chosen = {name: value for name, value in given.items() if value is not None}
    for name, value in chosen.items():
        kinds = KINDS_OF_OPTION[name]
        if model.kind not in kinds:
            knowing = ", ".join(other.name for other in sparse_registry.models() if other.kind in kinds)
            raise InputError(
                f"{name}={value!r}: {model.name} is a {model.kind.value} model and knows no such option; "
                f"it belongs to {knowing}. Leave it out"
            )
    return chosen


def parse_choices(truncate: bool, given: Mapping[str, Any]) -> GraphChoices:
    """Check the options of a model that runs as a graph.

    Args:
        truncate: Whether long texts are cut or refused.
        given: The options that were given.

    Returns:
        The choices, defaults filled in.

    Raises:
        InputError: If a value is out of range.
    """
    checked: dict[str, Any] = {
        name: check_number(given[name], name, 0.0, most)
        for name, most in (("alpha", math.inf), ("k", math.inf), ("b", 1.0), ("avg_len", math.inf))
        if name in given
    }
    if checked.get("avg_len") == 0:
        raise InputError("avg_len=0: expected a number above 0")
    if "top_k" in given:
        checked["top_k"] = check_count(given["top_k"], "top_k", 1)
    if "min_weight" in given:
        checked["min_weight"] = check_number(given["min_weight"], "min_weight", 0.0, math.inf)
    return GraphChoices(truncate=check_flag(truncate, "truncate"), **checked)
