"""How many labels a classification head has."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnxembed.formats.facts import Facts


def label_count(config: Facts) -> int:
    """Read ``id2label``, else ``num_labels``; 2 where neither is there, as transformers has it."""
    labels = config.value("id2label")
    if isinstance(labels, dict) and labels:
        return len(labels)
    return config.whole("num_labels" if config.has("num_labels") else "_num_labels", 2)
