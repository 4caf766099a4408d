"""A sparse model as sentence-transformers saves it: its stages, and what each says of itself."""

from __future__ import annotations

from dataclasses import dataclass

from onnxembed.errors import ModelNotFoundError, UnsupportedModelError
from onnxembed.formats.facts import Facts
from onnxembed.formats.weight_files import WEIGHTS_FILE
from onnxembed.hub.files import Files
from onnxembed.metadata.prompts import SETTINGS_FILE, read_prompts
from onnxembed.metadata.stages import STAGES_FILE, Stage
from onnxembed.metadata.tokenizer import read_tokenizer_settings
from onnxembed.metadata.transformer import check_arguments, check_task, transformer_facts
from onnxembed.sparse.spec import AutoEncoderStage
from onnxembed.spec import TOKENIZER_FILE, TokenizerSettings
from onnxembed.text.routes import ROUTERS, read_routes
from onnxembed.text.spec import NO_PROMPTS, Prompts

_BODIES = frozenset({"Transformer", "MLMTransformer"})
_SPLADE = "SpladePooling"
_TABLE = "SparseStaticEmbedding"
_AUTO_ENCODER = "SparseAutoEncoder"
_LOGARITHMS = {"relu": 1, "log1p_relu": 2}


@dataclass(frozen=True, slots=True)
class SpladeStages:
    """What the stages and the settings of a SPLADE model say; most fields are those of `SparseModel`.

    Attributes:
        read: All stages that were read.
        body: The folder of the masked-language model.
        logarithms: How many times the logarithm is taken.
        summed: Whether the weights of a text's tokens are added up.
        query_table: The folder with the weights of queries' tokens, if any.
        query_tokenizer: What the files say of the tokenizer there.
        top_k: How many entries are kept.
        tokenizer: What the files say of the body's tokenizer.
        prompts: Put before queries and documents.
        default_prompt: Put before texts whose input type is not said, if any.
    """

    read: tuple[Stage, ...]
    body: str
    logarithms: int
    summed: bool
    query_table: str
    query_tokenizer: TokenizerSettings | None
    top_k: int | None
    tokenizer: TokenizerSettings
    prompts: Prompts = NO_PROMPTS
    default_prompt: str | None = None


def are_sparse(files: Files, stages: tuple[Stage, ...]) -> bool:
    """Tell whether some stages are those of a SPLADE model; a Router's branches are looked into."""
    kinds = {stage.kind for stage in stages}
    if kinds & ROUTERS:
        stated = files.facts(SETTINGS_FILE).value("model_type")
        kinds = {stage.kind for way in read_routes(files, stages).values() for stage in way}
        return stated in (None, "SparseEncoder") and not kinds.isdisjoint({_SPLADE, _TABLE})
    return not kinds.isdisjoint({_SPLADE, _AUTO_ENCODER})


def read_splade(files: Files, stages: tuple[Stage, ...]) -> SpladeStages:
    """Read the stages of a SPLADE model; those of others are an `UnsupportedModelError`."""
    queries = documents = stages
    if not {stage.kind for stage in stages}.isdisjoint(ROUTERS):
        ways = read_routes(files, stages)
        queries, documents = (ways.get(task, ways.get("", ())) for task in ("query", "document"))
        if ways.get("", documents) != documents:
            raise UnsupportedModelError(
                f"{files.where} does not take texts for documents where nothing is said; expected that"
            )
    _check(files, documents, documents_only=True)
    body, pooling = documents
    settings = files.facts(SETTINGS_FILE)
    settings.expect("model_type", ("SparseEncoder", "SentenceTransformer"), "SparseEncoder")
    stored = read_prompts(settings)
    transformer = transformer_facts(files, body.path)
    check_arguments(transformer)
    check_task(transformer, "fill-mask", "logits", "token_embeddings")
    table = "" if queries == documents else _table(files, queries)
    strategy, logarithms = _pooling(pooling.config(files))
    return SpladeStages(
        read=tuple(dict.fromkeys((*stages, *queries, *documents))),
        body=body.path,
        logarithms=logarithms,
        summed=strategy == "sum",
        query_table=table,
        query_tokenizer=read_tokenizer_settings(files, table, stored=True) if table else None,
        tokenizer=read_tokenizer_settings(files, body.path, stored=True),
        top_k=settings.optional_whole("max_active_dims"),
        prompts=Prompts(stored.query, stored.document),
        default_prompt=None if stored.default_name is None else stored.default,
    )


def ends_with_auto_encoder(stages: tuple[Stage, ...]) -> bool:
    """Tell whether a dense model's vectors are made sparse at the end."""
    return bool(stages) and stages[-1].kind == _AUTO_ENCODER


def read_auto_encoder(files: Files, stage: Stage) -> tuple[AutoEncoderStage, int]:
    """Read the stage that makes dense vectors sparse, and how many entries it keeps."""
    config = stage.config(files)
    if not files.has(stage.file(WEIGHTS_FILE)):
        raise ModelNotFoundError(f"{files.label(stage.path)} holds no {WEIGHTS_FILE}; expected the stage's weights")
    entries, kept = config.whole("hidden_dim", 512), config.whole("k", 8)
    return AutoEncoderStage(stage.path, config.whole("input_dim"), entries, config.flag("normalize")), kept


def _check(files: Files, stages: tuple[Stage, ...], *, documents_only: bool) -> None:
    """Refuse any other order than a masked-language model and its pooling."""
    kinds = [stage.kind for stage in stages]
    if documents_only and len(kinds) == 2 and kinds[0] in _BODIES and kinds[1] == _SPLADE:
        return
    raise UnsupportedModelError(
        f"{files.label(STAGES_FILE)} lists the stages {', '.join(kinds)}; supported are a Transformer or "
        f"MLMTransformer and {_SPLADE}, and for queries of a Router also {_TABLE}"
    )


def _pooling(config: Facts) -> tuple[str, int]:
    """The strategy, and how many times the logarithm is taken."""
    config.expect("pooling_strategy", ("max", "sum"), "max")
    config.expect("activation_function", tuple(_LOGARITHMS), "relu")
    for key in ("embedding_dimension", "word_embedding_dimension"):
        config.value(key)  # the weights have it
    return config.text("pooling_strategy", "max"), _LOGARITHMS[config.text("activation_function", "relu")]


def _table(files: Files, queries: tuple[Stage, ...]) -> str:
    if [stage.kind for stage in queries] != [_TABLE]:
        _check(files, queries, documents_only=False)
    (table,) = queries
    table.config(files).expect("path", (None,), None)
    for name in (WEIGHTS_FILE, TOKENIZER_FILE):
        if not files.has(table.file(name)):
            raise ModelNotFoundError(f"{files.label(table.path)} holds no {name}; expected the weights of query tokens")
    return table.path
