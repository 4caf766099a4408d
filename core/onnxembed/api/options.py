"""Options: one field of one frozen dataclass each, declared, documented and checked in that one place.

Constructors, `options`, pickles and the adapters' fields follow from these classes. A kind of models inherits the
options it has and adds its own in its ``options.py``.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, fields
from enum import Enum
from typing import TYPE_CHECKING, Any

from onnxembed.api.inputs import at_least, check_count, check_flag, describe_type, is_integer
from onnxembed.errors import InputError, InputTypeError, UnsafeModelError
from onnxembed.runtime.precision import Precision, parse_precision
from onnxembed.runtime.providers import Device, parse_device, parse_device_ids, parse_providers
from onnxembed.runtime.session_options import OptionValue, check_session_option, read_session_options

if TYPE_CHECKING:
    from onnxembed.hub.token import HubToken

Check = Callable[[Any, str], Any]
"""Takes a value and the option's name, and returns the value in the form that is kept, or raises."""


def option(default: Any, check: Check, *, exported: bool = True) -> Any:
    """Declare an option: its default, which needs no check, and the check of every other value.

    ``exported`` is false for what an exported folder does not say: what changes no result, and what its files are made
    of.
    """
    return field(default=default, metadata={"check": check, "exported": exported})


def folder_path(value: object, name: str) -> str:
    """Read the path of a folder as text."""
    path = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    if not isinstance(path, str):
        raise InputTypeError(f"{name}={value!r}: expected the path of a folder as text or as a Path")
    try:
        encoded = os.fsencode(path)
    except UnicodeEncodeError:
        encoded = b"\0"
    if b"\0" in encoded:
        raise InputError(f"{name}={path!a} holds a character that no path has; pass the path of a folder")
    return path


def revision_name(value: object, name: str) -> str:
    """Read the name of a revision; `StoreSettings` checks its form."""
    if not isinstance(value, str):
        raise InputTypeError(f"{name}={value!r}: expected a branch, tag or commit, or None")
    return value


def key_names(value: object, name: str) -> tuple[str, ...]:
    """Read names of keys."""
    if isinstance(value, str) or not isinstance(value, Sequence) or not all(isinstance(key, str) for key in value):
        raise InputTypeError(f"{name}={value!r}: expected names of keys, such as ('key',)")
    return tuple(value)


def login(value: object, name: str) -> HubToken:
    """Read a token for the Hub."""
    from onnxembed.hub.token import hub_token

    return hub_token(value, name)


def graph_or_weights(value: object, name: str) -> str:
    """Read the name of a graph or of weights inside a model's folder."""
    from onnxembed.hub.folder import safe_relative  # of a room that is loaded when files are looked for

    if not isinstance(value, str):
        raise InputTypeError(f"{name}={value!r}: expected a file's name such as 'onnx/model.onnx', or None")
    try:
        safe_relative(value)
    except UnsafeModelError as error:
        raise InputError(f"{name}: {error}") from None
    if not value.endswith((".onnx", ".safetensors", ".safetensors.index.json")):
        raise InputError(
            f"{name}={value!r} is neither an ONNX file nor safetensors; pass one such as 'onnx/model.onnx'"
        )
    return value


def variant_name(value: object, name: str) -> str:
    """Read the end of a graph's name; which there are is known when the files are listed."""
    if not isinstance(value, str):
        raise InputTypeError(f"{name}={value!r}: expected text such as 'fp16' or 'int8', or None")
    if re.fullmatch(r"[A-Za-z0-9_]+", value, re.ASCII) is None:
        raise InputError(f"{name}={value!r} is the end of no graph's name; pass one such as 'fp16' or 'int8'")
    return value


def device(value: object, name: str) -> Device | str:
    """Read a device; ``None`` leaves the choice to the machine."""
    return Device.AUTO if value is None else parse_device(value, name)


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """What every model has.

    Attributes:
        model_name: A name of `list_supported_models`, in any case, the path of a folder with a model's files, or a
            repository of the Hub, ``"org/name"``, which is described by its own small files: they are read when the
            object is made, even with ``lazy_load``. Names come in this order.
        cache_dir: Where models are kept. ``None``: ``ONNXEMBED_CACHE``, then ``FASTEMBED_CACHE_PATH``, then the
            standard Hugging Face cache.
        threads: Processors that one inference uses; ``None`` for all that this process may use.
        providers: ONNX Runtime execution providers, best first: names, or pairs of a name and its options. One that is
            not available is an error, unless ``"CPUExecutionProvider"`` is listed last.
        cuda: ``True`` requires CUDA, ``False`` the processor; ``Device.AUTO`` or ``None`` takes CUDA where ONNX Runtime
            has it. ``"cuda:1"`` requires one device by its number.
        device_ids: CUDA devices to spread batches over.
        lazy_load: Whether files are looked for and loaded on first use instead of in the constructor.
        local_files_only: Whether nothing may be downloaded.
        specific_model_path: A folder that holds the files of ``model_name``; no other place is looked at.
        accept_unknown: Keys of a model's JSON files that are not known here, and that are passed over instead of
            refusing the model; each as its last name, or with the keys that lead to it, joined by dots.
        token: A login for the Hub: text, an object that keeps it such as pydantic's ``SecretStr``, ``True`` for the one
            that is set up, ``False`` to send none; ``None`` sends the one that is set up, if any. It shows in no
            message, log or pickle. Where no request is made, as for a folder, it goes nowhere.
        model_file: Which graph to use of those that a repository or a folder holds, such as
            ``"onnx/model_O2.onnx"``, or its weights, ``"model.safetensors"``; ``None`` for the graph in full precision.
        variant: The same by the end of the graph's name: ``"fp16"``, ``"int8"``, ``"q4"``, ``"quantized"``, ``"O2"``
            and whatever else a repository ships; ``"fp32"`` for the graph in full precision.
        precision: How the model is computed: ``"fp32"``; ``"int8"`` for large products in 8-bit integers with one
            scale per row, about twice as fast at a cosine of about 0.999 to fp32; ``"fp16"``, ``"bf16"`` and ``"tf32"``
            on devices that have them; ``"auto"`` for the fastest of them that this machine has and that keeps a cosine
            of 0.99 to fp32. ``None``: ``"fp32"``, or what a folder was exported in; another one is refused there.
            ``variant`` chooses among the graphs that a repository ships.
        show_progress: Whether a bar on standard error shows how far a download, compiling, or a call of several items
            is. ``None``: downloads alone, and only on a terminal. It changes no result.
        revision: Branch, tag or commit of the Hub repository; a folder has none, so that it is refused there.
        enable_cpu_mem_arena: Whether ONNX Runtime keeps freed memory for later runs.
        session_options: Further attributes of ``onnxruntime.SessionOptions``, or configuration entries.
    """

    model_name: str | os.PathLike[str]
    cache_dir: str | os.PathLike[str] | None = option(None, folder_path)
    threads: int | None = option(None, at_least(1))
    providers: Sequence[str | tuple[str, Mapping[str, Any]]] | None = option(None, parse_providers)
    cuda: bool | Device | str | None = option(Device.AUTO, device)
    device_ids: Sequence[int] | None = option(None, parse_device_ids)
    lazy_load: bool = option(False, check_flag)
    _: KW_ONLY
    local_files_only: bool = option(False, check_flag)
    specific_model_path: str | os.PathLike[str] | None = option(None, folder_path)
    accept_unknown: Sequence[str] = option((), key_names)
    token: HubToken | str | bool | None = option(None, login)
    model_file: str | None = option(None, graph_or_weights)
    variant: str | None = option(None, variant_name)
    precision: Precision | str | None = option(None, parse_precision)
    show_progress: bool | None = option(None, check_flag)
    revision: str | None = option(None, revision_name)
    enable_cpu_mem_arena: bool | None = option(None, check_session_option)
    session_options: Mapping[str, OptionValue] | None = option(None, read_session_options)

    def __post_init__(self) -> None:
        for declared in fields(self):
            value, check = getattr(self, declared.name), declared.metadata.get("check")
            if check is not None and value is not declared.default:
                object.__setattr__(self, declared.name, check(value, declared.name))
        if self.cache_dir is None:
            # Read here, so that the choice is seen in `options` and travels to processes with another environment.
            object.__setattr__(self, "cache_dir", os.environ.get("ONNXEMBED_CACHE") or None)


def token_limit(value: object, name: str) -> int:
    """Read a limit in tokens, before any file is looked for."""
    if not is_integer(value):
        raise InputTypeError(f"{name}={value!r} is {describe_type(value)}; expected a number of tokens or None")
    try:
        return check_count(value, name, 1)
    except InputError as error:
        raise InputError(
            f"{str(error).partition(':')[0]}: expected at least 1 token, and at most {sys.maxsize}"
        ) from None


@dataclass(frozen=True, slots=True)
class TextOptions(EngineOptions):
    """What every model that reads tokens has.

    Attributes:
        max_length: Tokens that a text is cut to, special tokens included; ``None`` for the limit that the model's files
            state.
        truncate: Whether longer texts are cut, with one warning in the log per model; otherwise they are refused.
        token_budget: Tokens of a padded batch; a longer text runs alone. ``None``: 256 for each processor in use,
            and on other devices what their free memory has room for.
    """

    _: KW_ONLY
    max_length: int | None = option(None, token_limit)
    truncate: bool = option(True, check_flag)
    token_budget: int | None = option(None, at_least(1), exported=False)


def exported_names(options: type[EngineOptions]) -> list[str]:
    """The options that an exported folder says: those that change results, but for what its files are made of."""
    general = {declared.name for declared in fields(EngineOptions)}
    return [
        declared.name
        for declared in fields(options)
        if declared.name not in general and declared.metadata.get("exported", False)
    ]


def settings_of(options: EngineOptions) -> dict[str, Any]:
    """Give the options by name, ``lazy_load`` aside, as plain values that belong to the caller."""
    return {
        declared.name: _own(getattr(options, declared.name))
        for declared in fields(options)
        if declared.name != "lazy_load"
    }


def _own(value: Any) -> Any:
    if isinstance(value, list | dict):
        return value.copy()
    return value.value if isinstance(value, Enum) else value


_ENTRY = re.compile(r"^ {8}(\w+): (.*(?:\n {12}.*)*)", re.MULTILINE)


def option_docs(options: type[EngineOptions]) -> dict[str, str]:
    """Read what is said of each option, from the ``Attributes`` of the class and of those it inherits from."""
    docs: dict[str, str] = {}
    for owner in reversed(options.__mro__):
        for name, text in _ENTRY.findall(owner.__doc__ or ""):
            docs[name] = " ".join(text.split())
    return docs
