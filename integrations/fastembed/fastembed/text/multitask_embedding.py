"""Models with an adapter per task (jina-embeddings-v3)."""

from __future__ import annotations

from enum import Enum
from typing import Any

from fastembed.text.text_embedding_base import TextEmbeddingBase
from onnxembed import DenseModel
from onnxembed.adapters.inside import ModelSpec


class Task(int, Enum):
    """The tasks of jina-embeddings-v3."""

    RETRIEVAL_QUERY = 0
    RETRIEVAL_PASSAGE = 1
    SEPARATION = 2
    CLASSIFICATION = 3
    TEXT_MATCHING = 4


class JinaEmbeddingV3(TextEmbeddingBase):
    """Models with an adapter per task: passages for `embed` unless ``task_id`` says otherwise, queries for theirs."""

    own_keywords = ("task_id",)
    PASSAGE_TASK = Task.RETRIEVAL_PASSAGE
    QUERY_TASK = Task.RETRIEVAL_QUERY

    @classmethod
    def holds(cls, spec: ModelSpec) -> bool:
        """Whether a model is of this family."""
        return isinstance(spec, DenseModel) and bool(spec.tasks)

    def _task(self, keywords: dict[str, Any]) -> int | None:
        task = keywords.get("task_id")
        return None if task is None else int(task)
