"""Queries and the documents that are to be ranked for them, checked before any work starts."""

from __future__ import annotations

from collections.abc import Iterable

from onnxembed.api.inputs import as_texts, check_text
from onnxembed.errors import InputError, InputTypeError


def check_query(query: object, name: str = "query") -> str:
    """Refuse a query that is no text or is empty.

    Args:
        query: The query.
        name: What messages call it.

    Returns:
        The query.

    Raises:
        InputTypeError: If it is not a string.
        InputError: If it is empty, or no Unicode text.
    """
    if not isinstance(query, str):
        raise InputTypeError(f"{name} is a {type(query).__name__}; expected one query as a string")
    if not query:
        raise InputError(f"{name} is empty; a document is scored by what is asked, so pass a query with text")
    try:
        return check_text(query, 0)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None


def check_documents(documents: object, name: str = "documents") -> Iterable[object]:
    """Refuse documents that are no iterable of texts; a string alone is one document, not one a character.

    Args:
        documents: The documents; lists are checked whole, other iterables as they are read.
        name: What messages call them.

    Returns:
        The documents.

    Raises:
        InputTypeError: If they are a string or no iterable, or an item of a list is not a string.
    """
    if isinstance(documents, str):
        raise InputTypeError(f"{name} is a string; expected an iterable of documents, such as [{name}] for one")
    return as_texts(documents, name)


def read_documents(documents: object, name: str = "documents") -> list[str]:
    """Read all documents of a query.

    Args:
        documents: The documents, in any iterable.
        name: What messages call them.

    Returns:
        The documents.
    """
    return [check_text(document, index) for index, document in enumerate(check_documents(documents, name))]


def check_many(queries: object, documents_per_query: object) -> list[tuple[str, list[str]]]:
    """Read many queries, each with its documents.

    Args:
        queries: The queries.
        documents_per_query: For each query an iterable of documents.

    Returns:
        Every query with its documents.

    Raises:
        InputTypeError: If an argument is a string or no iterable, or holds something else than texts.
        InputError: If there are not as many collections of documents as queries, or a query is empty.
    """
    checked = [check_query(query, f"query {index}") for index, query in enumerate(_listed(queries, "queries"))]
    collections = _listed(documents_per_query, "documents_per_query")
    if len(collections) != len(checked):
        raise InputError(
            f"documents_per_query holds {len(collections)} collections for {len(checked)} queries; pass one for each, "
            "such as [documents] * len(queries) for the same documents"
        )
    return [
        (query, read_documents(documents, f"documents_per_query[{index}]"))
        for index, (query, documents) in enumerate(zip(checked, collections, strict=True))
    ]


def _listed(values: object, name: str) -> list[object]:
    if isinstance(values, str | bytes | dict) or not isinstance(values, Iterable):
        raise InputTypeError(f"{name} is a {type(values).__name__}; expected a list with one entry for each query")
    return list(values)
