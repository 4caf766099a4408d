"""The two heads that BGE-M3 has beside a dense model: a weight, and a vector, of each token (Chen et al., 2024).

They are published as PyTorch's files of tensors, which are read without running anything in them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from onnxembed.errors import ModelError
from onnxembed.formats.torch_file import read_torch_file
from onnxembed.hub.files import FolderFiles
from onnxembed.text.stages import DenseLayer
from onnxembed.text.tokenizer_rules import token_text
from onnxembed.text.vector_stage import Activation

if TYPE_CHECKING:
    from onnxembed.text.tokenizer import TextTokenizer

# Tokens without a weight, and what XLM-RoBERTa calls them where no file does.
_LEFT_OUT = {"cls_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
_TOKEN_FILES = ("special_tokens_map.json", "tokenizer_config.json")


def load_head(path: Path, outputs: int | None = None) -> DenseLayer:
    """Load a head.

    Args:
        path: The file.
        outputs: Numbers that it makes of a token's vector; ``None`` for any.

    Returns:
        The layer, float32.

    Raises:
        UnsafeModelError: The file asks for anything but tensors.
        ModelError: It is missing or damaged, or holds no linear layer with a bias.
    """
    tensors = {name: np.array(tensor, np.float32) for name, tensor in read_torch_file(path).items()}
    weight, bias = tensors.get("weight"), tensors.get("bias")
    if tensors.keys() != {"weight", "bias"} or weight is None or bias is None:
        raise ModelError(f"{path} holds {', '.join(sorted(tensors)) or 'nothing':.200}; expected bias, weight")
    if weight.ndim != 2 or bias.shape != weight.shape[:1] or outputs not in (None, len(weight)):
        wanted = "outputs" if outputs is None else outputs
        raise ModelError(
            f"{path}: weight has the shape {list(weight.shape)} and bias {list(bias.shape)}; expected "
            f"[{wanted}, inputs] and [{wanted}]"
        )
    if not np.isfinite(weight).all() or not np.isfinite(bias).all():
        raise ModelError(f"{path} holds numbers that are not finite; fetch the file again")
    return DenseLayer(weight, bias, Activation.IDENTITY)


def left_out_ids(folder: Path, tokenizer: TextTokenizer) -> list[int]:
    """Give the ids of the tokens that have no weight: those of beginning, end, padding and the unknown."""
    files = FolderFiles(folder)
    stored = [files.json_object(name) for name in _TOKEN_FILES]
    ids = []
    for key, usual in _LEFT_OUT.items():
        name = next((text for config in stored if (text := token_text(config.get(key))) is not None), usual)
        number = tokenizer.backend.token_to_id(name)
        ids += [] if number is None else [number]
    return ids
