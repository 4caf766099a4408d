"""The files of BGE-M3's heads, by name; loading them is `m3_heads`'s."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from onnxembed.errors import UnsupportedModelError

if TYPE_CHECKING:
    from onnxembed.hub.files import Files
    from onnxembed.text.spec import DenseModel

SPARSE_HEAD = "sparse_linear.pt"
COLBERT_HEAD = "colbert_linear.pt"


def has_heads(files: Files) -> bool:
    """Tell whether both heads lie beside a model."""
    return files.has(SPARSE_HEAD) and files.has(COLBERT_HEAD)


def describe_with_heads(files: Files, heads: tuple[str, ...] = (SPARSE_HEAD, COLBERT_HEAD)) -> DenseModel:
    """Describe the dense model of some files, and some of its heads as files that it needs.

    Args:
        files: The files; both heads must be among them.
        heads: Those that are needed.

    Returns:
        The description of the dense model.

    Raises:
        UnsupportedModelError: A head is missing; and whatever the description of a dense model raises.
    """
    from onnxembed.text.discovery import describe

    if not has_heads(files):
        raise UnsupportedModelError(
            f"{files.where} lacks {SPARSE_HEAD} or {COLBERT_HEAD}; expected a model like BAAI/bge-m3, which has both. "
            "TextEmbedding, SparseTextEmbedding and LateInteractionTextEmbedding open models with one of its results"
        )
    model = describe(files)
    if any(prompt for _, prompt in model.named_prompts) or model.default_prompt:
        raise UnsupportedModelError(
            f"{files.where} says what is put before texts, which no model with {SPARSE_HEAD} is known to have; open it "
            "as a dense model, with TextEmbedding"
        )
    return replace(model, additional_files=(*model.additional_files, *heads))
