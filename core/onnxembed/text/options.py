"""From the arguments of `TextEmbedding` to frozen settings: every check that needs no file and no weights."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from onnxembed.errors import InputError, InputTypeError, ModelNotFoundError
from onnxembed.models.registry import dense_registry
from onnxembed.models.spec import DenseModel, PoolingType
from onnxembed.models.store.settings import StoreSettings
from onnxembed.runtime.providers import Device, check_request, parse_request
from onnxembed.runtime.session import OptionValue, parse_session_options
from onnxembed.suggest import nearest
from onnxembed.text.checks import check_count, check_text
from onnxembed.text.settings import EngineSettings, VectorSettings
from onnxembed.text.tokenizer_rules import check_max_length


def find_model(
    model_name: str | os.PathLike[str], specific_model_path: str | os.PathLike[str] | None
) -> tuple[DenseModel, str | None]:
    """Find the description of a model, and the folder it is read from if there is one.

    A name of the catalogue comes before a folder of the same name.

    Args:
        model_name: A name, or a folder.
        specific_model_path: A folder with the files of the named model.

    Returns:
        The description, and the folder or ``None``.

    Raises:
        InputTypeError: If an argument has the wrong type.
        ModelNotFoundError: If a folder does not exist or holds no model.
    """
    if not isinstance(model_name, str | os.PathLike):
        raise InputTypeError(f"model_name={model_name!r}: expected a model's name or the path of a folder")
    name = os.fspath(model_name)
    if not isinstance(name, str):
        raise InputTypeError(f"model_name={model_name!r}: expected a model's name or the path of a folder, as text")
    if specific_model_path is not None:
        folder = _existing_folder(specific_model_path, "specific_model_path")
        return dense_registry.find(name), str(folder)
    if _known(name):
        return dense_registry.find(name), None
    folder = Path(name).expanduser()
    if folder.is_dir():
        from onnxembed.models.discovery import describe_folder

        folder = folder.absolute()
        return describe_folder(folder), str(folder)
    if isinstance(model_name, os.PathLike) or name.startswith((".", "~", os.sep)) or Path(name).is_absolute():
        raise ModelNotFoundError(f"the folder {name!r} does not exist; expected a folder with a model's files")
    return dense_registry.find(name), None  # raises, offering the nearest names


def _known(name: str) -> bool:
    folded = name.casefold()
    return any(model.name.casefold() == folded for model in dense_registry.models())


def _existing_folder(path: str | os.PathLike[str], argument: str) -> Path:
    if not isinstance(path, str | os.PathLike):
        raise InputTypeError(f"{argument}={path!r}: expected the path of a folder")
    folder = Path(os.fspath(path)).expanduser()
    if not folder.is_dir():
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


def parse_options(
    *,
    model_name: str | os.PathLike[str],
    cache_dir: str | os.PathLike[str] | None,
    threads: int | None,
    providers: Sequence[str | tuple[str, Mapping[str, Any]]] | None,
    cuda: bool | Device | str,
    device_ids: Sequence[int] | None,
    local_files_only: bool,
    specific_model_path: str | os.PathLike[str] | None,
    revision: str | None,
    max_length: int | None,
    truncate: bool,
    dim: int | None,
    normalize: bool | None,
    pooling: PoolingType | str | None,
    query_prompt: str | None,
    passage_prompt: str | None,
    task_id: int | str | None,
    enable_cpu_mem_arena: bool | None,
    session_options: Mapping[str, OptionValue] | None,
) -> tuple[EngineSettings, VectorSettings]:
    """Check the constructor's arguments and freeze them; the arguments are those of `TextEmbedding`.

    Args:
        model_name: See `TextEmbedding`.
        cache_dir: See `TextEmbedding`.
        threads: See `TextEmbedding`.
        providers: See `TextEmbedding`.
        cuda: See `TextEmbedding`.
        device_ids: See `TextEmbedding`.
        local_files_only: See `TextEmbedding`.
        specific_model_path: See `TextEmbedding`.
        revision: See `TextEmbedding`.
        max_length: See `TextEmbedding`.
        truncate: See `TextEmbedding`.
        dim: See `TextEmbedding`.
        normalize: See `TextEmbedding`.
        pooling: See `TextEmbedding`.
        query_prompt: See `TextEmbedding`.
        passage_prompt: See `TextEmbedding`.
        task_id: See `TextEmbedding`.
        enable_cpu_mem_arena: See `TextEmbedding`.
        session_options: See `TextEmbedding`.

    Returns:
        The settings of the engine and those of the vectors.
    """
    for name, flag in (("local_files_only", local_files_only), ("truncate", truncate)):
        _check_flag(name, flag)
    for name, choice in (("normalize", normalize), ("enable_cpu_mem_arena", enable_cpu_mem_arena)):
        if choice is not None:
            _check_flag(name, choice)
    if revision is not None and not isinstance(revision, str):
        raise InputTypeError(f"revision={revision!r}: expected a branch, tag or commit, or None")
    if cache_dir is not None and not isinstance(cache_dir, str | os.PathLike):
        raise InputTypeError(f"cache_dir={cache_dir!r}: expected the path of a folder, or None")
    if threads is not None:
        check_count(threads, "threads", 1)
    check_max_length(max_length)
    request = parse_request(providers, cuda, device_ids)
    options = parse_session_options(session_options, enable_cpu_mem_arena)
    if request.providers is not None or request.device is Device.CUDA:
        import onnxruntime

        check_request(request, onnxruntime.get_available_providers())
    model, folder = find_model(model_name, specific_model_path)
    chosen = parse_pooling(pooling)
    if chosen is not None:
        model = replace(model, pooling=chosen)
    store = StoreSettings(
        cache_dir=None if cache_dir is None else os.fspath(cache_dir),
        local_files_only=local_files_only,
        revision=revision,
        specific_model_path=folder,
    )
    engine = EngineSettings(model, store, request, threads, options, max_length)
    vectors = VectorSettings(
        normalize=normalize,
        dim=check_dim(model, dim, size_known=folder is None),
        query_prompt=parse_prompt(query_prompt, model.prompts.query, "query_prompt"),
        passage_prompt=parse_prompt(passage_prompt, model.prompts.passage, "passage_prompt"),
        task=parse_task(model, task_id),
        truncate=truncate,
    )
    return engine, vectors


def _check_flag(name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise InputTypeError(f"{name}={value!r} is a {type(value).__name__}; expected True or False")
