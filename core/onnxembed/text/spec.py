"""A dense text model as data: how its tokens become one vector, and what is put before a text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

from onnxembed.errors import InputError, InputTypeError
from onnxembed.spec import GraphHead, ModelSource, ModelSpec, PoolingType, Recipe, only_source
from onnxembed.suggest import nearest
from onnxembed.text.vector_stage import VectorStage


@dataclass(frozen=True, slots=True)
class Prompts:
    """Texts put before an item, verbatim: nothing is added between prompt and item.

    Attributes:
        query: Before a query.
        passage: Before a passage.
    """

    query: str = ""
    passage: str = ""


NO_PROMPTS = Prompts()


@dataclass(frozen=True, slots=True)
class Matryoshka:
    """What is known of shortening the vectors of a model.

    Attributes:
        dims: The lengths its authors trained or recommend, longest first; empty when any length is allowed.
        layer_norm: Whether the full vector goes through a layer normalization without weights before it is cut.
    """

    dims: tuple[int, ...] = ()
    layer_norm: bool = False


@dataclass(frozen=True, slots=True)
class DenseModel(ModelSpec):
    """A model that gives one vector per text.

    Attributes:
        dim: Length of a vector.
        pooling: How token vectors become one.
        normalize: Whether the vectors are scaled to length 1.
        output: The graph output to take, by position or by name.
        static: True for a table of token vectors (model2vec) instead of a graph.
        counts_unknown: Whether such a table counts unknown tokens and cuts no text, as sentence-transformers has it;
            model2vec leaves them out.
        pad_to_max_length: True where the graph reads the last position even if it is padding (SigLIP).
        tasks: Task names and their ids, for graphs with a ``task_id`` input (jina-embeddings-v3).
        default_task: The task of ``embed``.
        query_task: The task of queries.
        passage_task: The task of passages.
        prompts: The query and passage prompts of the model card.
        matryoshka: How the vectors may be shortened; ``None`` when the authors do not provide for it.
        further_poolings: Poolings whose vectors are joined to that of ``pooling``, in this order.
        pools_prompt: Whether the tokens of a prompt count in the pooling.
        stages: What is done to the pooled vectors.
        truncate_dim: Numbers that are kept of each vector after that; ``None`` for all.
        named_prompts: Each stored prompt's name and text.
        default_prompt: Put before texts whose input type is not said.
        similarity: How the authors compare vectors: ``"cosine"``, ``"dot"``, ``"euclidean"`` or ``"manhattan"``; empty
            where they do not say.
        routes: Of a model that reads queries and documents by ways of their own, the way of each; texts whose input
            type is not said go the way of the description itself.
        needs_input_type: Whether such texts have no way.
        max_tokens: The limit the authors state, in tokens; documentation, the effective one comes from the files.
        prompt_source: Where the prompts and the Matryoshka lengths are published.
        stated: The fields that a row of the catalogue has to state in spite of their default.
        graph_stems: What the names of its graphs begin with.
        graph_is_compiled_better: Whether a graph compiled of the weights is taken where figures say that it is faster.
    """

    dim: int
    _: KW_ONLY
    pooling: PoolingType = PoolingType.MEAN
    normalize: bool = True
    output: int | str = 0
    static: bool = False
    counts_unknown: bool = False
    pad_to_max_length: bool = False
    tasks: tuple[tuple[str, int], ...] = ()
    default_task: int | None = None
    query_task: int | None = None
    passage_task: int | None = None
    prompts: Prompts = NO_PROMPTS
    matryoshka: Matryoshka | None = None
    further_poolings: tuple[PoolingType, ...] = ()
    pools_prompt: bool = True
    stages: tuple[VectorStage, ...] = ()
    truncate_dim: int | None = None
    named_prompts: tuple[tuple[str, str], ...] = ()
    default_prompt: str = ""
    similarity: str = ""
    routes: tuple[tuple[str, DenseModel], ...] = ()
    needs_input_type: bool = False
    max_tokens: int | None = None
    prompt_source: str = ""

    stated: ClassVar[tuple[str, ...]] = (*ModelSpec.stated, "pooling", "normalize", "prompt_source")
    graph_stems: ClassVar[tuple[str, ...]] = ("text_model", "model")
    graph_is_compiled_better: ClassVar[bool] = True

    @property
    def poolings(self) -> tuple[PoolingType, ...]:
        """How token vectors become one; several are joined."""
        return (self.pooling, *self.further_poolings)

    @property
    def recipe(self) -> Recipe:
        """What to compile; without a pooling the vector that the architecture makes by itself."""
        if self.pooling is PoolingType.DISABLED:
            return Recipe(head=GraphHead.OWN_VECTOR)
        return Recipe(pooling=self.poolings if self.further_poolings else self.pooling)

    @property
    def pooled_output(self) -> int | str | None:
        """The output with token vectors, where they are pooled."""
        return None if self.pooling is PoolingType.DISABLED or self.static else self.output

    @property
    def is_computed(self) -> bool:
        """Whether a graph computes the vectors; a table is looked up."""
        return not self.static

    @property
    def own_facts(self) -> tuple[object, ...]:
        """What only a model's own files say of its vectors; empty where they say nothing."""
        names = ("further_poolings", "pools_prompt", "stages", "truncate_dim", "default_prompt", "routes")
        values = tuple(getattr(self, name) for name in names)
        return () if values == ((), True, (), None, "", ()) else values

    def faults(self) -> Iterable[tuple[str, str]]:
        """A length below 1, lengths that do not fall, tasks that do not fit one another."""
        if self.dim < 1:
            yield "dim", f"{self.dim} is no length of a vector; give 1 or more"
        dims = [] if self.matryoshka is None else list(self.matryoshka.dims)
        if dims != sorted(set(dims), reverse=True) or any(not 1 <= length <= self.dim for length in dims):
            yield "matryoshka.dims", f"{dims} must fall from at most {self.dim} to at least 1, each length once"
        known = {number for _, number in self.tasks}
        if len(known) != len(self.tasks):
            yield "tasks", "two names have the same number; give each its own"
        chosen = {"default_task": self.default_task, "query_task": self.query_task, "passage_task": self.passage_task}
        for key, number in chosen.items():
            if (number is None) == bool(known) or (number is not None and number not in known):
                yield key, f"{number} is not among the tasks {sorted(known)}; give all three, or no tasks"

    @classmethod
    def custom(  # noqa: DOC201  # its docstring is that of `add_custom_model`, which returns nothing
        cls,
        model: str,
        pooling: PoolingType | str,
        normalization: bool,
        sources: ModelSource,
        dim: int,
        model_file: str = "onnx/model.onnx",
        description: str = "",
        license: str = "",  # noqa: A002  # the name that users know
        size_in_gb: float = 0.0,
        additional_files: Sequence[str] | None = None,
        output_name: str | None = None,
        *,
        query_prompt: str = "",
        passage_prompt: str = "",
        matryoshka_dims: Sequence[int] | None = None,
        max_tokens: int | None = None,
    ) -> DenseModel:
        """Describe a model by the arguments of `TextEmbedding.add_custom_model`.

        Args:
            model: Its name; no other model may have it, case aside.
            pooling: How token vectors become one.
            normalization: Whether vectors are scaled to length 1.
            sources: Where its files are.
            dim: Numbers of a vector.
            model_file: The graph, relative to the model's folder.
            description: One line for people.
            license: Licence of the weights.
            size_in_gb: Download size.
            additional_files: Further files that must be there.
            output_name: Name of the graph output to take; ``None`` for the first.
            query_prompt: Put before every query.
            passage_prompt: Put before every passage.
            matryoshka_dims: Lengths that the vectors may be cut to; an empty list for any, ``None`` for none.
            max_tokens: The limit its authors state.

        Raises:
            InputTypeError: If ``sources`` is no `ModelSource` or ``pooling`` is none at all.
        """
        from onnxembed.api.inputs import python_number

        checked = only_source(sources)
        if pooling is None:
            raise InputTypeError("pooling=None: expected a PoolingType")
        return cls(
            name=model,
            sources=checked,
            dim=python_number(dim),
            model_file=model_file,
            additional_files=tuple(additional_files or ()),
            pooling=parse_pooling(pooling),
            normalize=normalization,
            output=0 if output_name is None else output_name,
            static=model_file.endswith(".safetensors"),
            prompts=Prompts(query_prompt, passage_prompt),
            matryoshka=None if matryoshka_dims is None else Matryoshka(tuple(matryoshka_dims)),
            max_tokens=python_number(max_tokens),
            license=license,
            size_in_gb=size_in_gb,
            description=description,
        )


def parse_pooling(pooling: object, name: str = "pooling") -> PoolingType:
    """Read a pooling: a `PoolingType`, or its value in any case; ``name`` is what messages call the argument."""
    try:
        return PoolingType(str(pooling).upper())
    except ValueError:
        names = [kind.value for kind in PoolingType]
        raise InputError(
            f"{name}={pooling!r} is unknown; expected one of {', '.join(names)}.{nearest(str(pooling), names)}"
        ) from None
