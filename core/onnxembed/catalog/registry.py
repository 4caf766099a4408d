"""Finding a model by its name: those of the catalogue and those that the user adds, for the whole process."""

from __future__ import annotations

import threading
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Generic, TypeVar

from onnxembed.errors import InputError, InputTypeError, UnknownModelError
from onnxembed.runtime.per_process import PerProcess
from onnxembed.spec import ModelSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SpecT = TypeVar("SpecT", bound=ModelSpec)

_OFFERED_NAMES = 3
# Most names are those of other models than the catalogue's: one that is only alike would mislead.
_NEAR = 0.8
NEARLY_THE_SAME = 0.85
"""How alike the name of a Hub repository and one of the catalogue are where the first looks like a slip."""
# Comparing names takes time in the square of their length, and a message should stay readable.
_LONGEST_NAME = 120


class Registry(Generic[SpecT]):
    """Models of one kind by name, case aside; safe to use from many threads.

    Reading takes no lock: the added models are kept in a mapping that is replaced, never changed. So a lookup never
    waits, and a process forked in the middle of an addition can still look models up.

    Args:
        kind: The class of the models.
        file_name: The file of the catalogue that holds those that are always there; read on first use.
        facade: The public class that lists and adds them, for messages.
    """

    def __init__(self, kind: type[SpecT], file_name: str, facade: str) -> None:
        self._kind = kind
        self._file_name = file_name
        self._facade = facade
        self._catalogue: tuple[SpecT, ...] | None = None
        self._rows: dict[str, SpecT] = {}
        self._built_in: Mapping[str, SpecT] | None = None
        self._added: Mapping[str, SpecT] = MappingProxyType({})
        self._change = PerProcess(threading.Lock)

    @property
    def kind(self) -> type[SpecT]:
        """The class of the models."""
        return self._kind

    @property
    def facade(self) -> str:
        """The public class that lists and adds them."""
        return self._facade

    def catalogue(self) -> tuple[SpecT, ...]:
        """The models that are always there, in the order of their file."""
        # Two threads may both read it: the results are equal, and one of them stays.
        if self._catalogue is None:
            from onnxembed.catalog.reader import stored_models

            self._catalogue = stored_models(self._kind, self._file_name)
        return self._catalogue

    def models(self) -> tuple[SpecT, ...]:
        """All models: those of the catalogue, then the added ones in the order of addition."""
        return (*self.catalogue(), *self._added.values())

    def find(self, name: str) -> SpecT:
        """The model of a name in any case; where there is none, an `UnknownModelError` offers the nearest ones."""
        if not isinstance(name, str):
            raise InputTypeError(
                f"a model is named by a string, got {type(name).__name__}; "
                f"pass a name that {self._facade}.list_supported_models() lists"
            )
        model = self._get(name)
        if model is None:
            raise UnknownModelError(
                f"{unknown_name(name, self.models())} "
                f"{self._facade}.list_supported_models() lists all names; {self._facade}.add_custom_model() adds a "
                "model, and a local folder with a model's files, or a repository of the Hub, 'org/name', may be given "
                "instead of a name"
            )
        return model

    def add(self, model: SpecT) -> None:
        """Add a model for this process; its name must be free, case aside, and its ``dim`` 1 or more."""
        if not isinstance(model, self._kind):
            raise InputTypeError(
                f"expected a {self._kind.__name__} to add, got {type(model).__name__}; describe the model as one"
            )
        _check(model)
        folded = model.name.casefold()
        with self._change.get():
            taken = self._known().get(folded) or self._added.get(folded)
            if taken is not None:
                origin = "the catalogue" if folded in self._known() else "an earlier addition"
                raise InputError(
                    f"{model.name!r} cannot be added: {taken.name!r} of {origin} has that name already "
                    "(case does not count); choose another name"
                )
            self._added = MappingProxyType({**self._added, folded: model})

    def row(self, name: str) -> SpecT | None:
        """The model of the catalogue with this name, in any case; no alias and no added model counts."""
        return self._row(name.casefold())

    def holds(self, name: str) -> bool:
        """Whether a model has a name, in any case; near ones are not searched."""
        return self._get(name) is not None

    def remove(self, name: str) -> None:
        """Take an added model away; the catalogue stays as it is, and an unknown name is refused as by ``find``."""
        with self._change.get():
            model = self.find(name)
            folded = model.name.casefold()
            if folded not in self._added:
                raise InputError(f"{model.name!r} belongs to the catalogue; only models that were added can be removed")
            self._added = MappingProxyType({key: kept for key, kept in self._added.items() if key != folded})

    def _get(self, name: str) -> SpecT | None:
        """The model of a name: one of the catalogue, one that was added, or one that has the name as an alias."""
        folded = name.casefold()
        known = self._added.get(folded) or self._row(folded)
        if known is not None:
            return known
        aliased = (model for model in self.catalogue() for alias in model.aliases if alias.casefold() == folded)
        return next(aliased, None)

    def _row(self, folded: str) -> SpecT | None:
        """A model of the catalogue by its name without case; read alone, as most processes need one."""
        if self._built_in is None:
            if folded not in self._rows:
                from onnxembed.catalog.reader import stored_model

                found = stored_model(self._kind, self._file_name, folded)
                if found is None:
                    return self._known().get(folded)
                self._rows[folded] = found
            return self._rows[folded]
        return self._built_in.get(folded)

    def _known(self) -> Mapping[str, SpecT]:
        if self._built_in is None:
            self._built_in = MappingProxyType({model.name.casefold(): model for model in self.catalogue()})
        return self._built_in


def describe(model: ModelSpec, *keys: str) -> dict[str, object]:
    """What is known of a model as plain data, under the keys that fastembed's users know, and some fields besides."""
    values = {key: getattr(model, key) for key in keys}
    return {
        "model": model.name,
        "sources": {
            "hf": _first(source.hf for source in model.sources),
            "url": _first(source.url for source in model.sources),
            "package": _first(source.package for source in model.sources),
        },
        "model_file": model.model_file,
        "description": model.description,
        "license": model.license,
        "size_in_GB": model.size_in_gb,
        "additional_files": list(model.additional_files),
        **{key: value.value if isinstance(value, Enum) else value for key, value in values.items()},
    }


def _check(model: ModelSpec) -> None:
    # The model class passes on what users wrote, so the annotations promise nothing here.
    if not isinstance(model.name, str) or not model.name.strip():
        raise InputError(f"a model needs a name, got {model.name!r}; pass one such as 'org/name'")
    if not model.sources:
        raise InputError(f"{model.name!r} has no source; pass one such as ModelSource(hf='org/name')")
    dim = getattr(model, "dim", 1)  # sparse models and rerankers have none
    if type(dim) is not int or dim < 1:
        raise InputError(f"{model.name!r} has dim {dim!r}; pass the length of its vectors, a whole number from 1 on")


def unknown_name(name: str, models: Iterable[ModelSpec], near: float = _NEAR) -> str:
    """Say that no model has a name, and offer the nearest names of some, at least so alike (0 to 1)."""
    return f"no model is named {_shortened(name)!r}.{_offer(name, models, near)}"


def _offer(name: str, models: Iterable[ModelSpec], least: float) -> str:
    if len(name) > _LONGEST_NAME:
        return ""
    scored = [(_likeness(name.casefold(), model.name.casefold()), model.name) for model in models]
    scored.sort(key=lambda pair: -pair[0])
    near = [repr(candidate) for score, candidate in scored[:_OFFERED_NAMES] if score >= least]
    return f" Did you mean {' or '.join(near)}?" if near else ""


def _likeness(given: str, candidate: str) -> float:
    """0 to 1 by ``difflib``, of folded names whole and without their organisation, which people misremember.

    It is near at least where one such part holds the other.
    """
    from difflib import SequenceMatcher

    given_part, part = given.rpartition("/")[2], candidate.rpartition("/")[2]
    likeness = max(
        SequenceMatcher(None, given, candidate).ratio(),
        SequenceMatcher(None, given_part, part).ratio(),
    )
    return max(likeness, _NEAR) if len(given_part) > 2 and given_part in part else likeness


def _shortened(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}..."


def _first(values: Iterable[str | None]) -> str | None:
    return next((value for value in values if value), None)
