"""A model as data: what it is, where its files are, and how its output becomes vectors.

Nothing here reads a file or runs a model. A specification is frozen, hashable, comparable and picklable, so it can be a
key, travel to another process, and be printed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from onnxembed.errors import InputError
from onnxembed.graph_head import GraphHead


class PoolingType(StrEnum):
    """How token vectors become one vector."""

    CLS = "CLS"
    """The first real token; a two-dimensional output is taken as it is."""
    MEAN = "MEAN"
    """The mean of the tokens that the attention mask keeps."""
    LAST_TOKEN = "LAST_TOKEN"  # noqa: S105  # a pooling, no password
    """The last token that the attention mask keeps, on whichever side the padding is."""
    DISABLED = "DISABLED"
    """The graph's own output, one vector an item."""


@dataclass(frozen=True, slots=True)
class ModelSource:
    """Where a model's files can be had; at least one of the first three is given.

    Attributes:
        hf: A Hugging Face Hub repository, ``"org/name"``.
        url: A ``.tar.gz`` archive.
        package: An installed Python distribution that carries the files, ``"distribution-name"``.
        package_folder: The model's folder inside the package, relative to site-packages.
        sha256: Published SHA-256 of files, as ``(path, hex digest)`` pairs; of the archive itself under the path
            ``""``.
    """

    hf: str | None = None
    url: str | None = None
    package: str | None = None
    package_folder: str | None = None
    sha256: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if not (self.hf or self.url or self.package):
            raise InputError("a model needs a source: pass hf=, url= or package=")


@dataclass(frozen=True, slots=True)
class Prompts:
    """Texts put before an item, verbatim: nothing is added between prompt and item.

    Attributes:
        query: Before a query.
        passage: Before a passage.
    """

    query: str = ""
    passage: str = ""


@dataclass(frozen=True, slots=True)
class Matryoshka:
    """What is known of shortening the vectors of a model.

    Attributes:
        dims: The lengths its authors trained or recommend, longest first; empty when any length up to the full one is
        allowed. layer_norm: Whether the full vector goes through a layer normalisation (without weights) before it is
        cut.
    """

    dims: tuple[int, ...] = ()
    layer_norm: bool = False


@dataclass(frozen=True, slots=True)
class Recipe:
    """What to make of ``safetensors`` weights where a folder holds no graph.

    Attributes:
        head: What the graph gives at its end.
        pooling: How token vectors become one, for a graph that gives vectors; ``PoolingType.DISABLED`` for token
            vectors alone.
    """

    head: GraphHead = GraphHead.VECTORS
    pooling: PoolingType = PoolingType.DISABLED


@dataclass(frozen=True, slots=True)
class DenseModel:
    """A model that gives one vector a text.

    Attributes:
        name: The public name; compared without regard to case.
        sources: Where the files are.
        dim: Length of a vector.
        model_file: The graph (``.onnx``) or, for static models, the ``.safetensors`` file, relative to the model's
        folder. additional_files: Further files that must be there, such as external data.
        pooling: How token vectors become one.
        normalize: Whether the vectors are scaled to length 1.
        output: The graph output to take, by position or by name.
        static: True for a table of token vectors (model2vec) instead of a graph.
        pad_to_max_length: True where the graph reads the last position even if it is padding (SigLIP).
        tasks: Task names and their ids, for graphs with a ``task_id`` input (jina-embeddings-v3).
        default_task: The task of ``embed``; ``query_task`` and ``passage_task`` are those of the two sides.
        prompts: The query and passage prompts of the model card.
        matryoshka: How the vectors may be shortened; ``None`` when the authors do not provide for it.
        max_tokens: The limit the authors state, in tokens; documentation, the effective one comes from the files.
        license: The licence of the weights, as an SPDX identifier in lower case where there is one.
        size_in_gb: Download size in GB.
        description: One line for people.
        prompt_source: Where the prompts and the Matryoshka lengths are published.
    """

    name: str
    sources: tuple[ModelSource, ...]
    dim: int
    model_file: str = "onnx/model.onnx"
    additional_files: tuple[str, ...] = ()
    pooling: PoolingType = PoolingType.MEAN
    normalize: bool = True
    output: int | str = 0
    static: bool = False
    pad_to_max_length: bool = False
    tasks: tuple[tuple[str, int], ...] = ()
    default_task: int | None = None
    query_task: int | None = None
    passage_task: int | None = None
    prompts: Prompts = field(default_factory=Prompts)
    matryoshka: Matryoshka | None = None
    max_tokens: int | None = None
    license: str = ""
    size_in_gb: float = 0.0
    description: str = ""
    prompt_source: str = ""

    @property
    def recipe(self) -> Recipe:
        """What to compile."""
        return Recipe(pooling=self.pooling)
