"""Models whose weights hold adapters for tasks (Jina embeddings v3): which queries and documents take."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from onnxembed.metadata.prompts import StoredPrompts
from onnxembed.text.spec import DenseModel, Prompts

if TYPE_CHECKING:
    from onnxembed.formats.facts import Facts
    from onnxembed.metadata.stages import Stage

_TASKS = "lora_adaptations"
_QUERY, _PASSAGE = "retrieval.query", "retrieval.passage"
_OWN_STAGE = "custom_st.Transformer"
"""The class that such a model brings: the library's own, and the choice of an adapter."""


def with_known_stage(stages: tuple[Stage, ...], config: Facts) -> tuple[Stage, ...]:
    """Take the class that a model with tasks brings for the library's Transformer, whose files it has."""
    if not stages or stages[0].kind != _OWN_STAGE or not config.has(_TASKS):
        return stages
    return (replace(stages[0], kind="Transformer"), *stages[1:])


def with_tasks(model: DenseModel, config: Facts, *, compiled: bool) -> DenseModel:
    """Add the tasks that ``config.json`` names, in the order of their adapters.

    Queries and documents have those of retrieval. Other texts have none: that is the number after the last in a graph
    that is ``compiled`` here; a shipped one may know no such number, so a caller has to choose.
    """
    names = config.texts(_TASKS)
    if not names:
        return model
    tasks = tuple((name, number) for number, name in enumerate(names))
    none = len(names) if compiled else None
    numbers = dict(tasks)
    return replace(
        model,
        tasks=tasks,
        default_task=none,
        query_task=numbers.get(_QUERY, none),
        passage_task=numbers.get(_PASSAGE, none),
    )


def prompts_of(model: DenseModel, stored: StoredPrompts) -> Prompts:
    """Give the prompts of queries and documents; a model with tasks has them under its tasks' names."""
    texts = dict(stored.by_name) if model.tasks else {}
    return Prompts(
        query=stored.query or texts.get(_QUERY, ""),
        passage=stored.document or texts.get(_PASSAGE, ""),
    )
