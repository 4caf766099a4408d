"""A model as data: what it is, where its files are, and how its output becomes vectors.

Nothing here reads a file or runs a model. A specification is frozen, hashable, comparable and picklable, so it can be a
key, travel to another process, and be printed. What the kinds of models share stands here; each kind adds its own.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar

from onnxembed.errors import InputError, InputTypeError

if TYPE_CHECKING:
    from collections.abc import Iterable

TOKENIZER_FILE = "tokenizer.json"


class PoolingType(StrEnum):
    """How token vectors become one vector."""

    CLS = "CLS"
    """The first real token; a two-dimensional output is taken as it is."""
    MEAN = "MEAN"
    """The mean of the tokens that the attention mask keeps."""
    LAST_TOKEN = "LAST_TOKEN"  # noqa: S105  # a pooling, no password
    """The last token that the attention mask keeps, on whichever side the padding is."""
    MAX = "MAX"
    """The largest of each number over the tokens that the attention mask keeps."""
    MEAN_SQRT_LEN = "MEAN_SQRT_LEN"
    """The sum of the tokens that the attention mask keeps, divided by the square root of their number."""
    WEIGHTED_MEAN = "WEIGHTED_MEAN"
    """The mean of the tokens that the attention mask keeps, each weighted by its position, counted from 1."""
    DISABLED = "DISABLED"
    """The graph's own output, one vector per item."""


class GraphHead(StrEnum):
    """What follows the layers of a compiled graph; masks are 1 for tokens and 0 for padding."""

    VECTORS = "vectors"
    """``last_hidden_state`` (batch, sequence, hidden) and, where there is a pooling, the vectors made of it."""
    CLS_ATTENTION = "cls_attention"
    """``cls_attention`` (batch, sequence): how much the first position attends to each token in the last layer, as the
    mean over the heads; padding has 0. What the last layer computes beyond that is left out."""
    ATTENTIONS = "attentions"
    """``attention_<number of layers>`` (batch, heads, sequence, sequence): the probabilities with which each position
    (third axis) attends to each token (fourth) in the last layer, padding 0; and ``cls_attention``."""
    VOCABULARY_MAXIMUM = "vocabulary_maximum"
    """``max_logits`` (batch, vocabulary): the largest masked-language-model logit of each entry of the vocabulary over
    the tokens, -infinity for an item of padding alone; and ``splade``, ``log1p(max(max_logits, 0))``."""
    VOCABULARY_SUM = "vocabulary_sum"
    """``vocabulary_sum`` (batch, vocabulary): ``log1p(max(logit, 0))`` of each entry of the vocabulary, added up over
    the tokens."""
    VOCABULARY_SUM_OF_LOGARITHMS = "vocabulary_sum_of_logarithms"
    """The same with ``log1p`` taken twice."""
    CLASSIFICATION = "classification"
    """``logits`` (batch, labels): what the model's classification head says of each text or pair, before any
    activation of its scores."""
    OWN_VECTOR = "own_vector"
    """``pooled`` (batch, dim), the vector that a text half makes of a text by itself (CLIP, SigLIP), and
    ``sentence_embedding``, the same scaled to length 1."""
    PICTURE_VECTOR = "picture_vector"
    """``pooled`` (batch, dim), the vector that an architecture for pictures makes of each, and the same scaled."""
    TOKEN_LOGITS = "token_logits"  # noqa: S105  # an output, no password
    """``logits`` (batch, tokens): what a language model says after each text's last token of a few entries of its
    vocabulary, those of `Recipe.tokens` in their order."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What to compile from ``safetensors`` weights where a folder holds no graph.

    Attributes:
        head: What the graph gives at its end.
        pooling: How token vectors become one, several of which are joined; ``PoolingType.DISABLED`` for token vectors
            alone.
        tokens: The ids whose logits ``GraphHead.TOKEN_LOGITS`` gives; empty for every other head.
    """

    head: GraphHead = GraphHead.VECTORS
    pooling: PoolingType | tuple[PoolingType, ...] = PoolingType.DISABLED
    tokens: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class TokenizerSettings:
    """What a model's own files say of its tokenizer beside ``tokenizer.json``.

    Attributes:
        stored: Whether sentence-transformers has saved the model, so that its rules for the limit count.
        limit: Tokens of a text by those rules; ``None`` where they do not count, or leave it to the positions.
        limit_source: The file that states it.
        lower_case: Whether texts are put into lower case before all else.
        normalizer: Entries of BERT's normalizer that replace those of ``tokenizer.json``.
        add_prefix_space: Whether a text begins with a space, for tokenizers of bytes; ``None`` where it is not said.
        adds_bos: Whether the tokenizer is said to put a token before each text.
        adds_eos: Whether it is said to put one after it.
    """

    stored: bool = False
    limit: int | None = None
    limit_source: str = ""
    lower_case: bool = False
    normalizer: tuple[tuple[str, bool | None], ...] = ()
    add_prefix_space: bool | None = None
    adds_bos: bool = False
    adds_eos: bool = False


@dataclass(frozen=True, slots=True)
class ModelSource:
    """Where a model's files can be had; at least one of the first three is given.

    Attributes:
        hf: A Hugging Face Hub repository, ``"org/name"``.
        url: A ``.tar.gz`` archive.
        package: An installed Python distribution that carries the files, ``"distribution-name"``.
        package_folder: The model's folder inside the package, relative to site-packages.
        sha256: Published SHA-256 of files, as ``(path, hex digest)`` pairs; path ``""`` is the archive itself.
    """

    hf: str | None = None
    url: str | None = None
    package: str | None = None
    package_folder: str | None = None
    sha256: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if not (self.hf or self.url or self.package):
            raise InputError("a model needs a source: pass hf=, url= or package=")

    def faults(self) -> Iterable[tuple[str, str]]:
        """The fields that cannot be right, each with a clause about its value."""
        for path, digest in self.sha256:
            if len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
                yield "sha256", f"{digest!r} of {path!r} is no SHA-256; give 64 lower-case hex digits"


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """What the description of every model holds.

    Attributes:
        name: The public name; compared without regard to case.
        sources: Where the files are, tried in turn.
        model_file: The graph (``.onnx``) or a static model's ``.safetensors`` file, relative to the model's folder.
        additional_files: Further files that must be there, such as external data.
        body_folder: The folder of the tokenizer, the configuration and the weights, relative to the model's; empty for
            the model's own.
        tokenizer: What the model's files say of the tokenizer; ``None`` where the description was not read from them.
        license: The licence of the weights, as an SPDX identifier in lower case where there is one.
        size_in_gb: Download size in GB.
        description: One line for people.
        aliases: Further names of the same model: those under which its weights are published elsewhere.
        stated: The fields that a row of the catalogue has to state in spite of their default.
        graph_stems: What the names of graphs of this kind begin with, before ``_fp16`` and the like; the preferred
            first.
        graph_is_compiled_better: Whether figures of `onnxembed.compile.measured` are of graphs of this kind.
    """

    name: str
    sources: tuple[ModelSource, ...]
    _: KW_ONLY
    model_file: str = "onnx/model.onnx"
    additional_files: tuple[str, ...] = ()
    body_folder: str = ""
    tokenizer: TokenizerSettings | None = None
    license: str = ""
    size_in_gb: float = 0.0
    description: str = ""
    aliases: tuple[str, ...] = ()

    stated: ClassVar[tuple[str, ...]] = ("model_file", "license", "size_in_gb", "description")
    graph_stems: ClassVar[tuple[str, ...]] = ("model",)
    graph_is_compiled_better: ClassVar[bool] = False

    @property
    def needs_files(self) -> bool:
        """Whether the model is made of files; the others are never looked for."""
        return True

    @property
    def is_computed(self) -> bool:
        """Whether a graph computes the vectors; tables are looked up, and words counted."""
        return self.needs_files

    @property
    def companion_file(self) -> str:
        """The file that must lie in the folder beside the graph."""
        return f"{self.body_folder}/{TOKENIZER_FILE}" if self.body_folder else TOKENIZER_FILE

    @property
    def pooled_output(self) -> int | str | None:
        """The output of a shipped graph, by position or name, whose token vectors become one as `recipe` says."""
        return None

    @property
    def recipe(self) -> Recipe | None:
        """What to compile; ``None`` where the weights alone do not make the model."""
        return None

    def faults(self) -> Iterable[tuple[str, str]]:
        """The fields that cannot be right, each with a clause about its value; the catalogue refuses them."""
        return ()


def only_source(sources: object) -> tuple[ModelSource, ...]:
    """The one source that `add_custom_model` takes, checked."""
    if not isinstance(sources, ModelSource):
        raise InputTypeError(f"sources={sources!r}: expected a ModelSource, such as ModelSource(hf='org/name')")
    return (sources,)
