"""Scripts that write no spaces between words, and how their runs become tokens."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from itertools import pairwise

from onnxembed.errors import InputTypeError

Segmenter = Callable[[str], Iterable[str]]

# Thai, Lao, Myanmar, Khmer; then kana, bopomofo, ideographs and Hangul. Their digits and punctuation are left out.
_LETTERS_AND_MARKS = (
    "\u0e01-\u0e3a\u0e40-\u0e4e"
    "\u0e81-\u0eba\u0ebb-\u0ebd\u0ec0-\u0ece\u0edc-\u0edf"
    "\u1000-\u103f\u1050-\u108f"
    "\u1780-\u17d3\u17d7\u17dc\u17dd"
    "\u1100-\u11ff\uac00-\ud7a3"
    "\u3005\u3007\u3041-\u3096\u3099\u309a\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u3105-\u312f\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_MARKS = (
    "\u0e31\u0e34-\u0e3a\u0e47-\u0e4e"
    "\u0eb1\u0eb4-\u0ebc\u0ec8-\u0ece"
    "\u102b-\u103e\u1056-\u1059\u105e-\u1060\u1062-\u1064\u1067-\u106d\u1071-\u1074\u1082-\u108d\u108f"
    "\u17b4-\u17d3\u17dd"
    "\u3099\u309a"
)
_RUN = re.compile(f"[{_LETTERS_AND_MARKS}]+")
# A character with its marks; after a stacking sign (Myanmar virama, Khmer coeng) the next letter belongs to it as well.
_CLUSTER = re.compile(f".[{_MARKS}]*(?:(?<=[\u1039\u17d2]).[{_MARKS}]*)*")


def pairs(run: str) -> list[str]:
    """Cut a run into overlapping pairs of written characters, as Lucene's CJK analysis does.

    Combining marks stay with their letters; a run of a single character stays as it is.
    """
    clusters: list[str] = _CLUSTER.findall(run)
    if len(clusters) == 1:
        return clusters
    return [first + second for first, second in pairwise(clusters)]


def separate_runs(text: str, segmenter: Segmenter | None) -> str:
    """Put spaces between the tokens of scripts that write none; without a segmenter these are pairs of characters."""
    cut = pairs if segmenter is None else _Checked(segmenter)
    return _RUN.sub(lambda run: f" {' '.join(cut(run[0]))} ", text)


class _Checked:
    """A caller's segmenter, whose results are checked."""

    def __init__(self, segmenter: Segmenter) -> None:
        self._segmenter = segmenter

    def __call__(self, run: str) -> list[str]:
        words = self._segmenter(run)
        if isinstance(words, str) or not isinstance(words, Iterable):
            raise InputTypeError(f"segmenter gave {words!r}; expected an iterable of the words of {run!r}")
        listed = list(words)
        for word in listed:
            if not isinstance(word, str):
                raise InputTypeError(f"segmenter gave {word!r} among the words of {run!r}; expected strings")
        return listed
