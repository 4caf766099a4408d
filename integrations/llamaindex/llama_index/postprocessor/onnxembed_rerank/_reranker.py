"""What LlamaIndex's rerankers have in common: nodes in, the best of them out with their scores, reported as events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

from llama_index.core.callbacks import CallbackManager, CBEventType, EventPayload
from llama_index.core.instrumentation.events.rerank import ReRankEndEvent, ReRankStartEvent
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle
from llama_index_instrumentation import get_dispatcher
from pydantic import BaseModel, Field
from typing_extensions import override

from onnxembed.adapters.option_types import ModelName
from onnxembed.adapters.rerank import RankingModel
from onnxembed.errors import InputError

__all__ = ["RETRIEVAL_SCORE", "Reranker"]

_dispatcher = get_dispatcher(__name__)

RETRIEVAL_SCORE = "retrieval_score"
"""The metadata key under which a node's score from before is kept."""


class Reranker(RankingModel, BaseNodePostprocessor):
    """A reranker as LlamaIndex uses it."""

    core_names: ClassVar[Mapping[str, str]] = {"model_name": "model"}

    model: ModelName
    top_n: int | None = Field(default=5, ge=1, description="Most nodes to keep; `None` keeps all.")
    metadata_mode: MetadataMode = Field(
        default=MetadataMode.EMBED, description="Which metadata of a node are read with its text."
    )
    keep_retrieval_score: bool = Field(
        default=False,
        description="Whether a node's score from before is kept in its metadata, unseen by embeddings and LLM.",
    )

    @property
    def model_name(self) -> str:
        """The model's name, as events report it."""
        return self.model

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        query = _required(query_bundle)
        with self._reported(nodes, query) as results:
            results.extend(self._kept(nodes, query))
        return results

    # The framework makes spans of what it has as an abstract method, which this one is not.
    @_dispatcher.span
    async def _apostprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        query = _required(query_bundle)
        with self._reported(nodes, query) as results:
            results.extend(await self._in_pool(lambda: self._kept(nodes, query)) if nodes else [])
        return results

    def _kept(self, nodes: Sequence[NodeWithScore], query: QueryBundle) -> list[NodeWithScore]:
        """New nodes, best first; the given ones stay as they are."""
        if not nodes:
            return []
        texts = [node.node.get_content(metadata_mode=self.metadata_mode) for node in nodes]
        (ranking,) = self._rank([query.query_str], [texts], self.top_n)
        return [self._scored(nodes[place.index], place.score) for place in ranking]

    def _scored(self, given: NodeWithScore, score: float) -> NodeWithScore:
        node = given.node
        if self.keep_retrieval_score:
            node = node.model_copy(
                update={
                    "metadata": {**node.metadata, RETRIEVAL_SCORE: given.score},
                    "excluded_embed_metadata_keys": [*node.excluded_embed_metadata_keys, RETRIEVAL_SCORE],
                    "excluded_llm_metadata_keys": [*node.excluded_llm_metadata_keys, RETRIEVAL_SCORE],
                }
            )
        return NodeWithScore(node=node, score=score)

    @contextmanager
    def _reported(self, nodes: list[NodeWithScore], query: QueryBundle) -> Iterator[list[NodeWithScore]]:
        """Report the start to handlers and callbacks and, whatever happens between, the end."""
        top_n = len(nodes) if self.top_n is None else self.top_n
        results: list[NodeWithScore] = []
        _dispatcher.event(ReRankStartEvent(query=query, nodes=nodes, top_n=top_n, model_name=self.model_name))
        payload: dict[str, Any] = {
            EventPayload.NODES: nodes,
            EventPayload.MODEL_NAME: self.model_name,
            EventPayload.QUERY_STR: query.query_str,
            EventPayload.TOP_K: top_n,
        }
        event_id = self.callback_manager.on_event_start(CBEventType.RERANKING, payload=payload)
        try:
            yield results
        finally:
            ended: dict[str, Any] = {EventPayload.NODES: results}
            self.callback_manager.on_event_end(CBEventType.RERANKING, payload=ended, event_id=event_id)
            _dispatcher.event(ReRankEndEvent(nodes=results))

    @override
    def __getstate__(self) -> dict[str, Any]:
        """Give the fields without the callbacks; weights are opened again, on first use, wherever the copy lands."""
        state = BaseModel.__getstate__(self)
        fields = {name: value for name, value in self.__dict__.items() if name != "callback_manager"}
        return {**state, "__dict__": fields}

    @override
    def __setstate__(self, state: dict[str, Any]) -> None:
        BaseModel.__setstate__(
            self, {**state, "__dict__": {**state["__dict__"], "callback_manager": CallbackManager()}}
        )

    @override
    def __eq__(self, other: object) -> bool:
        """Compare the settings; whether the model is already loaded makes no difference."""
        return isinstance(other, Reranker) and type(self) is type(other) and self.to_dict() == other.to_dict()


def _required(query_bundle: QueryBundle | None) -> QueryBundle:
    if query_bundle is None:
        raise InputError("reranking needs a query; pass query_bundle= or query_str=")
    return query_bundle
