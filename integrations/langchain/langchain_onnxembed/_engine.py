"""What every adapter of one engine has in common: the fields that say which model and where, and the engine itself."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Protocol, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, model_validator

from langchain_onnxembed._options import DeviceName, ModelName, PathText, Provider, refuse_unknown

COMMON_NAMES: Mapping[str, str] = {
    "model_name": "model_name",
    "cache_dir": "cache_dir",
    "threads": "threads",
    "providers": "providers",
    "cuda": "device",
    "device_ids": "device_ids",
    "local_files_only": "local_files_only",
    "specific_model_path": "model_path",
    "revision": "revision",
    "max_length": "max_length",
    "truncate": "truncate",
    "enable_cpu_mem_arena": "enable_cpu_mem_arena",
    "session_options": "session_options",
    "token_budget": "token_budget",
}
"""What the core calls the options of every engine, and what they are called here."""

_ELSEWHERE: Mapping[str, str] = {
    "cache_folder": "here it is called 'cache_dir'",
    "model_kwargs": "pass its entries by their own names, such as device=",
    "encode_kwargs": "pass its entries by their own names, such as batch_size=",
    "multi_process": "pass parallel=, the number of workers",
}


ItemT = TypeVar("ItemT")


class CoreEngine(Protocol):
    """What the adapters ask of a core object beside its work."""

    @property
    def options(self) -> dict[str, Any]:
        """The constructor's arguments that would make it again."""
        ...


class EngineModel(BaseModel):
    """Fields of every adapter, and the engine that they describe.

    Attributes:
        model_name: Name of the model, or a local folder; `model` is the same.
        cache_dir: Where the model's files are kept; by default the environment variable `ONNXEMBED_CACHE`, else the
            usual cache of the Hugging Face Hub.
        local_files_only: Never use the network.
        revision: The revision of the model's repository.
        model_path: A local folder with the model's files.
        device: Where the model runs.
        device_ids: The devices to share the work, by number.
        providers: ONNX Runtime execution providers, names or `(name, options)`; instead of `device`.
        threads: Threads for one inference.
        parallel: Batches run at once; 0 means as many as there are processors, `None` one a device.
        batch_size: The most items in one batch.
        max_length: The longest text, in tokens; longer ones are cut.
        truncate: Whether longer texts are cut; otherwise they are refused.
        enable_cpu_mem_arena: Whether ONNX Runtime keeps memory for reuse.
        session_options: Further options of the ONNX Runtime session.
        token_budget: The most tokens in one batch.
        lazy_load: Whether the model is loaded on first use; otherwise in the constructor.
    """

    model_config = ConfigDict(extra="forbid", protected_namespaces=(), populate_by_name=True)

    core_names: ClassVar[Mapping[str, str]] = COMMON_NAMES
    """What the core calls each option, and what it is called here. A test holds this against the core's signature."""
    elsewhere: ClassVar[Mapping[str, str]] = {}
    """Names that users bring from other libraries, with what to do instead."""

    model_name: ModelName = Field(alias="model")
    # Read here too, so that the setting is seen on the object and travels to workers with another environment.
    cache_dir: PathText | None = Field(default_factory=lambda: os.environ.get("ONNXEMBED_CACHE") or None)
    local_files_only: bool = False
    revision: str | None = None
    model_path: PathText | None = None
    device: DeviceName = "auto"
    device_ids: list[int] | None = None
    providers: list[Provider] | None = None
    threads: int | None = Field(default=None, ge=1)
    parallel: int | None = Field(default=None, ge=0)
    batch_size: int = Field(default=256, ge=1)
    max_length: int | None = Field(default=None, ge=1)
    truncate: bool = True
    enable_cpu_mem_arena: bool | None = None
    session_options: dict[str, str | int | bool] | None = None
    token_budget: int | None = Field(default=None, ge=1)
    lazy_load: bool = True

    # The engine, with the settings that it was opened with: changing a field opens another one.
    _opened: tuple[dict[str, Any], Any] | None = PrivateAttr(default=None)

    @model_validator(mode="before")
    @classmethod
    def _check_names(cls, data: Any) -> Any:
        if isinstance(data, dict):
            aliases = {field.alias for field in cls.model_fields.values() if field.alias}
            renamed = {core: f"here it is called {here!r}" for core, here in cls.core_names.items() if core != here}
            known = {*cls.model_fields, *aliases}
            refuse_unknown(cls.__name__, data, known, {**_ELSEWHERE, **renamed, **cls.elsewhere})
        return data

    def model_post_init(self, _context: Any, /) -> None:
        """Make the engine, so that bad settings are told at once; it loads nothing unless ``lazy_load`` is off.

        Args:
            _context: Not used.
        """
        self._open(lazy_load=self.lazy_load)

    @classmethod
    def from_engine(cls, engine: CoreEngine) -> Self:
        """Use an engine that is already there.

        Args:
            engine: The core object; its settings become the fields.

        Returns:
            An adapter that shares the engine.
        """
        given = engine.options
        made = cls(**{here: given[core] for core, here in cls.core_names.items()})
        made._opened = (made._settings(), engine)
        return made

    @classmethod
    def _make(cls, settings: dict[str, Any], *, lazy_load: bool) -> Any:
        """Make the core object; every adapter does."""
        raise NotImplementedError

    @property
    def model(self) -> str:
        """The model's name, as other LangChain classes spell it."""
        return self.model_name

    def _settings(self) -> dict[str, Any]:
        return {core: getattr(self, here) for core, here in self.core_names.items()}

    def _open(self, *, lazy_load: bool) -> Any:
        settings = self._settings()
        if self._opened is None or self._opened[0] != settings:
            self._opened = (settings, self._make(settings, lazy_load=lazy_load))
        return self._opened[1]

    def __eq__(self, other: object) -> bool:
        """Compare the settings; whether the model is already loaded makes no difference."""
        return type(self) is type(other) and self.__dict__ == other.__dict__


def as_list(items: Iterable[ItemT], method: str, kind: str, instead: str) -> list[ItemT]:
    """Take any collection but not a single text, which would be read letter by letter.

    Args:
        items: The argument.
        method: The method that was called.
        kind: What the items are.
        instead: What to do with a single text.

    Returns:
        The items.
    """
    if isinstance(items, str) or not isinstance(items, Iterable):
        from onnxembed.errors import InputTypeError

        raise InputTypeError(f"{method} was given a {type(items).__name__}, expected a list of {kind}; {instead}")
    return list(items)
