"""Nodes and queries as retrievers take them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from llama_index.core.schema import BaseNode, MetadataMode, QueryBundle

from onnxembed.adapters.checks import wrong_type

__all__ = ["as_nodes", "asked_of", "texts_of"]


def as_nodes(nodes: Iterable[BaseNode]) -> list[BaseNode]:
    """Check nodes before work starts."""
    if isinstance(nodes, str | bytes | Mapping) or not isinstance(nodes, Iterable):
        raise wrong_type("nodes", nodes, "a list of nodes; wrap a single one in a list")
    given = list(nodes)
    for index, node in enumerate(given):
        if not isinstance(node, BaseNode):
            raise wrong_type(f"node {index}", node, "a node, such as TextNode(text=...)")
    return given


def texts_of(nodes: Sequence[BaseNode]) -> list[str]:
    """What is embedded of nodes: their texts, with the metadata that belong to them."""
    return [node.get_content(metadata_mode=MetadataMode.EMBED) for node in nodes]


def asked_of(query_bundle: QueryBundle) -> list[str]:
    """The texts to search with; an empty query is one, too."""
    return query_bundle.embedding_strs or [query_bundle.query_str]
