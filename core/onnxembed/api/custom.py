"""`add_custom_model` of each kind, made from the classmethod of its description that takes the same arguments."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any, Generic, ParamSpec, TypeVar, overload

from onnxembed.catalog.registry import Registry
from onnxembed.errors import InputTypeError
from onnxembed.spec import ModelSpec

P = ParamSpec("P")
SpecT = TypeVar("SpecT", bound=ModelSpec)


class Adding(Generic[P, SpecT]):
    """Adds a model for this process, by its description or by the arguments that describe it."""

    def __init__(self, custom: Callable[P, SpecT], registry: Registry[SpecT]) -> None:
        """Take the classmethod that describes a model, and where models of its kind are known."""
        self._custom = custom
        self._registry = registry
        self.__name__ = "add_custom_model"
        self.__signature__ = signature(custom).replace(return_annotation=None)
        self.__doc__ = (
            "Add a model for this process; objects made from it carry its description to other processes.\n\n"
            f"Takes the model's description alone, or these arguments.\n\n{custom.__doc__ or ''}"
        )

    @overload
    def __call__(self, described: SpecT, /) -> None: ...
    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> None: ...
    def __call__(self, *args: Any, **kwargs: Any) -> None:
        """Add the model."""
        described = len(args) == 1 and not kwargs and isinstance(args[0], ModelSpec)
        if not described:
            try:
                self.__signature__.bind(*args, **kwargs)
            except TypeError as error:
                raise InputTypeError(f"add_custom_model() {error}") from None
        self._registry.add(args[0] if described else self._custom(*args, **kwargs))
