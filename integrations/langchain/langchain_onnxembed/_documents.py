"""Documents as retrievers take them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from langchain_core.documents import Document

from onnxembed.adapters.checks import as_list
from onnxembed.errors import InputTypeError

__all__ = ["SINGLE", "as_documents", "documents_of", "texts_of"]

SINGLE = "wrap a single one in a list"


def as_documents(documents: Iterable[Document], method: str) -> list[Document]:
    """Check documents before work starts."""
    given = as_list(documents, method, "Document", SINGLE)
    for index, document in enumerate(given):
        if not isinstance(document, Document):
            raise InputTypeError(
                f"document {index} is a {type(document).__name__}, expected a Document; use from_texts for texts"
            )
    return given


def documents_of(texts: Iterable[str], metadatas: Sequence[Mapping[str, Any]] | None) -> list[Document]:
    """Make documents of texts, with the metadata of each if there are any."""
    texts = as_list(texts, "from_texts", "str", SINGLE)
    if metadatas is not None and len(metadatas) != len(texts):
        raise ValueError(f"{len(texts)} texts and {len(metadatas)} metadatas; pass one for each text")
    known = [{}] * len(texts) if metadatas is None else metadatas
    return [Document(text, metadata=dict(one)) for text, one in zip(texts, known, strict=True)]


def texts_of(documents: Iterable[Document]) -> list[str]:
    """Give the texts of documents."""
    return [document.page_content for document in documents]
