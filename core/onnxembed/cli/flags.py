"""Errors in the words of the command line: where the core names an argument, the flag that it came from."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping

CORE_NAMES = {
    "model_path": "specific_model_path",
    "device": "cuda",
    "offline": "local_files_only",
    "workers": "parallel",
    "compile": "compiled",
}
"""What the core calls an argument of the command line that has another name there."""
_PLAIN = r"[\w./:+-]+"


def in_flags(message: str, parser: argparse.ArgumentParser) -> str:
    """Write the flags of a command where a message names arguments of the core, as ``name=value`` or ``name=``.

    Args:
        message: Of an error of the core.
        parser: Of the command; arguments that it has no flag for keep their names.

    Returns:
        The message. ``batch_size=0`` reads ``--batch-size 0``, ``precision='fp32'`` reads ``--precision fp32``, and
        ``local_files_only=True`` reads ``--offline``.
    """
    flags = _flags(parser)
    names = "|".join(map(re.escape, sorted(flags, key=len, reverse=True)))
    # Arguments alone are known by their underscore, and by what is said of them; not where they are part of a path.
    alone = rf"(?<![\w./\\'\"-])({names})(?![\w./\\'\"=-])"
    message = re.sub(
        rf"(?<![\w./\\-])({names})=(?:(True|False|None)\b|(['\"])({_PLAIN})\3)?",
        lambda found: _written(flags[found[1]], found[2], found[4], message[found.end() :]),
        message,
    )
    return re.sub(alone, lambda found: _alone(found, flags), message)


def _flags(parser: argparse.ArgumentParser) -> Mapping[str, argparse.Action]:
    """The arguments that have a flag, by the core's name."""
    return {
        CORE_NAMES.get(action.dest, action.dest): action
        for action in parser._actions  # argparse has no other list of them
        if action.option_strings and not action.option_strings[-1].startswith("--no-")
    }


def _written(action: argparse.Action, constant: str | None, value: str | None, rest: str) -> str:
    flag = action.option_strings[-1]
    if value is not None:
        return f"{flag} {value}"
    if constant is not None:
        named = {("device", "True"): " cuda", ("device", "False"): " cpu"}.get((action.dest, constant))
        return f"{flag}{named}" if named else flag if action.nargs == 0 else f"{flag} {constant}"
    return flag if not rest or rest[0] in " ,;.:)" else f"{flag} "


def _alone(found: re.Match[str], flags: Mapping[str, argparse.Action]) -> str:
    told = "_" in found[1] or found.string[found.end() :].startswith((" must be", " out", " and variant out"))
    return flags[found[1]].option_strings[-1] if told else found[0]
