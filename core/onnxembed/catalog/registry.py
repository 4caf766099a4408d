"""Finding a model by its name: those of the catalogue and those that the user adds, for the whole process."""

from __future__ import annotations

import threading
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

from onnxembed.catalog import dense_models
from onnxembed.errors import InputError, InputTypeError, UnknownModelError
from onnxembed.spec import DenseModel, ModelSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_OFFERED_NAMES = 3
_NEAR = 0.6
# Comparing names takes time in the square of their length, and a message should stay readable.
_LONGEST_NAME = 120


class DescribedModel(Protocol):
    """What every kind of model has in common."""

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
        """The graph or table."""
        ...

    @property
    def additional_files(self) -> tuple[str, ...]:
        """Further files that must be there."""
        ...

    @property
    def license(self) -> str:
        """Licence of the weights."""
        ...

    @property
    def size_in_gb(self) -> float:
        """Download size."""
        ...

    @property
    def description(self) -> str:
        """One line for people."""
        ...


ModelT = TypeVar("ModelT", bound=DescribedModel)


class Registry(Generic[ModelT]):
    """Models of one kind by name, case aside; safe to use from many threads.

    Reading takes no lock: the added models are kept in a mapping that is replaced, never changed. So a lookup never
    waits, and a process forked in the middle of an addition can still look models up.

    Args:
        catalogue: Gives the models that are always there; called on first use.
        kind: The class of the models.
        facade: The public class that lists and adds them, for messages.
    """

    def __init__(self, catalogue: Callable[[], tuple[ModelT, ...]], kind: type[ModelT], facade: str) -> None:
        self._catalogue = catalogue
        self._kind = kind
        self._facade = facade
        self._built_in: Mapping[str, ModelT] | None = None
        self._added: Mapping[str, ModelT] = MappingProxyType({})
        self._change = threading.Lock()

    def models(self) -> tuple[ModelT, ...]:
        """Give all models.

        Returns:
            Those of the catalogue in its order, then the added ones in theirs.
        """
        return (*self._known().values(), *self._added.values())

    def find(self, name: str) -> ModelT:
        """Find a model.

        Args:
            name: Its name, in any case.

        Returns:
            The model.

        Raises:
            InputTypeError: The name is no string.
            UnknownModelError: No model has it; the message offers the nearest ones.
        """
        if not isinstance(name, str):
            raise InputTypeError(
                f"a model is named by a string, got {type(name).__name__}; "
                f"pass a name that {self._facade}.list_supported_models() tells"
            )
        folded = name.casefold()
        model = self._known().get(folded) or self._added.get(folded)
        if model is None:
            raise UnknownModelError(
                f"no model is named {_shortened(name)!r}.{_offer(name, self.models())} "
                f"{self._facade}.list_supported_models() tells all names; {self._facade}.add_custom_model() adds a "
                "model, and a local folder with a model's files may be given instead of a name"
            )
        return model

    def add(self, model: ModelT) -> None:
        """Add a model for this process.

        Args:
            model: The model; its name must be free, case aside.

        Raises:
            InputTypeError: It is of another kind.
            InputError: It lacks a name or a source, ``dim`` is no whole number from 1 on, or the name is taken.
        """
        if not isinstance(model, self._kind):
            raise InputTypeError(
                f"expected a {self._kind.__name__} to add, got {type(model).__name__}; describe the model as one"
            )
        _check(model)
        folded = model.name.casefold()
        with self._change:
            taken = self._known().get(folded) or self._added.get(folded)
            if taken is not None:
                origin = "the catalogue" if folded in self._known() else "an earlier addition"
                raise InputError(
                    f"{model.name!r} cannot be added: {taken.name!r} of {origin} has that name already "
                    "(case does not count); choose another name"
                )
            self._added = MappingProxyType({**self._added, folded: model})

    def holds(self, name: str) -> bool:
        """Tell whether a model has a name, without a search for near ones.

        Args:
            name: The name, in any case.

        Returns:
            Whether there is one.
        """
        folded = name.casefold()
        return folded in self._known() or folded in self._added

    def remove(self, name: str) -> None:
        """Take an added model away; a name that nobody has is refused as by ``find``.

        Args:
            name: Its name, in any case.

        Raises:
            InputError: It belongs to the catalogue, which stays as it is.
        """
        with self._change:
            model = self.find(name)
            folded = model.name.casefold()
            if folded not in self._added:
                raise InputError(f"{model.name!r} belongs to the catalogue; only models that were added can be removed")
            self._added = MappingProxyType({key: kept for key, kept in self._added.items() if key != folded})

    def _known(self) -> Mapping[str, ModelT]:
        # Two threads may both build it: the results are equal, and one of them stays.
        if self._built_in is None:
            self._built_in = MappingProxyType({model.name.casefold(): model for model in self._catalogue()})
        return self._built_in


dense_registry: Final = Registry(dense_models, DenseModel, "TextEmbedding")
"""The dense text models of this process."""


def describe_files(model: DescribedModel) -> dict[str, object]:
    """Tell what is known of a model of any kind, as plain data that belongs to the caller.

    Args:
        model: The model.

    Returns:
        A dictionary of strings, numbers, lists and dictionaries, under the keys that fastembed's users know.
    """
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
    }


def describe(model: DenseModel) -> dict[str, object]:
    """Tell what is known of a model, as plain data that belongs to the caller.

    Args:
        model: The model.

    Returns:
        The entries of `describe_files` and those of dense models. Under ``matryoshka_dims``, ``None`` says that the
        authors do not provide for shortening, an empty list that any length is allowed.
    """
    matryoshka = model.matryoshka
    return {
        **describe_files(model),
        "dim": model.dim,
        "tasks": dict(model.tasks),
        "max_tokens": model.max_tokens,
        "pooling": model.pooling.value,
        "normalize": model.normalize,
        "prompts": {"query": model.prompts.query, "passage": model.prompts.passage},
        "matryoshka_dims": None if matryoshka is None else list(matryoshka.dims),
        "prompt_source": model.prompt_source,
    }


def _check(model: DescribedModel) -> None:
    # The facade hands on what users wrote, so the annotations promise nothing here.
    if not isinstance(model.name, str) or not model.name.strip():
        raise InputError(f"a model needs a name, got {model.name!r}; pass one such as 'org/name'")
    if not model.sources:
        raise InputError(f"{model.name!r} has no source; pass one such as ModelSource(hf='org/name')")
    dim = getattr(model, "dim", 1)  # sparse models and rerankers have none
    if type(dim) is not int or dim < 1:
        raise InputError(f"{model.name!r} has dim {dim!r}; pass the length of its vectors, a whole number from 1 on")


def _offer(name: str, models: Iterable[DescribedModel]) -> str:
    if len(name) > _LONGEST_NAME:
        return ""
    scored = [(_likeness(name.casefold(), model.name.casefold()), model.name) for model in models]
    scored.sort(key=lambda pair: -pair[0])
    near = [repr(candidate) for score, candidate in scored[:_OFFERED_NAMES] if score >= _NEAR]
    return f" Did you mean {' or '.join(near)}?" if near else ""


def _likeness(given: str, candidate: str) -> float:
    """Compare whole names, and the parts after the organisation: people forget or misremember the latter.

    Args:
        given: What was asked for, case folded.
        candidate: A name that exists, case folded.

    Returns:
        0 for nothing in common to 1 for equal, by ``difflib``; 0.6 at least where one holds the other.
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
