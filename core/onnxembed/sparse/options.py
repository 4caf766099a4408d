"""The options of sparse models: which kinds have which, their defaults, and every check that needs no file."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from onnxembed.api.inputs import at_least, check_flag, check_number
from onnxembed.api.options import Check, TextOptions, token_limit
from onnxembed.errors import InputError, InputTypeError
from onnxembed.sparse.known import sparse_registry
from onnxembed.sparse.spec import PRUNED_KINDS, SparseKind, SparseModel
from onnxembed.text.options import unchecked

if TYPE_CHECKING:
    from onnxembed.sparse.scripts import Segmenter
    from onnxembed.sparse.statistics import Bm25Statistics
    from onnxembed.sparse.terms import Stemmer

_GRAPHS = [kind for kind in SparseKind if kind is not SparseKind.BM25]


def _number(least: float, most: float = math.inf) -> Check:
    return lambda value, name: check_number(value, name, least, most)


def _length(value: object, name: str) -> float:
    length = check_number(value, name, 0.0, math.inf)
    if not length:
        raise InputError(f"{name}={value}: expected a number above 0")
    return length


def _words(value: object, name: str) -> Iterable[str]:
    """Read a collection of words; one that can be read only once becomes a list."""
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise InputTypeError(f"{name}={value!r}: expected a collection of words")
    words = value if isinstance(value, frozenset) else list(value)
    for word in words:
        if not isinstance(word, str):
            raise InputTypeError(f"{name} holds {word!r}; expected strings")
    return words


def _function(value: object, name: str) -> object:
    if not callable(value):
        raise InputTypeError(f"{name}={value!r}: expected a function from a text to its words")
    return value


def _statistics(value: object, name: str) -> Bm25Statistics:
    from onnxembed.sparse.statistics import Bm25Statistics

    if not isinstance(value, Bm25Statistics):
        raise InputTypeError(f"{name}={value!r}: expected Bm25Statistics, such as Bm25Statistics.load(path)")
    return value


def kind_option(defaults: Mapping[SparseKind, Any], check: Check, *, exported: bool = True) -> Any:
    """Declare an option that only some kinds of models have: the default of each, and the check of other values."""
    return field(default=None, metadata={"check": check, "defaults": defaults, "exported": exported})


@dataclass(frozen=True, slots=True)
class SparseOptions(TextOptions):
    """What sparse models have. An option that the chosen model does not have is refused.

    These are documented anew:
        specific_model_path: A folder that holds the files of ``model_name``; no other place is looked at. For BM25,
            ``<language>.txt`` files with stop words, which win over those of the package.

    Attributes:
        max_length: Tokens that a text is cut to, special tokens included; ``None`` for the limit that the model's files
            state. BM25 has none.
        token_budget: Tokens of a padded batch; a longer text runs alone. ``None``: 256 for each processor in use, on
            other devices what their memory has room for, and for SPLADE no more than give 64 MB of logits. BM25 has
            none.
        alpha: BM42: exponent of the weights; below 1 it evens them out. 0.5 unless given.
        k: BM25 and MiniCOIL: how long repetition of a word keeps counting, at least 0. A larger ``k`` lets it keep
            counting longer, a smaller one lets it stop sooner. 1.2 unless given.
        b: BM25 and MiniCOIL: how much the length of a document counts, 0 to 1; 0.75 unless given.
        avg_len: BM25 and MiniCOIL: mean length of a document, in words that count; 150 for MiniCOIL unless given, for
            BM25 that of ``statistics``, or 256.
        language: BM25: name or ISO 639-1 code of one of Snowball's eighteen languages, or any name where no Snowball
            stemmer is used; English unless given.
        token_max_length: BM25: longer words are dropped, in code points; 40 unless given.
        disable_stemmer: BM25: keep words whole; without ``stopwords``, none are dropped then.
        stemmer: BM25: an object with ``stem_word(word) -> str``, instead of Snowball.
        stopwords: BM25: words to drop, instead of the language's list; an empty collection drops none.
        compatible: BM25: give fastembed 0.9.1's numbers to the last digit, its faults included, for an index that was
            made with it. Only the order of the entries differs: here indices ascend.
        statistics: BM25: what `fit` measured, with the same settings.
        idf_in_query: BM25: put the inverse document frequency into query vectors, for stores that cannot.
        segmenter: BM25: cuts a run of characters of scripts without spaces (Chinese, Japanese, Korean, Thai, ...) into
            words; ``None`` for overlapping pairs of characters.
        top_k: SPLADE and auto-encoders: keep so many entries, the heaviest; as many as the model's files say
            unless given.
        min_weight: SPLADE and auto-encoders: keep entries of at least this weight.
    """

    _: KW_ONLY
    max_length: int | None = kind_option(dict.fromkeys(_GRAPHS), token_limit)
    token_budget: int | None = kind_option(dict.fromkeys(_GRAPHS), at_least(1), exported=False)
    alpha: float | None = kind_option({SparseKind.BM42: 0.5}, _number(0.0))
    k: float | None = kind_option({SparseKind.BM25: 1.2, SparseKind.MINICOIL: 1.2}, _number(0.0))
    b: float | None = kind_option({SparseKind.BM25: 0.75, SparseKind.MINICOIL: 0.75}, _number(0.0, 1.0))
    avg_len: float | None = kind_option({SparseKind.BM25: 256.0, SparseKind.MINICOIL: 150.0}, _length)
    language: str | None = kind_option({SparseKind.BM25: "english"}, unchecked)
    token_max_length: int | None = kind_option({SparseKind.BM25: 40}, at_least(1))
    disable_stemmer: bool | None = kind_option({SparseKind.BM25: False}, check_flag)
    stemmer: Stemmer | None = kind_option({SparseKind.BM25: None}, unchecked)
    stopwords: Iterable[str] | None = kind_option({SparseKind.BM25: None}, _words)
    compatible: bool | None = kind_option({SparseKind.BM25: False}, check_flag)
    statistics: Bm25Statistics | None = kind_option({SparseKind.BM25: None}, _statistics)
    idf_in_query: bool | None = kind_option({SparseKind.BM25: False}, check_flag)
    segmenter: Segmenter | None = kind_option({SparseKind.BM25: None}, _function)
    top_k: int | None = kind_option(dict.fromkeys(PRUNED_KINDS), at_least(1))
    min_weight: float | None = kind_option(dict.fromkeys(PRUNED_KINDS, 0.0), _number(0.0))


def own_options(kind: SparseKind) -> dict[str, Any]:
    """The options that a kind of models has, beside those of all kinds, with the defaults."""
    return {
        declared.name: declared.metadata["defaults"][kind]
        for declared in fields(SparseOptions)
        if kind in declared.metadata.get("defaults", ())
    }


def settle(options: SparseOptions, model: SparseModel) -> SparseOptions:
    """Refuse options that the model does not have, and fill in the defaults of those it has."""
    own = own_options(model.kind)
    if "top_k" in own:
        own["top_k"] = model.top_k
    for declared in fields(options):
        value, defaults = getattr(options, declared.name), declared.metadata.get("defaults")
        if value is None or defaults is None:
            continue
        if declared.name not in own:
            having = ", ".join(other.name for other in sparse_registry.models() if other.kind in defaults)
            raise InputError(
                f"{declared.name}={value!r}: {model.name} is a {model.kind.value} model and has no such option; "
                f"it belongs to {having}. Leave it out"
            )
        own[declared.name] = value
    settled = replace(options, **own)
    if model.kind is not SparseKind.BM25:
        return settled
    if options.statistics is not None:
        settled = replace(settled, avg_len=options.avg_len)
    return _settle_bm25(settled)


def _settle_bm25(options: SparseOptions) -> SparseOptions:
    """Check what depends on several options: stemmer, language and segmenter, and statistics."""
    from onnxembed.sparse.languages import language_name

    stemmer, words = options.stemmer, options.stopwords
    if stemmer is not None:
        if options.disable_stemmer:
            raise InputError("stemmer= and disable_stemmer=True contradict each other; leave one out")
        if not callable(getattr(stemmer, "stem_word", None)):
            raise InputTypeError(f"stemmer={stemmer!r} has no method stem_word(word) -> str")
    if options.segmenter is not None and options.compatible:
        raise InputError("compatible=True gives fastembed's words, which know no segmenter; leave one out")
    if options.idf_in_query and options.statistics is None:
        raise InputError("idf_in_query=True needs statistics=; measure them with fit(texts)")
    return replace(
        options,
        language=language_name(options.language, stemmed=stemmer is None and not options.disable_stemmer),
        stopwords=None if words is None else frozenset(words),
    )
