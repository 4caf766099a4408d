"""What the files of a model's weights are called; apart from their readers, which most processes never need."""

from __future__ import annotations

WEIGHTS_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
"""The index of weights in several files."""
