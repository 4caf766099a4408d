"""What is put before a text, by what it is in a search."""

from __future__ import annotations

from onnxembed.sparse.spec import SparseModel
from onnxembed.text.options import InputType


def prompt_of(model: SparseModel, input_type: InputType | None) -> str:
    """Choose a prompt; texts whose input type is not said have the default one, or are documents."""
    if input_type is None and model.default_prompt is not None:
        return model.default_prompt
    return model.prompts.query if input_type == "query" else model.prompts.passage
