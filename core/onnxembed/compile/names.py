"""Names of weights, as published files spell them and as the compiler looks them up."""

from __future__ import annotations

import re
from dataclasses import dataclass

_OLDER_ENDINGS = ((r"\.LayerNorm\.gamma$", ".LayerNorm.weight"), (r"\.LayerNorm\.beta$", ".LayerNorm.bias"))


@dataclass(frozen=True, slots=True)
class WeightNames:
    """How a family spells its weights.

    Attributes:
        prefixes: Before the names of a model that was saved as a part of a larger one; the first that fits is cut off.
        replacements: Regular expressions and what stands in place of what they find, applied in this order.
    """

    prefixes: tuple[str, ...] = ()
    replacements: tuple[tuple[str, str], ...] = ()

    def canonical(self, name: str) -> str:
        """Give the name of a weight in a model saved by itself, in today's spelling."""
        name = next((name.removeprefix(prefix) for prefix in self.prefixes if name.startswith(prefix)), name)
        for pattern, replacement in (*_OLDER_ENDINGS, *self.replacements):
            name = re.sub(pattern, replacement, name)
        return name
