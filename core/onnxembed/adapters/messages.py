"""Messages in the adapter's words: unknown arguments, and errors of the core that name the core's arguments."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Final

from onnxembed.errors import InputError, OnnxEmbedError

__all__ = ["FOREIGN_NAMES", "refuse_unknown", "translate"]

FOREIGN_NAMES: Final[Mapping[str, str]] = {
    "cache_folder": "here it is called 'cache_dir'",
    "model_kwargs": "pass its entries by their own names, such as device=",
    "encode_kwargs": "pass its entries by their own names, such as batch_size=",
    "multi_process": "pass parallel=, the number of workers",
    "parallel_process": "pass parallel=, the number of workers",
    "target_devices": "pass device= and device_ids=",
}
"""Arguments that users know from other libraries, with what to do instead."""

# The core takes a flag where adapters take a name.
_VALUES = {"cuda=True": "device='cuda'", "cuda=False": "device='cpu'"}


def refuse_unknown(owner: str, given: Iterable[str], known: Iterable[str], elsewhere: Mapping[str, str]) -> None:
    """Refuse arguments that are no options of the class called ``owner``, and say which ones may have been meant.

    Args:
        owner: Name of the adapter's class.
        given: Names of the arguments.
        known: Names of the options.
        elsewhere: Names from other libraries, with what to do instead.
    """
    valid = sorted(known)
    complaints = []
    for name in given:
        if name in valid:
            continue
        if name in elsewhere:
            advice = f"; {elsewhere[name]}"
        else:
            near = difflib.get_close_matches(name.lower(), valid, n=1, cutoff=0.6)
            advice = f"; did you mean {near[0]!r}?" if near else f"; it takes {', '.join(valid)}"
        complaints.append(f"{owner} has no argument {name!r}{advice}")
    if complaints:
        raise InputError(". ".join(complaints))


def translate(error: OnnxEmbedError, names: Mapping[str, str]) -> None:
    """Put the adapter's names into an error's message wherever it writes an argument of the core as ``name=``."""
    if not names or not error.args or not isinstance(error.args[0], str):
        return
    message = error.args[0]
    if "cuda" in names:
        for core, here in _VALUES.items():
            message = message.replace(core, here)
    pattern = rf"\b({'|'.join(map(re.escape, names))})(?==)"
    error.args = (re.sub(pattern, lambda found: names[found[1]], message), *error.args[1:])
