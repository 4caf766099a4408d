"""Where a model says what is done to pictures: a file of its own, or an entry of its processor's file."""

from __future__ import annotations

from onnxembed.errors import ModelError
from onnxembed.formats.facts import Facts
from onnxembed.hub.files import Files
from onnxembed.image.spec import PROCESSOR_FILE

NESTED_FILE = "processor_config.json"
"""The file that older versions of transformers write for the processor as a whole, newer ones for all of it."""


def processor_file(files: Files) -> str | None:
    """Find the file that says how pictures are prepared."""
    return next((name for name in (PROCESSOR_FILE, NESTED_FILE) if files.has(name)), None)


def read_entries(files: Files) -> Facts:
    """Read what is said of pictures, key by key; a `ModelError` where nothing is said."""
    name = processor_file(files)
    if name is None:
        raise ModelError(
            f"{files.label(PROCESSOR_FILE)} is missing; it says how pictures are prepared: add it to the model's folder"
        )
    stored = files.facts(name)
    if name == PROCESSOR_FILE:
        return stored
    if not stored.has("image_processor"):
        raise ModelError(
            f"{files.label(name)} holds no image processor; fetch the model again, or add its {PROCESSOR_FILE}"
        )
    return stored.section("image_processor")
