"""The weight of a term's rarity."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


def inverse_document_frequency(frequencies: Array, document_count: int) -> Array:
    """Weigh terms by their rarity: ``ln((N - n + 0.5) / (n + 0.5) + 1)``, as float64 above 0.

    ``frequencies`` is ``n``, the documents that hold each term, and ``document_count`` is ``N``. This is what Qdrant's
    IDF modifier computes (Robertson and Zaragoza, 2009, with 1 added so that it stays positive).
    """
    n = np.asarray(frequencies, dtype=np.float64)
    weights: Array = np.log((document_count - n + 0.5) / (n + 0.5) + 1.0)
    return weights
