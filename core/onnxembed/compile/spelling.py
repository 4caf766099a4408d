"""Settings that have had several names: today's, and those of the code that a model was first published with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnxembed.errors import UnsupportedModelError

if TYPE_CHECKING:
    from onnxembed.formats.facts import Facts


def spelled(config: Facts, *names: str) -> str:
    """Give the name by which a setting stands in a configuration; the first where none does.

    All of the names count as read from then on. Two that say different things refuse the model.
    """
    there = {name: value for name in names if (value := config.value(name)) is not None}
    if any(value != next(iter(there.values())) for value in there.values()):
        said = " and ".join(f"{name} is {value!r:.100}" for name, value in there.items())
        raise UnsupportedModelError(f"{config.where}: {said}, but they name one setting; remove the wrong one")
    return next(iter(there), names[0])
