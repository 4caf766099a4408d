"""The known models, as data: one TOML file a kind, read once and checked strictly."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnxembed.models.spec import DenseModel

__all__ = ["dense_models"]


@cache
def dense_models() -> tuple[DenseModel, ...]:
    """Give the known dense text models.

    Returns:
        The models of ``dense.toml``, in the order of the file.
    """
    from pkgutil import get_data

    from onnxembed.models.catalog.rows import read_dense_models

    # get_data instead of importlib.resources: it works from zip files too and is imported in a tenth of the time.
    content = get_data(__name__, "dense.toml")
    return read_dense_models(b"" if content is None else content, "dense.toml")
