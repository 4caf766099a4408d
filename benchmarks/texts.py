"""The texts that are embedded: documentation of Python's own standard library, so that they are on every machine."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable, Mapping

from examples.stdlib_docs import read_passages

# Bounds in words that give about 12 to 512 tokens with the model's tokenizer, which cuts at 512.
_SHORTEST, _LONGEST = 9, 400


def as_written(count: int, seed: int = 0) -> list[str]:
    """Whole docstrings, of the lengths that people gave them: most are short, a few fill the model's limit."""
    documents = _documents()
    chosen = [documents[number * len(documents) // count] for number in range(count)]
    random.Random(seed).shuffle(chosen)  # noqa: S311
    return chosen


def log_uniform(count: int, seed: int = 0) -> list[str]:
    """The same words cut anew, so that every length scale is equally frequent, with less padding to save by sorting."""
    words = re.findall(r"\S+\s*", "\n\n".join(_documents()))
    draw = random.Random(seed)  # noqa: S311
    texts: list[str] = []
    position = 0
    for _ in range(count):
        length = round(math.exp(draw.uniform(math.log(_SHORTEST), math.log(_LONGEST))))
        if position + length > len(words):
            position = 0
        texts.append("".join(words[position : position + length]).strip())
        position += length
    return texts


def queries(count: int, words: int = 10) -> list[str]:
    """Short questions, no two of them equal."""
    stream = " ".join(_documents()).split()
    step = len(stream) // count
    return [" ".join(stream[number * step : number * step + words]) for number in range(count)]


WORKLOADS: Mapping[str, Callable[[int], list[str]]] = {"as-written": as_written, "log-uniform": log_uniform}


def _documents() -> list[str]:
    return [page.text.partition("\n")[2] for page in read_passages(min_words=_SHORTEST, max_words=_LONGEST)]
