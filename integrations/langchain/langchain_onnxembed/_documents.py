"""Documents as retrievers are given them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from langchain_core.documents import Document

from langchain_onnxembed._engine import as_list

_SINGLE = "wrap a single one in a list"


def as_documents(documents: Iterable[Document], method: str) -> list[Document]:
    """Check documents before work starts.

    Args:
        documents: The argument.
        method: The method that was called.

    Returns:
        The documents.

    Raises:
        InputTypeError: Something else is among them.
    """
    given = as_list(documents, method, "Document", _SINGLE)
    for index, document in enumerate(given):
        if not isinstance(document, Document):
            from onnxembed.errors import InputTypeError

            raise InputTypeError(
                f"document {index} is a {type(document).__name__}, expected a Document; use from_texts for texts"
            )
    return given


def documents_of(texts: Iterable[str], metadatas: Sequence[Mapping[str, Any]] | None) -> list[Document]:
    """Make documents of texts.

    Args:
        texts: The texts.
        metadatas: What is known of each, in the same order.

    Returns:
        The documents.

    Raises:
        ValueError: There are not as many metadatas as texts.
    """
    texts = as_list(texts, "from_texts", "str", _SINGLE)
    if metadatas is not None and len(metadatas) != len(texts):
        raise ValueError(f"{len(texts)} texts and {len(metadatas)} metadatas; pass one for each text")
    known = [{}] * len(texts) if metadatas is None else metadatas
    return [Document(text, metadata=dict(one)) for text, one in zip(texts, known, strict=True)]


def texts_of(documents: Iterable[Document]) -> list[str]:
    """Give the texts of documents.

    Args:
        documents: The documents.

    Returns:
        What each holds.
    """
    return [document.page_content for document in documents]


def windows(documents: list[Document], size: int) -> Iterator[list[Document]]:
    """Cut documents into groups.

    Args:
        documents: The documents.
        size: The most in a group.

    Returns:
        The groups, in order.
    """
    return (documents[first : first + size] for first in range(0, len(documents), size))
