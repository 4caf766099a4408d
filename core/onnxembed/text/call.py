"""One call's arguments, checked: on which side of a search its texts stand, and how they are to be run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from onnxembed.api.inputs import as_texts, check_count
from onnxembed.errors import InputTypeError
from onnxembed.spec import DenseModel
from onnxembed.text.options import parse_prompt, parse_task
from onnxembed.text.settings import VectorSettings

Side = Literal["query", "passage"]


@dataclass(frozen=True, slots=True)
class Use:
    """What the texts of a call are to the model.

    Attributes:
        prompt: Put before every text, verbatim.
        task: The task id, for models with tasks.
    """

    prompt: str
    task: int | None


@dataclass(frozen=True, slots=True)
class Call:
    """A call, checked; the model is not loaded yet.

    Attributes:
        texts: The texts, those of lists already checked.
        use: What they are to the model.
        batch_size: Most texts in a batch.
        parallel: Batches run at once; ``None`` for the engine's choice, 0 for one a usable processor.
    """

    texts: Iterable[object]
    use: Use
    batch_size: int
    parallel: int | None


def choose_use(
    model: DenseModel,
    vectors: VectorSettings,
    *,
    side: Side | None,
    prompt: str | None,
    task: int | str | None,
) -> Use:
    """Choose prompt and task: the call's own, else those of its side, else the plain ones.

    Args:
        model: The model.
        vectors: What the caller of the constructor chose.
        side: ``"query"``, ``"passage"``, or ``None`` for texts as they are.
        prompt: The call's own prompt, or ``None``.
        task: The call's own task, or ``None``.

    Returns:
        What the texts are to the model.

    Raises:
        InputTypeError: If the side is unknown.
    """
    if side == "query":
        default, side_task = vectors.query_prompt, model.query_task
    elif side == "passage":
        default, side_task = vectors.passage_prompt, model.passage_task
    elif side is None:
        default, side_task = "", vectors.task if vectors.task is not None else model.default_task
    else:
        raise InputTypeError(f"side={side!r}: expected 'query', 'passage' or None")
    chosen = parse_task(model, task)
    return Use(parse_prompt(prompt, default, "prompt"), side_task if chosen is None else chosen)


def check_call(use: Use, texts: object, name: str, batch_size: int, parallel: int | None) -> Call:
    """Check what a call was given.

    Args:
        use: What the texts are to the model.
        texts: The texts.
        name: Name of the argument that holds them, for messages.
        batch_size: Most texts in a batch.
        parallel: Batches run at once, or ``None``.

    Returns:
        The call.
    """
    check_count(batch_size, "batch_size", 1)
    if parallel is not None:
        check_count(parallel, "parallel", 0)
    return Call(as_texts(texts, name), use, batch_size, parallel)
