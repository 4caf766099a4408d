"""Documents as retrievers take them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from langchain_core.documents import Document

from onnxembed.adapters.checks import as_list, as_texts, wrong_type
from onnxembed.errors import InputError, InputTypeError

__all__ = ["SCORE", "SINGLE", "Filter", "as_documents", "as_ids", "documents_of", "keeper", "texts_of"]

Filter: TypeAlias = Mapping[str, Any] | Callable[[Document], bool]
"""Which documents may be found: metadata that must be equal, or a function of a document."""
SINGLE = "wrap a single one in a list"
SCORE = "relevance_score"
"""The metadata key that documents have their score under."""


def as_documents(documents: Iterable[Document], method: str) -> list[Document]:
    """Check documents before work starts."""
    given = as_list(documents, method, "Document", SINGLE)
    for index, document in enumerate(given):
        if not isinstance(document, Document):
            raise InputTypeError(
                f"document {index} is a {type(document).__name__}, expected a Document; use from_texts for texts"
            )
    return given


def as_ids(ids: Iterable[str]) -> list[str]:
    """Check the ids of documents."""
    given = as_list(ids, "delete", "str", SINGLE)
    for index, one in enumerate(given):
        if not isinstance(one, str):
            raise InputTypeError(f"id {index} is a {type(one).__name__}, expected a str")
    return given


def documents_of(texts: Iterable[str], metadatas: Sequence[Mapping[str, Any]] | None) -> list[Document]:
    """Make documents of texts, with the metadata of each if there are any."""
    texts = as_texts(texts, "from_texts", SINGLE)
    if metadatas is not None and len(metadatas) != len(texts):
        raise InputError(f"{len(texts)} texts and {len(metadatas)} metadatas; pass one for each text")
    known = [{}] * len(texts) if metadatas is None else metadatas
    return [Document(text, metadata=dict(one)) for text, one in zip(texts, known, strict=True)]


def texts_of(documents: Iterable[Document]) -> list[str]:
    """Give the texts of documents."""
    return [document.page_content for document in documents]


def keeper(only: Any) -> Callable[[Document], bool] | None:
    """Make a function of a `Filter`."""
    if only is None or callable(only):
        return only  # type: ignore[no-any-return]  # what the user says of it
    if not isinstance(only, Mapping):
        raise wrong_type("filter", only, "a mapping of metadata, or a function of a Document")
    absent = object()
    wanted = dict(only)
    return lambda document: all(document.metadata.get(name, absent) == value for name, value in wanted.items())
