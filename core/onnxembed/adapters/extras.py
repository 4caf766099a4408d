"""Classes that need an optional package: without it they can be imported, and say so when an object is made."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, NoReturn

__all__ = ["load_class"]


def load_class(name: str, module: str) -> Any:
    """Import a class; where a package is missing that it needs, give a stand-in that raises that error when it is used.

    Names stay importable that way, ``hasattr`` and ``inspect.getmembers`` work, and the extra is named where it counts.
    """
    try:
        return getattr(import_module(module), name)
    except ImportError as error:
        return _stand_in(name, module, error)


def _stand_in(name: str, module: str, error: ImportError) -> type:
    def refuse(*_args: object, **_kwargs: object) -> NoReturn:
        raise type(error)(*error.args) from error

    makers: dict[str, Callable[..., NoReturn]] = {
        maker: staticmethod(refuse)
        for maker in (
            "__new__",
            "from_documents",
            "from_engine",
            "from_nodes",
            "from_persist_dir",
            "from_texts",
            "in_qdrant",
        )
    }
    return type(name, (), {"__doc__": f"Not available: {error}", "__module__": module, **makers})
