"""What distinguishes two uses of one dense engine, as frozen data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class VectorSettings:
    """Everything beside the engine's settings that changes a vector.

    Attributes:
        normalize: The caller's choice, or ``None`` for the model's own.
        dim: Numbers to keep (Matryoshka), or ``None`` for all.
        query_prompt: Before every query.
        passage_prompt: Before every passage.
        task: The caller's task id, or ``None`` for the model's own.
        truncate: Whether long texts are cut or refused.
    """

    normalize: bool | None
    dim: int | None
    query_prompt: str
    passage_prompt: str
    task: int | None
    truncate: bool
