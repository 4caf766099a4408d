"""A sparse text model as data: what it is, where its files are, and how its output becomes sparse vectors."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from enum import StrEnum

from onnxembed.api.inputs import check_count, check_flag
from onnxembed.errors import InputError
from onnxembed.spec import GraphHead, ModelSource, ModelSpec, PoolingType, Recipe, TokenizerSettings, only_source
from onnxembed.suggest import nearest
from onnxembed.text.m3_files import SPARSE_HEAD
from onnxembed.text.spec import NO_PROMPTS, DenseModel, Prompts


class SparseKind(StrEnum):
    """How a text becomes a sparse vector."""

    SPLADE = "SPLADE"
    """Every entry of the vocabulary is weighted by a masked-language model; queries as documents (Formal et al., 2021,
    arXiv:2109.10086)."""
    INFERENCE_FREE = "INFERENCE_FREE"
    """As SPLADE for documents, with two logarithms; a query's weights come from a table (Geng et al., 2024,
    arXiv:2411.04403)."""
    BM25 = "BM25"
    """Words counted, without a model."""
    BM42 = "BM42"
    """Words weighted by the attention that the first token pays them (Qdrant, 2024)."""
    TOKEN_WEIGHTS = "TOKEN_WEIGHTS"  # noqa: S105  # a kind, no password
    """Every token of a text weighs itself by a linear layer; queries as documents (BGE-M3: Chen et al., 2024,
    arXiv:2402.03216)."""
    MINICOIL = "MINICOIL"
    """BM25 with a few numbers for the sense of each word it knows (Qdrant, 2025)."""
    AUTO_ENCODER = "AUTO_ENCODER"
    """The vector of a dense model, made sparse (Wen et al., 2025, arXiv:2503.01776); its entries are no words."""


SPLADE_KINDS = (SparseKind.SPLADE, SparseKind.INFERENCE_FREE)
PRUNED_KINDS = (*SPLADE_KINDS, SparseKind.AUTO_ENCODER, SparseKind.TOKEN_WEIGHTS)
"""Those whose light entries can be left out."""
IDF_FILE = "idf.json"
MATRICES_FILE = "minicoil.triplet.model.npy"
WORDS_FILE = "minicoil.triplet.model.vocab"
STOP_WORDS_FILE = "stopwords.txt"
"""Read where it is there, by the kinds that need the inverse document frequency."""
ATTENTIONS = re.compile(rf"{GraphHead.CLS_ATTENTION}|attention_(\d+)")
"""The outputs that BM42 can weigh words by: the attention of the first token, or that of a layer."""


@dataclass(frozen=True, slots=True)
class KindFacts:
    """What all models of a kind have in common.

    Attributes:
        recipe: What to compile; ``None`` where the weights alone do not make the model.
        files: Files that must lie beside the graph.
        requires_idf: Whether the search engine usually has to bring in the inverse document frequency.
    """

    recipe: Recipe | None
    files: tuple[str, ...] = ()
    requires_idf: bool = False


FACTS: Mapping[SparseKind, KindFacts] = {
    SparseKind.SPLADE: KindFacts(Recipe(GraphHead.VOCABULARY_MAXIMUM)),
    SparseKind.INFERENCE_FREE: KindFacts(Recipe(GraphHead.VOCABULARY_MAXIMUM), (IDF_FILE,)),
    # With the vector that the same files give: one compiled graph serves every class.
    SparseKind.TOKEN_WEIGHTS: KindFacts(Recipe(pooling=PoolingType.CLS), (SPARSE_HEAD,)),
    SparseKind.BM25: KindFacts(None, requires_idf=True),
    SparseKind.BM42: KindFacts(Recipe(GraphHead.CLS_ATTENTION), requires_idf=True),
    SparseKind.MINICOIL: KindFacts(Recipe(), (MATRICES_FILE, WORDS_FILE), requires_idf=True),
    SparseKind.AUTO_ENCODER: KindFacts(None),
}


@dataclass(frozen=True, slots=True)
class AutoEncoderStage:
    """What makes the vectors of a dense model sparse.

    Attributes:
        folder: Where its weights are, relative to the model's folder.
        inputs: Numbers of a dense vector.
        entries: Numbers of a sparse one.
        standardized: Whether dense vectors are brought to mean 0 and deviation 1 first.
    """

    folder: str
    inputs: int
    entries: int
    standardized: bool


@dataclass(frozen=True, slots=True)
class SparseModel(ModelSpec):
    """A model that gives one sparse vector per text.

    Attributes:
        kind: How a text becomes a vector.
        output: The graph output to take, by position or by name.
        requires_idf: Whether the search engine has to bring in the inverse document frequency.
        vocab_size: Words or entries that can have a weight by themselves; 0 where any can.
        max_tokens: The limit the authors state, in tokens; documentation, the effective one comes from the files.
        logarithms: SPLADE: how many times the logarithm is taken.
        summed: SPLADE: whether the weights of a text's tokens are added up, where else the largest counts.
        top_k: SPLADE kinds: how many entries are kept where the caller does not say; ``None`` for all.
        query_table: SPLADE: the folder with a weight for each token of a query; empty where queries are documents.
        query_tokenizer: What the files say of the tokenizer in the folder ``query_table``.
        dense: AUTO_ENCODER: the dense model whose vectors become sparse.
        encoder: AUTO_ENCODER: what makes them sparse.
        prompts: Put before queries and documents.
        default_prompt: Put before the texts of `embed` instead of the prompt of documents; ``None`` for that.
    """

    kind: SparseKind
    _: KW_ONLY
    output: int | str = 0
    requires_idf: bool = False
    vocab_size: int = 0
    max_tokens: int | None = None
    logarithms: int = 1
    summed: bool = False
    top_k: int | None = None
    query_table: str = ""
    query_tokenizer: TokenizerSettings | None = None
    dense: DenseModel | None = None
    encoder: AutoEncoderStage | None = None
    prompts: Prompts = NO_PROMPTS
    default_prompt: str | None = None

    @property
    def needs_files(self) -> bool:
        """Whether the model is made of files; BM25 is not."""
        return self.kind is not SparseKind.BM25

    @property
    def recipe(self) -> Recipe | None:
        """What to compile; ``None`` where the weights alone do not make the model."""
        if self.dense is not None:
            return self.dense.recipe
        if self.summed:
            return Recipe(GraphHead.VOCABULARY_SUM if self.logarithms == 1 else GraphHead.VOCABULARY_SUM_OF_LOGARITHMS)
        return FACTS[self.kind].recipe

    @classmethod
    def custom(  # noqa: DOC201  # its docstring is that of `add_custom_model`, which returns nothing
        cls,
        model: str,
        kind: SparseKind | str,
        sources: ModelSource,
        model_file: str = "onnx/model.onnx",
        description: str = "",
        license: str = "",  # noqa: A002  # the name that users know
        size_in_gb: float = 0.0,
        additional_files: Sequence[str] | None = None,
        output_name: str | None = None,
        *,
        requires_idf: bool | None = None,
        vocab_size: int = 0,
        max_tokens: int | None = None,
    ) -> SparseModel:
        """Describe a model by the arguments of `SparseTextEmbedding.add_custom_model`.

        Args:
            model: Its name; no other model may have it, case aside.
            kind: How a text becomes a vector. Models of one kind need the same files beside the graph: ``idf.json``
                (INFERENCE_FREE), ``stopwords.txt`` (BM42, MINICOIL; may be absent),
                ``minicoil.triplet.model.{npy,vocab}`` (MINICOIL).
            sources: Where its files are.
            model_file: The graph, relative to the model's folder.
            description: One line for people.
            license: Licence of the weights.
            size_in_gb: Download size.
            additional_files: Further files that must be there; ``None`` for those that the kind needs.
            output_name: Name of the graph output to take; ``None`` for the first, for BM42 the last layer's attention.
            requires_idf: Whether the search engine has to bring in the inverse document frequency; ``None`` for what
                is usual for the kind.
            vocab_size: Words or entries that can have a weight by themselves; 0 where it is not known.
            max_tokens: The limit its authors state.

        Returns:
            The description.

        Raises:
            InputTypeError: If ``sources`` is no `ModelSource`.
            InputError: If the kind is unknown, or is BM25, which needs no model.
        """
        checked = only_source(sources)
        chosen = _parse_kind(kind)
        return cls(
            name=model,
            sources=checked,
            kind=chosen,
            model_file=model_file,
            additional_files=FACTS[chosen].files if additional_files is None else tuple(additional_files),
            output=0 if output_name is None else output_name,
            requires_idf=FACTS[chosen].requires_idf
            if requires_idf is None
            else check_flag(requires_idf, "requires_idf"),
            vocab_size=check_count(vocab_size, "vocab_size", 0),
            max_tokens=max_tokens,
            license=license,
            size_in_gb=size_in_gb,
            description=description,
        )


def _parse_kind(kind: SparseKind | str) -> SparseKind:
    own = (SparseKind.BM25, SparseKind.AUTO_ENCODER)
    names = [known.value for known in SparseKind if known not in own]
    try:
        chosen = SparseKind(str(kind).upper())
    except ValueError:
        raise InputError(
            f"kind={kind!r} is unknown; expected one of {', '.join(names)}.{nearest(str(kind), names)}"
        ) from None
    if chosen is SparseKind.AUTO_ENCODER:
        raise InputError(f"kind={kind!r} is known by its own files alone: give their folder as the model's name")
    if chosen is SparseKind.BM25:
        raise InputError(f"kind={kind!r}: BM25 has no model to add; use 'Qdrant/bm25'. Others are {', '.join(names)}")
    return chosen
