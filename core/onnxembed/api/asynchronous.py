"""Asynchronous twins: each is made from the synchronous method, with its exact signature."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

if TYPE_CHECKING:
    from onnxembed.api.model import Model

P = ParamSpec("P")
R = TypeVar("R")
M = TypeVar("M", bound="Model[Any, Any, Any]")


def streamed(method: Callable[Concatenate[M, P], Iterator[R]]) -> Callable[Concatenate[M, P], AsyncIterator[R]]:
    """Make the twin of a method that gives an iterator.

    Arguments are checked at the call, in the caller's thread; the model is loaded and the work done in the model's own
    small pool, with the caller's context variables.
    """

    def twin(self: M, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[R]:
        return self._iterate_async(method(self._deferring(), *args, **kwargs))

    dressed: Callable[Concatenate[M, P], AsyncIterator[R]] = _dressed(twin, method, "Async")
    return dressed


def awaited(method: Callable[Concatenate[M, P], R]) -> Callable[Concatenate[M, P], Coroutine[Any, Any, R]]:
    """Make the twin of a method that gives a value."""

    async def twin(self: M, *args: P.args, **kwargs: P.kwargs) -> R:
        return await self.run_async(lambda: method(self, *args, **kwargs))

    dressed: Callable[Concatenate[M, P], Coroutine[Any, Any, R]] = _dressed(twin, method, "")
    return dressed


def _dressed(twin: Any, method: Callable[..., Any], prefix: str) -> Any:
    """Give a twin the name, the documentation and the signature of its method."""
    name = method.__name__
    signature = inspect.signature(method)
    twin.__name__ = f"a{name}"
    twin.__qualname__ = f"{method.__qualname__.removesuffix(name)}a{name}"
    twin.__module__ = method.__module__
    twin.__doc__ = f"Asynchronous twin of `{name}`.\n\n{inspect.cleandoc(method.__doc__ or '')}"
    twin.__signature__ = signature.replace(return_annotation=f"{prefix}{signature.return_annotation}")
    return twin
