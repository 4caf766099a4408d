"""What a late-interaction model reads of a node: its text, or its picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from llama_index.core.schema import BaseNode, ImageNode, MetadataMode

if TYPE_CHECKING:
    from onnxembed import LateInteractionMultimodalEmbedding, LateInteractionTextEmbedding

Matrices = Iterator[np.ndarray[Any, np.dtype[Any]]]


class NodeReader(Protocol):
    """Turns nodes and questions into token vectors."""

    def check(self, nodes: Sequence[BaseNode]) -> None:
        """Refuse nodes that cannot be read, before any is."""

    def documents(self, nodes: Sequence[BaseNode]) -> Matrices:
        """Embed nodes, float32 (vectors, dim) each."""

    def queries(self, texts: Sequence[str]) -> Matrices:
        """Embed questions, float32 (vectors, dim) each."""


@dataclass(frozen=True, slots=True)
class TextReader:
    """Reads a node's text.

    Attributes:
        model: The model.
    """

    model: LateInteractionTextEmbedding

    def check(self, nodes: Sequence[BaseNode]) -> None:
        """Accept every node: each has a text, if an empty one.

        Args:
            nodes: The nodes.
        """

    def documents(self, nodes: Sequence[BaseNode]) -> Matrices:
        """Embed the texts of nodes.

        Args:
            nodes: The nodes.

        Returns:
            Their token vectors.
        """
        return self.model.passage_embed(texts_of(nodes))

    def queries(self, texts: Sequence[str]) -> Matrices:
        """Embed questions.

        Args:
            texts: The questions.

        Returns:
            Their token vectors.
        """
        return self.model.query_embed(texts)


@dataclass(frozen=True, slots=True)
class PageReader:
    """Reads a node's picture, such as that of a scanned page.

    Attributes:
        model: The model.
    """

    model: LateInteractionMultimodalEmbedding

    def check(self, nodes: Sequence[BaseNode]) -> None:
        """Refuse nodes without a picture.

        Args:
            nodes: The nodes.

        Raises:
            InputTypeError: A node is no image node.
        """
        from onnxembed.errors import InputTypeError

        for index, node in enumerate(nodes):
            if not isinstance(node, ImageNode):
                raise InputTypeError(
                    f"node {index} is a {type(node).__name__}, but {self.model.model_name} reads pictures; "
                    "pass an ImageNode"
                )

    def documents(self, nodes: Sequence[BaseNode]) -> Matrices:
        """Embed the pictures of nodes.

        Args:
            nodes: Image nodes.

        Returns:
            Their patch vectors.
        """
        return self.model.embed_image(node.resolve_image() for node in nodes if isinstance(node, ImageNode))

    def queries(self, texts: Sequence[str]) -> Matrices:
        """Embed questions.

        Args:
            texts: The questions.

        Returns:
            Their token vectors.
        """
        return self.model.embed_query(texts)


def texts_of(nodes: Sequence[BaseNode]) -> list[str]:
    """Give what is embedded of nodes: their texts, with the metadata that belong to them.

    Args:
        nodes: The nodes.

    Returns:
        The texts.
    """
    return [node.get_content(metadata_mode=MetadataMode.EMBED) for node in nodes]
