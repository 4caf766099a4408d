"""Names of weights, as published files spell them and as the compiler looks them up."""

from __future__ import annotations

# Before the names of a model that was saved as a part of a larger one.
PREFIXES = ("bert.", "model.")
_OLDER_ENDINGS = ((".LayerNorm.gamma", ".LayerNorm.weight"), (".LayerNorm.beta", ".LayerNorm.bias"))


def canonical_name(name: str) -> str:
    """The name of a weight in a model saved by itself, in today's spelling."""
    name = next((name.removeprefix(prefix) for prefix in PREFIXES if name.startswith(prefix)), name)
    for older, newer in _OLDER_ENDINGS:
        if name.endswith(older):
            return name.removesuffix(older) + newer
    return name
