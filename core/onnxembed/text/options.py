"""From the arguments of `TextEmbedding` to frozen settings: every check that needs no file and no weights."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from onnxembed.errors import InputError, InputTypeError, ModelNotFoundError
from onnxembed.models.registry import dense_registry
from onnxembed.models.spec import DenseModel, PoolingType
from onnxembed.models.store.settings import StoreSettings
from onnxembed.runtime.onnx import import_onnxruntime
from onnxembed.runtime.providers import Device, ProviderRequest, check_request
from onnxembed.suggest import nearest
from onnxembed.text.checks import check_count, check_text


def find_model(
    model_name: str | os.PathLike[str],
    specific_model_path: str | os.PathLike[str] | None,
    pooling: PoolingType | str | None = None,
) -> tuple[DenseModel, str | None]:
    """Find the description of a model, and the folder it is read from if there is one.

    A name of the catalogue comes before a folder of the same name.

    Args:
        model_name: A name, or a folder.
        specific_model_path: A folder with the files of the named model.
        pooling: How token vectors become one; ``None`` for what the description says.

    Returns:
        The description, and the folder or ``None``.
    """
    chosen = parse_pooling(pooling)
    model, folder = _find(model_name, specific_model_path, chosen)
    return (model if chosen is None else replace(model, pooling=chosen)), folder


def _find(
    model_name: str | os.PathLike[str],
    specific_model_path: str | os.PathLike[str] | None,
    pooling: PoolingType | None,
) -> tuple[DenseModel, str | None]:
    name = os.fspath(model_name) if isinstance(model_name, str | os.PathLike) else None
    if not isinstance(name, str):
        raise InputTypeError(f"model_name={model_name!r}: expected a model's name or the path of a folder")
    if specific_model_path is not None:
        folder = _existing_folder(specific_model_path, "specific_model_path")
        return dense_registry.find(name), str(folder)
    if _known(name):
        return dense_registry.find(name), None
    folder = Path(name).expanduser()
    if name and _is_folder(folder):
        from onnxembed.models.discovery import describe_folder

        folder = folder.absolute()
        return describe_folder(folder, pooling), str(folder)
    if isinstance(model_name, os.PathLike) or name.startswith((".", "~", os.sep)) or Path(name).is_absolute():
        raise ModelNotFoundError(f"the folder {name!r} does not exist; expected a folder with a model's files")
    return dense_registry.find(name), None  # raises, offering the nearest names


def _known(name: str) -> bool:
    folded = name.casefold()
    return any(model.name.casefold() == folded for model in dense_registry.models())


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):  # a name that no file system takes: too long, or with a null character
        return False


def _existing_folder(path: str | os.PathLike[str], argument: str) -> Path:
    if not isinstance(path, str | os.PathLike):
        raise InputTypeError(f"{argument}={path!r}: expected the path of a folder")
    folder = Path(os.fspath(path)).expanduser()
    if not _is_folder(folder):
        raise ModelNotFoundError(f"{argument}={str(path)!r} is not a folder; expected a folder with a model's files")
    return folder.absolute()


def parse_pooling(pooling: PoolingType | str | None) -> PoolingType | None:
    """Read the ``pooling`` argument.

    Args:
        pooling: A `PoolingType`, its value in any case, or ``None``.

    Returns:
        The pooling, or ``None``.

    Raises:
        InputError: If it is neither.
    """
    if pooling is None or isinstance(pooling, PoolingType):
        return pooling
    try:
        return PoolingType(str(pooling).upper())
    except ValueError:
        names = [kind.value for kind in PoolingType]
        raise InputError(
            f"pooling={pooling!r} is unknown; expected one of {', '.join(names)}.{nearest(str(pooling), names)}"
        ) from None


def parse_task(model: DenseModel, task: int | str | None, argument: str = "task_id") -> int | None:
    """Read a task, given by number or by name.

    Args:
        model: The model.
        task: The task, or ``None``.
        argument: Name of the argument, for messages.

    Returns:
        The task's number, or ``None``.

    Raises:
        InputError: If the model has no tasks or none of that name or number.
    """
    if task is None:
        return None
    if not model.tasks:
        raise InputError(f"{argument}={task!r}: {model.name} has no tasks; leave {argument} out")
    names = dict(model.tasks)
    if isinstance(task, str) and task in names:
        return names[task]
    if isinstance(task, int) and not isinstance(task, bool) and task in names.values():
        return task
    known = ", ".join(f"{name!r} ({number})" for name, number in model.tasks)
    hint = nearest(task, names) if isinstance(task, str) else ""
    raise InputError(f"{argument}={task!r} is not a task of {model.name}; it has {known}.{hint}")


def check_dim(model: DenseModel, dim: int | None, *, size_known: bool) -> int | None:
    """Check a Matryoshka length.

    Args:
        model: The model.
        dim: The length, or ``None`` for the full one.
        size_known: Whether the description's own length is that of the files; a small stand-in folder may differ.

    Returns:
        The length, or ``None``.

    Raises:
        InputError: If the model's authors do not provide for that length.
    """
    if dim is None:
        return None
    check_count(dim, "dim", 1)
    if dim == model.dim:
        return dim
    if model.matryoshka is None:
        raise InputError(
            f"dim={dim}: {model.name} is not trained for shortened vectors; its vectors have {model.dim} numbers. "
            "TextEmbedding.list_supported_models() tells which models allow it under 'matryoshka_dims'"
        )
    allowed = model.matryoshka.dims
    if size_known and model.dim and dim > model.dim:
        raise InputError(f"dim={dim}: the vectors of {model.name} have {model.dim} numbers; pass at most that")
    if size_known and allowed and dim not in allowed:
        raise InputError(f"dim={dim}: {model.name} allows {', '.join(map(str, allowed))}")
    return dim


def parse_prompt(prompt: str | None, default: str, argument: str) -> str:
    """Read a prompt: ``None`` is the model's own, an empty string is none.

    Args:
        prompt: The argument.
        default: The model's own prompt.
        argument: Name of the argument, for messages.

    Returns:
        The prompt, verbatim.

    Raises:
        InputTypeError: If it is not a string.
    """
    if prompt is None:
        return default
    if not isinstance(prompt, str):
        raise InputTypeError(f"{argument}={prompt!r}: expected a string; None is the model's own prompt, '' is none")
    return check_text(prompt, 0)


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


def check_flag(value: bool, name: str) -> bool:
    """Refuse what is not a truth value: a string such as ``"false"`` would count as true.

    Args:
        value: The argument.
        name: Its name, for messages.

    Returns:
        The argument.

    Raises:
        InputTypeError: If it is not a bool.
    """
    if not isinstance(value, bool):
        raise InputTypeError(f"{name}={value!r} is a {type(value).__name__}; expected True or False")
    return value
