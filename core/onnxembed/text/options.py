"""The arguments that only dense text models have: every check that needs no file and no weights."""

from __future__ import annotations

from onnxembed.api.inputs import check_count, check_text
from onnxembed.errors import InputError, InputTypeError
from onnxembed.spec import DenseModel, PoolingType
from onnxembed.suggest import nearest


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
