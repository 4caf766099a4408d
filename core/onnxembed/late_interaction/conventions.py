"""How a late-interaction model treats queries and documents, as three formats of metadata say it.

PyLate writes it into ``config_sentence_transformers.json``, the ColBERT code into ``artifact.metadata``, and
sentence-transformers' MultiVectorEncoder into the files of its modules.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from onnxembed.errors import ModelError, UnsupportedModelError
from onnxembed.formats.facts import Facts
from onnxembed.hub.files import Files
from onnxembed.late_interaction.spec import PUNCTUATION, SkipRule, TokenPooling
from onnxembed.metadata.prompts import SETTINGS_FILE, StoredPrompts, read_prompts
from onnxembed.metadata.stages import Stage
from onnxembed.metadata.transformer import check_arguments, check_task, transformer_facts
from onnxembed.text.spec import NO_PROMPTS, Prompts
from onnxembed.text.tokenizer_rules import token_text

COLBERT_FILE = "artifact.metadata"
_PYLATE_KEYS = frozenset({"query_prefix", "document_prefix", "query_length", "document_length", "skiplist_words"})
_QUERY_LENGTH = 32  # what all three formats mean where they leave it out
POOLING = "HierarchicalTokenPooling"
MASK = "MultiVectorMask"


@dataclass(frozen=True, slots=True)
class Conventions:
    """What metadata say of queries and documents; the fields are explained in `LateInteractionModel`.

    Attributes:
        query_marker: Put after the first token of a query.
        document_marker: The same for documents.
        query_length: Length that short queries are filled to.
        query_limit: Length that queries are cut to.
        document_limit: Length that documents are cut to.
        attend: Whether the filling takes part in attention.
        filler: The token that fills queries; ``None`` for the tokenizer's mask token.
        skip_rule: How words become the ids of tokens that are left out.
        skip_words: These words.
        skip_in_documents: Whether documents leave them out.
        skip_in_queries: Whether queries do.
        kept_tokens: The only ids that documents give; empty for all.
        drop_padding_token: Whether documents leave out the padding token even where a text spells it.
        normalize: Whether vectors are scaled to length 1 without a stage that says so.
        prompts: Put before queries and documents.
        default_prompt: Put before texts whose input type is not said.
        token_pooling: How vectors are joined.
    """

    query_marker: str | None = None
    document_marker: str | None = None
    query_length: int | None = None
    query_limit: int | None = None
    document_limit: int | None = None
    attend: bool = False
    filler: str | None = None
    skip_rule: SkipRule = SkipRule.NONE
    skip_words: tuple[str, ...] = ()
    skip_in_documents: bool = True
    skip_in_queries: bool = False
    kept_tokens: tuple[int, ...] = ()
    drop_padding_token: bool = False
    normalize: bool = False
    prompts: Prompts = NO_PROMPTS
    default_prompt: str | None = None
    token_pooling: TokenPooling | None = None


def says_conventions(files: Files) -> bool:
    """Tell whether some files say how queries and documents are treated."""
    settings = files.facts(SETTINGS_FILE)
    return (
        _is_pylate(settings)
        or settings.value("model_type") == "MultiVectorEncoder"
        or bool(files.json_object(COLBERT_FILE))
    )


def read_conventions(files: Files, stages: tuple[Stage, ...], body: str) -> Conventions:
    """Read how queries and documents are treated; an `UnsupportedModelError` where no file says.

    ``body`` is the folder of the Transformer stage.
    """
    settings, transformer = files.facts(SETTINGS_FILE), transformer_facts(files, body)
    if _is_pylate(settings):
        return _pylate(settings)
    if settings.value("model_type") == "MultiVectorEncoder":
        return _multi_vector(files, settings, transformer, stages)
    if files.json_object(COLBERT_FILE):
        return _colbert(files.facts(COLBERT_FILE))
    raise UnsupportedModelError(
        f"{files.where} does not say how it marks queries and documents: expected {SETTINGS_FILE} as PyLate or "
        f"sentence-transformers write it, or {COLBERT_FILE}. Open it under a model's name with specific_model_path=, "
        "describe it with add_custom_model(), or pass dense=True for the plain token vectors of a dense model"
    )


def mask_token(files: Files) -> str:
    """The token that fills queries, as the tokenizer's files name it: the mask token, else that of the end."""
    for key in ("mask_token", "eos_token"):
        for name in ("special_tokens_map.json", "tokenizer_config.json"):
            text = token_text(files.json_object(name).get(key))
            if text is not None:
                return text
    raise ModelError(
        f"{files.where} fills queries with mask tokens, but names none: expected a mask_token in "
        "special_tokens_map.json or tokenizer_config.json"
    )


def _is_pylate(settings: Facts) -> bool:
    return not _PYLATE_KEYS.isdisjoint(settings.keys())


def _pylate(settings: Facts) -> Conventions:
    """PyLate's entries and its defaults. An empty prefix is none; an empty list of words skips nothing."""
    skipped = settings.texts("skiplist_words") if settings.has("skiplist_words") else PUNCTUATION
    settings.value("skiplist_words")
    settings.expect("model_type", ("ColBERT", "MultiVectorEncoder", "SentenceTransformer"), "ColBERT")
    stored = read_prompts(settings)
    query, document = settings.text("query_prefix", "[Q] "), settings.text("document_prefix", "[D] ")
    limit = settings.whole("query_length", _QUERY_LENGTH)
    expanded = settings.flag("do_query_expansion", True)
    attend = settings.flag("attend_to_expansion_tokens")
    return Conventions(
        query_marker=query or None,
        document_marker=document or None,
        query_length=limit if expanded else None,
        query_limit=limit,
        document_limit=settings.whole("document_length", 180),
        attend=expanded and attend,
        skip_rule=SkipRule.VOCABULARY if skipped else SkipRule.NONE,
        skip_words=skipped,
        normalize=True,
        # The marker stands before the prompt, which may repeat it.
        prompts=Prompts(stored.query.removeprefix(query), stored.document.removeprefix(document)),
        default_prompt=_default(stored),
    )


def _colbert(stored: Facts) -> Conventions:
    limit = stored.whole("query_maxlen", _QUERY_LENGTH)
    stored.expect("similarity", ("cosine",), "cosine")
    stored.expect("interaction", ("colbert",), "colbert")
    return Conventions(
        query_marker=stored.text("query_token_id", "[unused0]"),
        document_marker=stored.text("doc_token_id", "[unused1]"),
        query_length=limit,
        query_limit=limit,
        document_limit=stored.whole("doc_maxlen", 220),
        attend=stored.flag("attend_to_mask_tokens"),
        skip_rule=SkipRule.FIRST_PIECE if stored.flag("mask_punctuation", True) else SkipRule.NONE,
        skip_words=PUNCTUATION,
        drop_padding_token=True,
        normalize=True,
    )


def _multi_vector(files: Files, settings: Facts, transformer: Facts, stages: tuple[Stage, ...]) -> Conventions:
    """What sentence-transformers' modules say: the Transformer of lengths, MultiVectorMask of tokens left out."""
    stored = read_prompts(settings)
    check_arguments(transformer)
    check_task(transformer, "feature-extraction", "last_hidden_state", "token_embeddings")
    made = _lengths(transformer)
    masks = [stage for stage in stages if stage.kind == MASK]
    if not masks and not made.attend:
        # Only the mask gives the vectors of filling that takes no part in attention.
        made = replace(made, query_length=None)
    for stage in masks:
        made = _masked(stage.config(files), made)
    poolings = [_token_pooling(stage.config(files)) for stage in stages if stage.kind == POOLING]
    if len(poolings) > 1:
        raise UnsupportedModelError(f"{files.where} lists {POOLING} more than once; once at most is supported")
    return replace(
        made,
        prompts=Prompts(stored.query, stored.document),
        default_prompt=_default(stored),
        token_pooling=poolings[0] if poolings else None,
    )


def _default(stored: StoredPrompts) -> str | None:
    return None if stored.default_name is None else stored.default


def _lengths(transformer: Facts) -> Conventions:
    limit = transformer.optional_whole("query_length")
    made = Conventions(query_limit=limit, document_limit=transformer.optional_whole("document_length"))
    if not transformer.has("query_expansion"):
        transformer.value("query_expansion")
        return made
    expansion = transformer.section("query_expansion")
    strategy, length = expansion.text("strategy"), expansion.whole("length")
    expansion.expect("strategy", ("fixed", "min"), "fixed")
    if limit is not None and limit < length:
        raise transformer.wrong("query_length", limit, f"at least query_expansion.length, {length}")
    return replace(
        made,
        query_length=length,
        query_limit=length if strategy == "fixed" else limit,
        attend=expansion.flag("attend"),
        filler=expansion.text("token", "") or None,
    )


def _masked(mask: Facts, made: Conventions) -> Conventions:
    words = mask.texts("skiplist_words")
    tasks = mask.value("skiplist_tasks")
    tasks = ["document"] if tasks is None else [tasks] if isinstance(tasks, str) else tasks
    if not isinstance(tasks, list) or not set(tasks) <= {"query", "document"}:
        raise mask.wrong("skiplist_tasks", tasks, "a list of 'query' and 'document'")
    return replace(
        made,
        skip_rule=SkipRule.VOCABULARY if words else SkipRule.NONE,
        skip_words=words,
        skip_in_documents="document" in tasks,
        skip_in_queries="query" in tasks,
        kept_tokens=mask.wholes("keep_only_token_ids"),
    )


def _token_pooling(config: Facts) -> TokenPooling:
    tasks = config.value("tasks")
    tasks = ["document"] if tasks is None else [tasks] if isinstance(tasks, str) else tasks
    if not isinstance(tasks, list) or not set(tasks) <= {"query", "document"}:
        raise config.wrong("tasks", tasks, "a list of 'query' and 'document'")
    return TokenPooling(
        factor=config.number("pool_factor", 1.0),
        protected=config.whole("num_protected_tokens", 1, least=0),
        normalize=config.flag("normalize_embeddings", False),
        documents="document" in tasks,
        queries="query" in tasks,
    )
