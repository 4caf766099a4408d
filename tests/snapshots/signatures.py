"""Every public name with what can be called on it, and how."""

from __future__ import annotations

import dataclasses
import enum
import functools
import inspect
import pkgutil
import typing
from collections.abc import Iterable, Iterator
from importlib import import_module
from types import MemberDescriptorType
from typing import Any

from pydantic import BaseModel

from tests.snapshots.milvus import with_milvus
from tests.snapshots.render import annotation_text, signature_text, value_text
from tests.snapshots.source import LLAMA_INDEX, defined_names, foreign, is_ours, ours

CORE_MODULES = (
    "onnxembed.care",
    "onnxembed.errors",
    "onnxembed.image.limits",
    "onnxembed.image.loading",
    "onnxembed.image.urls",
    "onnxembed.catalog",
    "onnxembed.compile",
    "onnxembed.spec",
    "onnxembed.sparse.index",
    "onnxembed.testing",
)
"""What users import from the core beside the package itself."""


def core() -> str:
    return _packages(["onnxembed"], CORE_MODULES)


def langchain() -> str:
    with with_milvus():
        return _packages(["langchain_onnxembed"], _public_modules("langchain_onnxembed"))


def llama_index() -> str:
    return _packages(LLAMA_INDEX, [module for package in LLAMA_INDEX for module in _public_modules(package)])


def public_classes(packages: Iterable[str]) -> list[tuple[str, type]]:
    """The classes that packages and their public modules define, each once, under the shortest name."""
    found: dict[type, str] = {}
    for package in packages:
        for name in (package, *_public_modules(package)):
            module = import_module(name)
            for one in defined_names(module):
                value = _get(module, one)
                if isinstance(value, type) and is_ours(value.__module__):
                    found.setdefault(value, f"{package}.{one}" if name == package else f"{name}.{one}")
    return sorted((name, cls) for cls, name in found.items())


def _public_modules(package: str) -> list[str]:
    names = [found.name for found in pkgutil.iter_modules(import_module(package).__path__)]
    return sorted(f"{package}.{name}" for name in names if not name.startswith("_"))


def _get(module: Any, name: str) -> Any:
    """Read a name; the class for Milvus only from its module, where the stand-in leaves no trace."""
    if module.__name__ == "langchain_onnxembed" and name == "OnnxMilvusSparse":
        module = import_module("langchain_onnxembed.milvus")
    return getattr(module, name)


def _packages(packages: Iterable[str], modules: Iterable[str]) -> str:
    lines: list[str] = []
    told: dict[int, str] = {}
    for name in (*packages, *modules):
        module = import_module(name)
        lines.append(f"== {name}")
        for one in defined_names(module):
            value = _get(module, one)
            shared = not isinstance(value, type) and not inspect.isroutine(value)
            if id(value) in told and not shared:
                lines.append(f"{one}: {told[id(value)]}")
                continue
            told[id(value)] = f"see {name}"
            lines.extend(_name(one, value))
        lines.append("")
    return "\n".join(lines)


def _name(name: str, value: Any) -> Iterator[str]:
    if isinstance(value, type) and is_ours(value.__module__):
        yield from _class(name, value)
    elif inspect.isroutine(value):
        yield from _function("def ", name, value)
    else:
        yield f"{name} = {value_text(value)}"


def _class(name: str, cls: type) -> Iterator[str]:
    ancestors = sorted(base.__name__ for base in ours(cls)[1:] if "._" not in f"{base.__module__}.{base.__name__}")
    yield f"class {name}: {', '.join((*ancestors, *foreign(cls))) or 'object'}"
    if issubclass(cls, enum.Enum):
        yield from (f"    {member.name} = {member.value!r}" for member in cls)
    elif issubclass(cls, BaseModel):
        yield "    (made from its fields)"
    elif not issubclass(cls, BaseException) or "__init__" in vars(cls):
        yield f"    {signature_text(cls)}"
    yield from _dataclass_fields(cls)
    yield from (f"    {line}" for line in _members(cls))


def _dataclass_fields(cls: type) -> Iterator[str]:
    if not dataclasses.is_dataclass(cls):
        return
    yield f"    dataclass, frozen={cls.__dataclass_params__.frozen}"  # type: ignore[attr-defined]
    for field in dataclasses.fields(cls):
        default = ""
        if field.default is not dataclasses.MISSING:
            default = f" = {value_text(field.default)}"
        elif field.default_factory is not dataclasses.MISSING:
            default = f" = made by {value_text(field.default_factory)}"
        yield f"    field {field.name}: {annotation_text(field.type)}{default}"


def _members(cls: type) -> Iterator[str]:
    found: dict[str, Any] = {}
    for base in reversed(ours(cls)):
        found.update(vars(base))
    for name, member in sorted(found.items()):
        if not _is_private(name) and not (isinstance(member, enum.Enum) or _is_generated(cls, name, member)):
            yield from _member(name, member)


def _is_private(name: str) -> bool:
    return name in {"__init__", "__new__", "__post_init__"} or (name.startswith("_") and not name.endswith("__"))


def _is_generated(cls: type, name: str, member: Any) -> bool:
    """Whether a member comes from a decorator or a framework, and is told elsewhere or no concern of users."""
    function = inspect.unwrap(getattr(member, "__func__", member)) if callable(member) else member
    if inspect.isfunction(function):
        return not is_ours(function.__module__) or function.__code__.co_filename == "<string>"
    if name.startswith("__") or (issubclass(cls, BaseModel) and name.startswith("model_")):
        return True
    return dataclasses.is_dataclass(cls) and name in {field.name for field in dataclasses.fields(cls)}


def _member(name: str, member: Any) -> Iterator[str]:
    if isinstance(member, property | functools.cached_property):
        function = member.fget if isinstance(member, property) else member.func
        settable = ", can be set" if isinstance(member, property) and member.fset else ""
        returns = inspect.signature(typing.cast("Any", function)).return_annotation
        yield f"property {name} -> {annotation_text(returns)}{settable}"
    elif isinstance(member, classmethod):
        yield from _function("classmethod ", name, member.__func__, bound=True)
    elif isinstance(member, staticmethod):
        yield from _function("staticmethod ", name, member.__func__)
    elif inspect.isfunction(member):
        yield from _function("", name, member, bound=True)
    elif isinstance(member, MemberDescriptorType):
        yield f"attribute {name}"
    else:
        yield f"{name} = {value_text(member)}"


def _function(kind: str, name: str, function: Any, *, bound: bool = False) -> Iterator[str]:
    waits = "async " if inspect.iscoroutinefunction(inspect.unwrap(function)) else ""
    for one in typing.get_overloads(inspect.unwrap(function)):
        yield f"overload {kind}{waits}{name}{signature_text(one, bound=bound)}"
    yield f"{kind}{waits}{name}{signature_text(function, bound=bound)}"
