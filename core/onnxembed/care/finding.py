"""What an examination finds: a fact, and where it is a problem, the command that mends it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One fact about the installation or the machine.

    Attributes:
        area: ``packages``, ``runtime``, ``device``, ``processor``, ``cache`` or ``network``.
        name: What was looked at.
        value: What was found; secrets are never shown.
        problem: What is wrong; empty where all is well.
        mend: The command that mends it; empty where all is well.
        note: What is worth knowing, though it is no problem.
    """

    area: str
    name: str
    value: str
    problem: str = ""
    mend: str = ""
    note: str = ""
