"""The documentation of Python's own standard library, as passages to search: real text that is on every machine."""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
import re
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType

# Modules that do something when they are imported, need a display, or hold tests and tables instead of documentation.
SKIPPED = {
    *("antigravity", "idlelib", "rlcompleter", "this", "tkinter", "turtle", "turtledemo"),
    *("distutils", "encodings", "ensurepip", "lib2to3", "msilib", "pydoc_data"),
    *("test", "tests", "xxlimited", "xxlimited_35", "xxsubtype"),
}
_METHODS = (staticmethod, classmethod, property, functools.cached_property)


@dataclass(frozen=True)
class Passage:
    """One docstring.

    Attributes:
        name: Dotted name of what it documents.
        text: The name and the docstring, cut to some number of words.
    """

    name: str
    text: str

    @property
    def summary(self) -> str:
        """The docstring's first line."""
        return self.text.split("\n")[1]


def read_passages(*, min_words: int = 12, max_words: int = 40) -> list[Passage]:
    """Read the docstrings of all public modules, classes, functions and methods, each text once.

    Args:
        min_words: Shorter docstrings are left out.
        max_words: Longer ones are cut.

    Returns:
        The passages, in an order that depends on the Python version alone.
    """
    first_words = re.compile(rf"(?:\S+\s+){{0,{max_words - 1}}}\S+")
    passages: dict[str, Passage] = {}
    for name, owner in _documented():
        doc = getattr(owner, "__doc__", None)
        found = first_words.match(inspect.cleandoc(doc)) if isinstance(doc, str) else None
        if found and len(found[0].split()) >= min_words:
            passages.setdefault(found[0], Passage(name, f"{name}\n{found[0]}"))
    return list(passages.values())


def _documented() -> Iterator[tuple[str, object]]:
    """Everything public that may have a docstring, with its dotted name."""
    for module in _modules(sorted(sys.stdlib_module_names)):
        yield module.__name__, module
        for name, value in _public(module):
            dotted = f"{module.__name__}.{name}"
            if inspect.isroutine(value) or inspect.isclass(value):
                yield dotted, value
            if inspect.isclass(value):
                for method, member in vars(value).items():
                    if not method.startswith("_") and (inspect.isroutine(member) or isinstance(member, _METHODS)):
                        yield f"{dotted}.{method}", member


def _modules(names: list[str]) -> Iterator[ModuleType]:
    """Import modules and their submodules; those for another operating system are passed over."""
    for name in names:
        last = name.rpartition(".")[2]
        if last.startswith("_") or last in SKIPPED:
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # modules on their way out say so when they are imported
                module = importlib.import_module(name)
        except (ImportError, OSError, AttributeError, ValueError):
            continue
        yield module
        if hasattr(module, "__path__"):
            yield from _modules(sorted(f"{name}.{found.name}" for found in pkgutil.iter_modules(module.__path__)))


def _public(module: ModuleType) -> Iterator[tuple[str, object]]:
    """What a module offers: what it lists in ``__all__``, else what it defines without a leading underscore."""
    listed = getattr(module, "__all__", None)
    if listed is not None:
        yield from ((name, vars(module)[name]) for name in listed if name in vars(module))
        return
    for name, value in vars(module).items():
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__:
            yield name, value
