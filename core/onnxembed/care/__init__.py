"""What keeps an installation well: models brought ahead, and the machine examined.

`download_model` and `examine` are public. ``onnxembed cache`` looks after the cache, and ``onnxembed wheel`` writes
wheels that stand in: the modules behind these two commands are internal, and change without notice.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnxembed.care.doctor import examine
    from onnxembed.care.download import DownloadedModel, download_model
    from onnxembed.care.finding import Finding
    from onnxembed.care.verify import CheckedFile

__all__ = ["CheckedFile", "DownloadedModel", "Finding", "download_model", "examine"]

# Loaded on first use: the one opens models of all kinds, the other asks the system.
_HOMES = {
    "CheckedFile": "verify",
    "DownloadedModel": "download",
    "Finding": "finding",
    "download_model": "download",
    "examine": "doctor",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
