"""A late-interaction text model as data: how it marks, pads and skips tokens, and which vectors are kept."""

from __future__ import annotations

import string
from collections.abc import Iterable, Sequence
from dataclasses import KW_ONLY, dataclass, field
from enum import StrEnum
from typing import ClassVar

from onnxembed.api.inputs import check_count, check_flag, python_number
from onnxembed.spec import ModelSource, ModelSpec, PoolingType, Recipe, only_source
from onnxembed.text.spec import NO_PROMPTS, Prompts
from onnxembed.text.vector_stage import VectorStage

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
class TokenPooling:
    """How the vectors of a text are joined into fewer: similar ones become their mean.

    Attributes:
        factor: How many vectors become one, on average; at least 1, which joins none.
        protected: Vectors at the beginning that stay as they are.
        normalize: Whether the vectors are scaled to length 1 afterwards.
        documents: Whether the vectors of documents are joined.
        queries: Whether those of queries are.
    """

    factor: float = 1.0
    protected: int = 1
    normalize: bool = False
    documents: bool = True
    queries: bool = False


@dataclass(frozen=True, slots=True)
class LateInteractionModel(ModelSpec):
    """A model that gives one vector per token.

    Lengths count every position: special tokens, marker and expansion included.

    Attributes:
        dim: Numbers of a vector; 0 when only the graph says.
        model_file: The graph, relative to the model's folder.
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
        skip_in_documents: Whether documents leave them out.
        skip_in_queries: Whether queries leave them out, too.
        kept_tokens: Ids of the only tokens whose vectors documents give; empty for all.
        drop_padding_token: Whether documents leave out the padding token even where a text spells it.
        skip_special_tokens: Whether the tokens that the tokenizer puts around a text are left out, on both sides.
        skip_first_token: Whether the first token's vector is left out, on both sides.
        normalize_documents: Whether the vectors of documents are scaled to length 1.
        normalize_queries: Whether those of queries are; otherwise they are what the graph gives.
        dense_stages: Linear layers that follow a graph which ends at its hidden states.
        token_head: PyTorch's file of the linear layer that follows them, as BGE-M3 has it; empty for none.
        token_pooling: How the vectors of a text are joined into fewer, or ``None``.
        prompts: Put before queries and documents, after the marker.
        default_prompt: Put before the texts of `embed` instead of the prompt of documents; ``None`` for that.
        output: Name of the graph output with the token vectors; ``None`` for the first one of three axes.
        pad_to_max_length: True where the graph reads the last position even if it is padding.
        query_task: Value of the ``task_id`` input for queries, for graphs that have one.
        document_task: The same for documents.
        compiled_pooling: Pooling that a graph compiled from weights has besides; ``None`` where weights do not suffice.
        max_tokens: The limit the authors state, in tokens; documentation, the effective one comes from the files.
        stated: The fields that a row of the catalogue has to state in spite of their default.
    """

    dim: int
    _: KW_ONLY
    model_file: str = "model.onnx"
    query_marker: int | str | None = field(default=None, metadata={"catalog": int})
    document_marker: int | str | None = field(default=None, metadata={"catalog": int})
    mask_token: str = "[MASK]"  # noqa: S105  # a token of a vocabulary, no password
    query_length: int | None = None
    attend_to_expansion: bool = False
    query_limit: int | None = None
    document_limit: int | None = None
    marker_in_limit: bool = True
    skip_rule: SkipRule = SkipRule.NONE
    skip_words: tuple[str, ...] = PUNCTUATION
    skip_in_documents: bool = True
    skip_in_queries: bool = False
    kept_tokens: tuple[int, ...] = ()
    drop_padding_token: bool = False
    skip_special_tokens: bool = False
    skip_first_token: bool = False
    normalize_documents: bool = True
    normalize_queries: bool = True
    dense_stages: tuple[VectorStage, ...] = ()
    token_head: str = ""
    token_pooling: TokenPooling | None = None
    prompts: Prompts = NO_PROMPTS
    default_prompt: str | None = None
    output: str | None = None
    pad_to_max_length: bool = False
    query_task: int | None = None
    document_task: int | None = None
    compiled_pooling: PoolingType | None = None
    max_tokens: int | None = None

    stated: ClassVar[tuple[str, ...]] = (
        *(*ModelSpec.stated, "query_marker", "document_marker", "mask_token", "attend_to_expansion"),
        *("marker_in_limit", "skip_rule", "drop_padding_token", "normalize_queries"),
    )

    @property
    def recipe(self) -> Recipe | None:
        """What to compile; ``None`` where weights alone lack the projection."""
        return None if self.compiled_pooling is None else Recipe(pooling=self.compiled_pooling)

    def faults(self) -> Iterable[tuple[str, str]]:
        """Numbers that are too small, and an expansion without a length."""
        for key, number, least in (
            ("dim", self.dim, 1),
            ("query_marker", self.query_marker, 0),
            ("document_marker", self.document_marker, 0),
        ):
            if isinstance(number, int) and number < least:
                yield key, f"{number} is too small; give {least} or more"
        if self.query_length is None and self.attend_to_expansion:
            yield "attend_to_expansion", "there is no expansion without query_length; give both or false"
        if self.query_length is not None and self.query_length < 1:
            yield "query_length", f"{self.query_length} is no length; give 1 or more, or leave it out"

    @classmethod
    def custom(  # noqa: DOC201  # its docstring is that of `add_custom_model`, which returns nothing
        cls,
        model: str,
        sources: ModelSource,
        dim: int,
        model_file: str = "model.onnx",
        description: str = "",
        license: str = "",  # noqa: A002  # the name that users know
        size_in_gb: float = 0.0,
        additional_files: Sequence[str] | None = None,
        output_name: str | None = None,
        *,
        query_marker: int | str | None = None,
        document_marker: int | str | None = None,
        query_length: int | None = None,
        mask_token: str = "[MASK]",  # noqa: S107  # a token of a vocabulary, no password
        attend_to_expansion: bool = False,
        skip_words: Sequence[str] | None = None,
        normalize_queries: bool = True,
        max_tokens: int | None = None,
    ) -> LateInteractionModel:
        """Describe a model by the arguments of `LateInteractionTextEmbedding.add_custom_model`.

        Args:
            model: Its name; no other model may have it, case aside.
            sources: Where its files are.
            dim: Numbers of a vector.
            model_file: The graph, relative to the model's folder.
            description: One line for people.
            license: Licence of the weights.
            size_in_gb: Download size.
            additional_files: Further files that must be there.
            output_name: Name of the graph output to take; ``None`` for the first one of three axes.
            query_marker: Put after the first token of a query: a token id, or the text of a token of the vocabulary.
            document_marker: The same for documents.
            query_length: Length that short queries are filled to with mask tokens; ``None`` for no filling.
            mask_token: Text of the mask token.
            attend_to_expansion: Whether the filling takes part in attention.
            skip_words: Tokens of the vocabulary whose vectors documents leave out; ``None`` for ASCII punctuation.
            normalize_queries: Whether the vectors of queries are scaled to length 1; those of documents always are.
            max_tokens: The limit its authors state.

        Raises:
            InputTypeError: If ``sources`` is no `ModelSource`.
        """
        return cls(
            name=model,
            sources=only_source(sources),
            dim=python_number(dim),
            model_file=model_file,
            additional_files=tuple(additional_files or ()),
            query_marker=query_marker,
            document_marker=document_marker,
            mask_token=mask_token,
            query_length=None if query_length is None else check_count(query_length, "query_length", 1),
            attend_to_expansion=check_flag(attend_to_expansion, "attend_to_expansion"),
            skip_rule=SkipRule.VOCABULARY,
            skip_words=PUNCTUATION if skip_words is None else tuple(skip_words),
            normalize_queries=check_flag(normalize_queries, "normalize_queries"),
            output=output_name,
            max_tokens=python_number(max_tokens),
            license=license,
            size_in_gb=size_in_gb,
            description=description,
        )
