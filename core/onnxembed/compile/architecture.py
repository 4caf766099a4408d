"""What the compiler knows of one family of architectures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from onnxembed.compile.names import WeightNames

if TYPE_CHECKING:
    from onnxembed.compile.body import Body
    from onnxembed.compile.checkpoint import Checkpoint
    from onnxembed.formats.facts import Facts


@dataclass(frozen=True, slots=True)
class Architecture:
    """A family of models that one body serves.

    Attributes:
        model_types: Values of ``model_type`` in ``config.json``.
        classes: Names that ``architectures`` there may give; a configuration without any is accepted.
        names: How its weights are spelled.
        prepare: Takes the keys of ``checkpoint.config`` that it knows and describes the body. It reads no weight:
            `onnxembed.compile.refusal` calls it where there is only a configuration.
        reads_pictures: Whether it reads pictures instead of texts.
        setting: A key of ``config.json`` and its value, which a family that shares its type does not have.
    """

    model_types: tuple[str, ...]
    classes: tuple[str, ...]
    names: WeightNames
    prepare: Callable[[Checkpoint], Body]
    reads_pictures: bool = False
    setting: tuple[str, object] | None = None

    def serves(self, config: Facts) -> bool:
        """Tell whether a configuration has the family's type, and its setting, if it has one."""
        if config.text("model_type", "") not in self.model_types:
            return False
        return self.setting is None or config.value(self.setting[0]) == self.setting[1]
