"""What distinguishes two engines, and two uses of one engine, as frozen data."""

from __future__ import annotations

from dataclasses import dataclass

from onnxembed.models.spec import DenseModel
from onnxembed.models.store.settings import StoreSettings
from onnxembed.runtime.providers import ProviderRequest
from onnxembed.runtime.session import OptionValue


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Everything that decides which weights and which tokenizer are loaded, and how they run.

    Two embeddings with equal engine settings share one engine in a process.

    Attributes:
        model: The model.
        store: Where its files may come from.
        request: Providers and devices.
        threads: Intra-op threads, or ``None`` for all usable processors.
        session_options: Further options of the session.
        max_length: The caller's token limit, or ``None`` for the model's own.
    """

    model: DenseModel
    store: StoreSettings
    request: ProviderRequest
    threads: int | None
    session_options: tuple[tuple[str, OptionValue], ...]
    max_length: int | None


@dataclass(frozen=True, slots=True)
class VectorSettings:
    """Everything else that changes a vector.

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
