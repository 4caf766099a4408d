"""For which architectures a graph that is compiled here is known to be better than the one that a repository ships.

Both were made of the same weights, and read the same batches (``benchmarks/shipped.py``; the figures of every batch are
in ``benchmarks/results/shipped-amd-epyc.json``). An architecture stands here if all batches together are at
least 1.02 times as fast, none is slower by more than what a busy machine changes (0.97), and the vectors are equal to
1e-6. What stands here decides on every machine, so that vectors do not depend on where a model is opened.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measured:
    """A compiled graph against an exported one.

    Attributes:
        short: How many times as fast it is for one text of 8 tokens.
        long: The same for one text of 256 tokens.
        difference: The largest difference of any number of two vectors of length 1.
    """

    short: float
    long: float
    difference: float

    def __str__(self) -> str:
        speeds = f"{self.short:.2f} times as fast for 8 tokens, {self.long:.2f} times for 256"
        return f"{speeds}, equal to {self.difference:.0e}"


BETTER: Mapping[str, Measured] = {
    "albert": Measured(1.2, 1.09, 4.5e-8),
    "bert": Measured(1.06, 1.1, 4.5e-8),
    "deberta-v2": Measured(1.57, 1.06, 7.5e-8),
    "distilbert": Measured(1.09, 1.08, 5.2e-8),
    "electra": Measured(1.25, 1.11, 6.0e-8),
    "eurobert": Measured(1.2, 1.06, 6.7e-8),
    "modernbert": Measured(1.18, 1.11, 6.0e-8),
    "mpnet": Measured(1.07, 1.08, 6.0e-8),
    "nomic_bert": Measured(1.19, 1.1, 4.5e-8),
    "roberta": Measured(1.02, 1.12, 4.5e-8),
    "xlm-roberta": Measured(1.16, 1.14, 6.0e-8),
}
"""By ``model_type`` of ``config.json``."""
