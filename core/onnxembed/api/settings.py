"""What distinguishes two engines, as frozen data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from onnxembed.hub.settings import StoreSettings
from onnxembed.runtime.providers import ProviderRequest
from onnxembed.runtime.session import OptionValue
from onnxembed.spec import ModelSource, Recipe


class LoadableModel(Protocol):
    """What every kind of model that is loaded from files has in common. Specifications are frozen and hashable."""

    @property
    def name(self) -> str:
        """The public name."""
        ...

    @property
    def sources(self) -> tuple[ModelSource, ...]:
        """Where the files are."""
        ...

    @property
    def model_file(self) -> str:
        """The graph or table, relative to the folder."""
        ...

    @property
    def additional_files(self) -> tuple[str, ...]:
        """Further files that must be there."""
        ...

    @property
    def recipe(self) -> Recipe | None:
        """What to make of weights where there is no graph."""
        ...


ModelT = TypeVar("ModelT", bound=LoadableModel)
ModelT_co = TypeVar("ModelT_co", bound=LoadableModel, covariant=True)


@dataclass(frozen=True, slots=True)
class EngineSettings(Generic[ModelT_co]):
    """Everything that decides which weights and which tokenizer are loaded, and how they run.

    Two facades with equal engine settings share one engine in a process.

    Attributes:
        model: The model.
        store: Where its files may come from.
        request: Providers and devices.
        threads: Intra-op threads, or ``None`` for all usable processors.
        session_options: Further options of the session.
        max_length: The caller's token limit, or ``None`` for the model's own.
    """

    model: ModelT_co
    store: StoreSettings
    request: ProviderRequest
    threads: int | None
    session_options: tuple[tuple[str, OptionValue], ...]
    max_length: int | None
