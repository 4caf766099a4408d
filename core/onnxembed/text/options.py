"""The options that only dense text models have, and what they become once the model is known."""

from __future__ import annotations

import os
from dataclasses import KW_ONLY, dataclass, replace
from typing import Literal

from onnxembed.api.inputs import at_least, check_flag, check_text, is_integer
from onnxembed.api.options import TextOptions, option
from onnxembed.errors import InputError, InputTypeError
from onnxembed.spec import PoolingType
from onnxembed.suggest import nearest
from onnxembed.text.spec import DenseModel, parse_pooling

InputType = Literal["query", "document"]
"""What a text is in a search: what is asked, or what is searched."""


def parse_prompt(prompt: object, name: str) -> str:
    """Read a prompt; an empty string is none."""
    if not isinstance(prompt, str):
        raise InputTypeError(f"{name}={prompt!r}: expected a string; None is the model's own prompt, '' is none")
    return check_text(prompt, 0)


def prompt_name(value: object, name: str) -> str:
    """Read the name of a stored prompt."""
    if not isinstance(value, str):
        raise InputTypeError(f"{name}={value!r}: expected the name of one of the model's prompts")
    return value


def named_prompt(model: DenseModel, value: object, name: str = "prompt_name") -> str:
    """Give the text of one of the model's prompts; ``name`` is what messages call the argument."""
    key, stored = prompt_name(value, name), dict(model.named_prompts)
    if not stored:
        # A row of the catalogue has the two that its model card publishes.
        stored = {"query": model.prompts.query, "document": model.prompts.passage, "passage": model.prompts.passage}
    if key in stored:
        return stored[key]
    raise InputError(
        f"{name}={key!r}: {model.name} has the prompts {', '.join(map(repr, stored))}.{nearest(key, stored)}"
    )


def unchecked(value: object, name: str) -> object:  # noqa: ARG001  # the form of a check
    """Leave a value as it is until the model is known."""
    return value


@dataclass(frozen=True, slots=True)
class DenseOptions(TextOptions):
    """What dense text models have.

    Attributes:
        model_name: A name of `list_supported_models`, in any case, or the path of a folder with a model's files.
        dim: Numbers to keep of each vector, for models trained for it (Matryoshka).
        normalize: Whether vectors are scaled to length 1; ``None`` for what the model's description says.
        pooling: How the vectors of the tokens become one; ``None`` for what the description says.
        query_prompt: Put before every query, verbatim; ``None`` for the model's own, ``""`` for none.
        passage_prompt: Put before every document, likewise.
        query_prompt_name: The name of the stored prompt that is put before every query, instead of ``query_prompt``.
        passage_prompt_name: The name of the one that is put before every document, likewise.
        task_id: Task of `embed`, by number or name, for models with tasks (jina-embeddings-v3).
    """

    model_name: str | os.PathLike[str] = "BAAI/bge-small-en-v1.5"
    _: KW_ONLY
    dim: int | None = option(None, at_least(1))
    normalize: bool | None = option(None, check_flag)
    pooling: PoolingType | str | None = option(None, parse_pooling, exported=False)
    query_prompt: str | None = option(None, parse_prompt)
    passage_prompt: str | None = option(None, parse_prompt)
    query_prompt_name: str | None = option(None, prompt_name)
    passage_prompt_name: str | None = option(None, prompt_name)
    task_id: int | str | None = option(None, unchecked)


@dataclass(frozen=True, slots=True)
class Use:
    """What the texts of a call are to the model.

    Attributes:
        prompt: Put before every text, verbatim.
        task: The task id, for models with tasks.
        route: The way through a model that has one for queries and one for documents; empty for its usual one.
    """

    prompt: str
    task: int | None
    route: str = ""


def uses_of(options: DenseOptions, model: DenseModel) -> dict[InputType | None, Use]:
    """Give what texts of each input type, and texts as they are, are to the model; the options are settled."""
    task = parse_task(model, options.task_id)
    return {
        None: Use(model.default_prompt, model.default_task if task is None else task),
        "query": Use(options.query_prompt or "", model.query_task, "query"),
        "document": Use(options.passage_prompt or "", model.passage_task, "document"),
    }


def settle(options: DenseOptions, model: DenseModel, *, size_known: bool) -> DenseOptions:
    """Fill in what the model says where the caller said nothing, and refuse what the model does not have.

    Args:
        options: The caller's options.
        model: The description of the model.
        size_known: Whether the description's own length is that of the files; a small stand-in folder may differ.

    Returns:
        The options in force.
    """
    prompts = model.prompts
    return replace(
        options,
        dim=check_dim(model, options.dim, size_known=size_known),
        pooling=model.pooling.value,
        query_prompt=_chosen_prompt(model, options.query_prompt, options.query_prompt_name, "query", prompts.query),
        passage_prompt=_chosen_prompt(
            model, options.passage_prompt, options.passage_prompt_name, "passage", prompts.passage
        ),
        query_prompt_name=None,
        passage_prompt_name=None,
        task_id=parse_task(model, options.task_id),
    )


def _chosen_prompt(model: DenseModel, text: str | None, key: str | None, kind: str, own: str) -> str:
    """The prompt that is given as a text or by its name, else the model's own."""
    if key is None:
        return own if text is None else text
    if text is not None:
        raise InputError(f"{kind}_prompt={text!r} and {kind}_prompt_name={key!r}: pass one of them")
    return named_prompt(model, key, f"{kind}_prompt_name")


def parse_task(model: DenseModel, task: int | str | None) -> int | None:
    """Read a task, given by number or by name, into its number."""
    if task is None:
        return None
    if not model.tasks:
        raise InputError(f"task_id={task!r}: {model.name} has no tasks; leave task_id out")
    names = dict(model.tasks)
    if isinstance(task, str) and task in names:
        return names[task]
    if is_integer(task) and task in names.values():
        return int(task)
    known = ", ".join(f"{name!r} ({number})" for name, number in model.tasks)
    hint = nearest(task, names) if isinstance(task, str) else ""
    raise InputError(f"task_id={task!r} is not a task of {model.name}; it has {known}.{hint}")


def check_dim(model: DenseModel, dim: int | None, *, size_known: bool) -> int | None:
    """Refuse a Matryoshka length that the model's authors do not provide for."""
    if dim is None or dim == model.dim:
        return dim
    if model.matryoshka is None:
        raise InputError(
            f"dim={dim}: {model.name} is not trained for shortened vectors; its vectors have {model.dim} numbers. "
            "TextEmbedding.list_supported_models() says which models allow it under 'matryoshka_dims'"
        )
    allowed = model.matryoshka.dims
    if size_known and model.dim and dim > model.dim:
        raise InputError(f"dim={dim}: the vectors of {model.name} have {model.dim} numbers; pass at most that")
    if size_known and allowed and dim not in allowed:
        raise InputError(f"dim={dim}: {model.name} allows {', '.join(map(str, allowed))}")
    return dim
