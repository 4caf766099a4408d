"""A late-interaction text model as data: how it marks, pads and skips tokens, and what becomes of their vectors."""

from __future__ import annotations

import string
from dataclasses import dataclass
from enum import StrEnum

from onnxembed.spec import ModelSource, PoolingType, Recipe

PUNCTUATION = tuple(string.punctuation)
"""The words that ColBERT leaves out of documents when nothing else is said: the 32 ASCII punctuation characters."""


class SkipRule(StrEnum):
    """How a word that documents leave out becomes a token id."""

    NONE = "none"
    """Nothing is left out."""
    VOCABULARY = "vocabulary"
    """The word itself, looked up in the vocabulary; one that is not there has no id. So PyLate does it."""
    FIRST_PIECE = "first_piece"
    """The first piece of the word when it is tokenised alone, as in the ColBERT code. With SentencePiece that may be
    the lone word boundary, which then is left out wherever it occurs; models published with that keep it."""


@dataclass(frozen=True, slots=True)
class LateInteractionModel:
    """A model that gives one vector a token.

    Lengths count every position: special tokens, marker and expansion included.

    Attributes:
        name: The public name; compared without regard to case.
        sources: Where the files are.
        dim: Numbers of a vector; 0 when only the graph tells.
        model_file: The graph, relative to the model's folder.
        additional_files: Further files that must be there, such as external data.
        query_marker: Put after the first token of a query: a token id, the text of a token, or ``None`` for nothing.
        document_marker: The same for documents.
        mask_token: Text of the token that fills short queries.
        query_length: Length that short queries are filled to, or ``None`` without such an expansion.
        attend_to_expansion: Whether the filling takes part in attention; its vectors are given in any case.
        query_limit: Length that queries are cut to; ``None`` for the limit of documents.
        document_limit: Length that documents are cut to; ``None`` for what the tokenizer's files say.
        marker_in_limit: Whether the limit of the tokenizer's files counts the marker already.
        skip_rule: How ``skip_words`` become ids.
        skip_words: Tokens whose vectors documents leave out.
        drop_padding_token: Whether documents leave out the padding token even where a text spells it.
        skip_special_tokens: Whether the tokens that the tokenizer puts around a text are left out, on both sides.
        normalize_documents: Whether the vectors of documents are scaled to length 1.
        normalize_queries: Whether those of queries are; otherwise they are what the graph gives.
        dense_stages: Folders of linear layers that follow a graph which ends at its hidden states.
        output: Name of the graph output with the token vectors; ``None`` for the first one of three axes.
        pad_to_max_length: True where the graph reads the last position even if it is padding.
        query_task: Value of the ``task_id`` input for queries, for graphs that have one.
        document_task: The same for documents.
        compiled_pooling: Pooling that a graph compiled from weights has besides; ``None`` where weights do not suffice.
        max_tokens: The limit the authors state, in tokens; documentation, the effective one comes from the files.
        license: The licence of the weights, as an SPDX identifier in lower case where there is one.
        size_in_gb: Download size in GB.
        description: One line for people.
    """

    name: str
    sources: tuple[ModelSource, ...]
    dim: int
    model_file: str = "model.onnx"
    additional_files: tuple[str, ...] = ()
    query_marker: int | str | None = None
    document_marker: int | str | None = None
    mask_token: str = "[MASK]"  # noqa: S105  # a token of a vocabulary, no password
    query_length: int | None = None
    attend_to_expansion: bool = False
    query_limit: int | None = None
    document_limit: int | None = None
    marker_in_limit: bool = True
    skip_rule: SkipRule = SkipRule.NONE
    skip_words: tuple[str, ...] = PUNCTUATION
    drop_padding_token: bool = False
    skip_special_tokens: bool = False
    normalize_documents: bool = True
    normalize_queries: bool = True
    dense_stages: tuple[str, ...] = ()
    output: str | None = None
    pad_to_max_length: bool = False
    query_task: int | None = None
    document_task: int | None = None
    compiled_pooling: PoolingType | None = None
    max_tokens: int | None = None
    license: str = ""
    size_in_gb: float = 0.0
    description: str = ""

    @property
    def recipe(self) -> Recipe | None:
        """What to compile; ``None`` where weights alone lack the projection."""
        return None if self.compiled_pooling is None else Recipe(pooling=self.compiled_pooling)
