"""Embeddings on ONNX Runtime, without PyTorch.

Names are loaded on first use, so importing this package costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnxembed.errors import OnnxEmbedError
    from onnxembed.models.spec import ModelSource, PoolingType
    from onnxembed.runtime.providers import Device
    from onnxembed.text.embedding import TextEmbedding

__version__ = "0.1.0"

__all__ = ["Device", "ModelSource", "OnnxEmbedError", "PoolingType", "TextEmbedding", "__version__"]

_HOMES = {
    "Device": "onnxembed.runtime.providers",
    "ModelSource": "onnxembed.models.spec",
    "OnnxEmbedError": "onnxembed.errors",
    "PoolingType": "onnxembed.models.spec",
    "TextEmbedding": "onnxembed.text.embedding",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
