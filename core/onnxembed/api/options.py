"""From the arguments that every facade has to engine settings, and back; no check here needs a file or weights."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from onnxembed.api.inputs import check_count, check_flag
from onnxembed.api.settings import EngineSettings, ModelT
from onnxembed.catalog.registry import DescribedModel, Registry
from onnxembed.errors import InputTypeError, ModelNotFoundError
from onnxembed.hub.settings import StoreSettings
from onnxembed.runtime.onnx import import_onnxruntime
from onnxembed.runtime.providers import Device, ProviderRequest, check_request, parse_request
from onnxembed.runtime.session import OptionValue, parse_session_options

FoundT = TypeVar("FoundT", bound=DescribedModel)


def find_model(
    registry: Registry[FoundT],
    model_name: str | os.PathLike[str],
    specific_model_path: str | os.PathLike[str] | None,
    describe_folder: Callable[[Path], FoundT],
) -> tuple[FoundT, str | None]:
    """Find the description of a model, and the folder it is read from if there is one.

    A name of the catalogue comes before a folder of the same name.

    Args:
        registry: The known models of this kind.
        model_name: A name, or a folder.
        specific_model_path: A folder with the files of the named model.
        describe_folder: Describes the model in a folder by its own metadata.

    Returns:
        The description, and the folder or ``None``.

    Raises:
        InputTypeError: If the name is neither text nor a path.
        ModelNotFoundError: If a folder that was named is not there.
    """
    name = os.fspath(model_name) if isinstance(model_name, str | os.PathLike) else None
    if not isinstance(name, str):
        raise InputTypeError(f"model_name={model_name!r}: expected a model's name or the path of a folder")
    if specific_model_path is not None:
        folder = existing_folder(specific_model_path, "specific_model_path")
        return registry.find(name), str(folder)
    if registry.holds(name):
        return registry.find(name), None
    folder = Path(name).expanduser()
    if name and _is_folder(folder):
        folder = folder.absolute()
        return describe_folder(folder), str(folder)
    if isinstance(model_name, os.PathLike) or name.startswith((".", "~", os.sep)) or Path(name).is_absolute():
        raise ModelNotFoundError(f"the folder {name!r} does not exist; expected a folder with a model's files")
    return registry.find(name), None  # raises, offering the nearest names


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):  # a name that no file system takes: too long, or with a null character
        return False


def existing_folder(path: str | os.PathLike[str], argument: str) -> Path:
    """Read the path of a folder that must be there.

    Args:
        path: The argument.
        argument: Its name, for messages.

    Returns:
        The absolute path.

    Raises:
        InputTypeError: If it is no path.
        ModelNotFoundError: If it is no folder.
    """
    if not isinstance(path, str | os.PathLike):
        raise InputTypeError(f"{argument}={path!r}: expected the path of a folder")
    folder = Path(os.fspath(path)).expanduser()
    if not _is_folder(folder):
        raise ModelNotFoundError(f"{argument}={str(path)!r} is not a folder; expected a folder with a model's files")
    return folder.absolute()


def parse_store(
    cache_dir: str | os.PathLike[str] | None, local_files_only: bool, revision: str | None, folder: str | None
) -> StoreSettings:
    """Check the arguments that say where files may come from.

    Args:
        cache_dir: The cache folder, or ``None``.
        local_files_only: Whether requests are forbidden.
        revision: Branch, tag or commit, or ``None``.
        folder: The folder that `find_model` found, or ``None``.

    Returns:
        The settings of the store.

    Raises:
        InputTypeError: If an argument has the wrong type.
    """
    if cache_dir is not None and not isinstance(cache_dir, str | os.PathLike):
        raise InputTypeError(f"cache_dir={cache_dir!r}: expected the path of a folder, or None")
    if revision is not None and not isinstance(revision, str):
        raise InputTypeError(f"revision={revision!r}: expected a branch, tag or commit, or None")
    chosen = os.fspath(cache_dir) if cache_dir is not None else os.environ.get("ONNXEMBED_CACHE") or None
    return StoreSettings(
        cache_dir=chosen,
        local_files_only=check_flag(local_files_only, "local_files_only"),
        revision=revision,
        specific_model_path=folder,
    )


def require_available(request: ProviderRequest) -> ProviderRequest:
    """Refuse providers that this machine does not have. ONNX Runtime is only imported when something was asked for.

    Args:
        request: What was asked for.

    Returns:
        The same request.
    """
    if request.providers is not None or request.device is Device.CUDA:
        check_request(request, import_onnxruntime().get_available_providers())
    return request


def engine_settings(
    model: ModelT,
    folder: str | None,
    *,
    cache_dir: str | os.PathLike[str] | None,
    threads: int | None,
    providers: Sequence[str | tuple[str, Mapping[str, Any]]] | None,
    cuda: bool | Device | str,
    device_ids: Sequence[int] | None,
    local_files_only: bool,
    revision: str | None,
    max_length: int | None,
    enable_cpu_mem_arena: bool | None,
    session_options: Mapping[str, OptionValue] | None,
) -> EngineSettings[ModelT]:
    """Check the arguments that every facade hands to its engine.

    Args:
        model: The model.
        folder: The folder that `find_model` found, or ``None``.
        cache_dir: Where models are kept.
        threads: Processors that one inference uses.
        providers: Execution providers, best first.
        cuda: Whether CUDA is required, refused or taken where it is.
        device_ids: CUDA devices.
        local_files_only: Whether nothing may be downloaded.
        revision: Branch, tag or commit of the Hub repository.
        max_length: The caller's token limit, checked already.
        enable_cpu_mem_arena: Whether ONNX Runtime keeps freed memory.
        session_options: Further session options.

    Returns:
        The settings.
    """
    return EngineSettings(
        model=model,
        store=parse_store(cache_dir, local_files_only, revision, folder),
        request=require_available(parse_request(providers, cuda, device_ids)),
        threads=None if threads is None else check_count(threads, "threads", 1),
        session_options=parse_session_options(session_options, enable_cpu_mem_arena),
        max_length=max_length,
    )


def engine_options(settings: EngineSettings[ModelT]) -> dict[str, Any]:
    """Give the facade's arguments that would make these settings again; defaults filled in.

    Args:
        settings: The settings.

    Returns:
        The arguments by name, ``lazy_load`` aside.
    """
    model, store, request = settings.model, settings.store, settings.request
    providers = None if request.providers is None else [(name, dict(pairs)) for name, pairs in request.providers]
    return {
        "model_name": model.name,
        "cache_dir": store.cache_dir,
        "threads": settings.threads,
        "providers": providers,
        "cuda": request.device.value,
        "device_ids": list(request.device_ids) or None,
        "local_files_only": store.local_files_only,
        "specific_model_path": None if store.specific_model_path == model.name else store.specific_model_path,
        "revision": store.revision,
        "max_length": settings.max_length,
        "enable_cpu_mem_arena": None,
        "session_options": dict(settings.session_options) or None,
    }
