"""Languages by name or ISO code, and the stop words that the package carries for them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

from onnxembed.errors import InputError, InputTypeError, ModelError
from onnxembed.suggest import nearest

# The languages that Snowball has a stemmer for; keys are ISO 639-1 codes.
LANGUAGE_OF_CODE: Mapping[str, str] = {
    "ar": "arabic",
    "da": "danish",
    "nl": "dutch",
    "en": "english",
    "fi": "finnish",
    "fr": "french",
    "de": "german",
    "el": "greek",
    "hu": "hungarian",
    "it": "italian",
    "no": "norwegian",
    "nb": "norwegian",
    "nn": "norwegian",
    "pt": "portuguese",
    "ro": "romanian",
    "ru": "russian",
    "es": "spanish",
    "sv": "swedish",
    "ta": "tamil",
    "tr": "turkish",
}
LANGUAGES: tuple[str, ...] = tuple(sorted(set(LANGUAGE_OF_CODE.values())))
LANGUAGES_WITH_STOP_WORDS: tuple[str, ...] = tuple(name for name in LANGUAGES if name != "tamil")


def language_name(language: object, *, stemmed: bool) -> str:
    """Find a language by its English name or its ISO 639-1 code, in any case; the name is in lower case.

    Only where a Snowball stemmer is needed (``stemmed``) must it be one of the eighteen; other names choose stop words
    and case rules alone.
    """
    if not isinstance(language, str):
        raise InputTypeError(f"language={language!r}: expected a name such as 'english', or a code such as 'en'")
    lower = language.strip().lower()
    name = LANGUAGE_OF_CODE.get(lower, lower)
    if stemmed and name not in LANGUAGES:
        raise InputError(
            f"language={language!r} has no stemmer.{nearest(lower, [*LANGUAGES, *LANGUAGE_OF_CODE])} There are "
            f"{', '.join(LANGUAGES)}; for others pass stemmer= or disable_stemmer=True"
        )
    return name


def stop_words(language: str, folder: Path | None = None) -> frozenset[str]:
    """Read a language's stop words, none for languages without a list.

    A file ``<language>.txt`` in the folder, such as a copy of Qdrant/bm25, wins over the package's list.
    """
    own = None if folder is None else folder / f"{language}.txt"
    if own is not None and own.is_file():
        try:
            return _lines(own.read_text(encoding="utf-8-sig"))
        except UnicodeDecodeError as error:
            raise ModelError(f"{own} is not UTF-8 text: {error}; fetch the file again") from error
    return _carried(language) if language in LANGUAGES_WITH_STOP_WORDS else frozenset()


@lru_cache(maxsize=len(LANGUAGES_WITH_STOP_WORDS))
def _carried(language: str) -> frozenset[str]:
    """Read the list of the package."""
    return _lines((files("onnxembed.sparse") / "stop_words" / f"{language}.txt").read_text(encoding="utf-8"))


def _lines(text: str) -> frozenset[str]:
    """Read a list of one word per line."""
    return frozenset(word for line in text.splitlines() if (word := line.strip()))
