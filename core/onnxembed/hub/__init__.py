"""A model's files: found, fetched, checked and kept.

``locate`` is the way in; the rest is how it does it.
"""

from __future__ import annotations

from onnxembed.hub.external_data import loadable_model_path
from onnxembed.hub.files import Files, FolderFiles
from onnxembed.hub.folder import ModelFolder
from onnxembed.hub.locate import locate, repair
from onnxembed.hub.settings import StoreSettings, TransferLimits, cache_root, own_folder

__all__ = [
    "Files",
    "FolderFiles",
    "ModelFolder",
    "StoreSettings",
    "TransferLimits",
    "cache_root",
    "loadable_model_path",
    "locate",
    "own_folder",
    "repair",
]
