"""From an adapter's fields to the core object that they describe, opened again when a field changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from functools import cache, partial
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar, cast

from pydantic import BaseModel, PrivateAttr, model_validator

from onnxembed.adapters.fields import EngineFields
from onnxembed.adapters.messages import FOREIGN_NAMES, refuse_unknown, translate
from onnxembed.api.options import EngineOptions, option_docs
from onnxembed.errors import OnnxEmbedError

if TYPE_CHECKING:
    from onnxembed.api.model import Model

__all__ = ["EngineModel", "Opened", "describe", "inherited", "option_names", "reopened"]

ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class Opened:
    """A core object, and what it was opened for.

    Attributes:
        fields: All fields of the adapter at that time; ``None`` in a copy, which compares its settings again.
        settings: The arguments of the core object.
        engine: The core object.
        memo: What an adapter derived of both, for as long as no field changes.
    """

    fields: dict[str, Any] | None
    settings: dict[str, Any]
    engine: Any
    memo: dict[str, Any] = field(default_factory=dict)

    def __reduce__(self) -> tuple[type[Opened], tuple[None, dict[str, Any], Any]]:
        # Fields may hold what cannot be pickled, such as callbacks.
        return Opened, (None, self.settings, self.engine)


def reopened(
    held: Opened | None, given: dict[str, Any], settings: dict[str, Any], make: Callable[[dict[str, Any]], Any]
) -> Opened:
    """Make the core object for some settings, or keep the one at hand if its settings are the same."""
    engine = held.engine if held is not None and held.settings == settings else make(settings)
    return Opened(given, settings, engine)


def inherited(owner: type, table: str) -> dict[str, str]:
    """Merge a table of names over a class and its bases; a class's own entries win."""
    merged: dict[str, str] = {}
    for base in reversed(owner.__mro__):
        merged.update(vars(base).get(table, {}))
    return merged


@cache
def option_names(
    owner: type[EngineFields], table: str = "core_names", options: str = "options_class"
) -> Mapping[str, str]:
    """Give the field for each of the core's options that the adapter has, by the core's name; ``lazy_load`` is none.

    ``table`` and ``options`` are the class's attributes with the names that differ and with the core's options.
    """
    renamed = inherited(owner, table)
    names = {one.name: renamed.get(one.name, one.name) for one in fields(getattr(owner, options))}
    return {name: here for name, here in names.items() if here in owner.model_fields and name != "lazy_load"}


def describe(model: type[BaseModel], options_class: type[EngineOptions], table: str) -> None:
    """Give the fields of a model the core's documentation of the options that they stand for."""
    renamed = inherited(model, table)
    for core, text in option_docs(options_class).items():
        field = model.model_fields.get(renamed.get(core, core))
        if field is not None and field.description is None:
            field.description = text


class EngineModel(EngineFields):
    """A model whose fields are the options of a core object.

    A kind's class gives `core_class` and `options_class`. Settings travel in copies and pickles, the weights never do;
    equal settings share one set of weights in a process. A changed field opens another core object.

    Attributes:
        options_class: The core's options; fields that have none of their own take its descriptions.
        elsewhere: Names that users bring from other libraries, with what to do instead; added to those of the bases.
    """

    options_class: ClassVar[type[EngineOptions]] = EngineOptions
    elsewhere: ClassVar[Mapping[str, str]] = FOREIGN_NAMES

    _opened: Opened | None = PrivateAttr(default=None)

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        # The schema is made on first use, after this.
        super().__pydantic_init_subclass__(**kwargs)
        describe(cls, cls.options_class, "core_names")

    @classmethod
    def core_class(cls) -> Callable[..., Any]:
        """Give the core's class; it is imported when the first object is made."""
        raise NotImplementedError

    @model_validator(mode="before")
    @classmethod
    def _check_names(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        dumped_name = getattr(cls, "class_name", None)
        if dumped_name is not None and data.get("class_name") == dumped_name():
            # Some frameworks write the name of the class into their dumps, and do not take it out of all of them.
            data = {name: value for name, value in data.items() if name != "class_name"}
        known = {*cls.model_fields, *(field.alias for field in cls.model_fields.values() if field.alias)}
        core_names = inherited(cls, "core_names").items()
        renamed = {core: f"here it is called {here!r}" for core, here in core_names if core not in known}
        refuse_unknown(cls.__name__, data, known, {**renamed, **inherited(cls, "elsewhere")})
        return data

    def model_post_init(self, _context: Any, /) -> None:
        """Make the core object, so that bad settings are refused at once; weights are loaded now or on first use."""
        given = dict(self.__dict__)
        self._opened = reopened(None, given, self._settings(given), partial(self._make, lazy_load=self.lazy_load))

    @classmethod
    def from_engine(cls, engine: Model[Any, Any, Any]) -> Self:
        """Use a core object that is already there; its options become the fields.

        Args:
            engine: The core object.

        Returns:
            An adapter that shares it.
        """
        options = engine.options
        made = cls(**{here: options[core] for core, here in cls._names().items()})
        given = dict(made.__dict__)
        made._opened = reopened(None, given, made._settings(given), lambda _: engine)
        return made

    @classmethod
    def _names(cls) -> Mapping[str, str]:
        return option_names(cls)

    @classmethod
    def _settings(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """The core's arguments of an adapter's fields; ``None`` leaves the choice to the core, or to a folder."""
        return {core: given[here] for core, here in cls._names().items() if given[here] is not None}

    @classmethod
    def _make(cls, settings: dict[str, Any], *, lazy_load: bool = True) -> Any:
        with cls._in_our_words():
            return cls.core_class()(**settings, lazy_load=lazy_load)

    @classmethod
    @contextmanager
    def _in_our_words(cls, table: str = "core_names") -> Iterator[None]:
        """Translate the names in the core's messages."""
        try:
            yield
        except OnnxEmbedError as error:
            translate(error, inherited(cls, table))
            raise

    def _current(self) -> Opened:
        """The core object for the fields as they are now."""
        held = self._opened
        if held is None or held.fields != self.__dict__:
            given = dict(self.__dict__)
            held = self._opened = reopened(held, given, self._settings(given), self._make)
        return held

    async def _in_pool(self, function: Callable[[], ResultT]) -> ResultT:
        """Await a blocking call in the core object's pool."""
        return cast("ResultT", await self._current().engine.run_async(function))

    def __eq__(self, other: object) -> bool:
        """Compare the settings; whether the model is already loaded makes no difference."""
        return isinstance(other, BaseModel) and type(self) is type(other) and self.__dict__ == other.__dict__
