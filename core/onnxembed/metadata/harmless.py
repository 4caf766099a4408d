"""Keys of a model's JSON files that change no vector, each with the reason.

A key stands here only where no reader has a use for it. Those of ``config.json`` that describe an architecture are the
compiler's, see ``compile/config_keys.py``: a graph has them inside.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath

Reasons = Mapping[str, str]

ENTRY_KEYS: Reasons = {
    "idx": "the position in the list, which its order has",
    "name": "what the library calls the stage in memory",
    "kwargs": "names of arguments of a call that the stage would read; there are none here",
}
"""Of the entries of ``modules.json``."""

SETTINGS_KEYS: Reasons = {
    "__version__": "the libraries that saved the model",
    "requirements": "versions of Python packages that the authors ask for; none of them is used",
}
"""Of ``config_sentence_transformers.json``."""

TRANSFORMER_KEYS: Reasons = {
    "unpad_inputs": "whether padding is left out of batches, which changes the speed alone",
}
"""Of ``sentence_bert_config.json`` and its older names."""

_BY_FILE: Mapping[str, Reasons] = {
    "config_sentence_transformers.json": SETTINGS_KEYS,
    "sentence_*_config.json": TRANSFORMER_KEYS,
}


def harmless_keys(name: str) -> Reasons:
    """Give the harmless keys of a file, by its name without the folder; none for a file that is not listed."""
    path = PurePosixPath(name)
    return next((keys for pattern, keys in _BY_FILE.items() if path.match(pattern)), {})
