"""The known models, as data: one TOML file a kind, read once and checked strictly."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnxembed.image.spec import ImageModel
    from onnxembed.late_interaction.spec import LateInteractionModel
    from onnxembed.multimodal.spec import MultimodalModel
    from onnxembed.rerank.spec import CrossEncoderModel
    from onnxembed.sparse.spec import SparseModel
    from onnxembed.spec import DenseModel

__all__ = [
    "dense_models",
    "image_models",
    "late_interaction_models",
    "multimodal_models",
    "rerank_models",
    "sparse_models",
]


@cache
def dense_models() -> tuple[DenseModel, ...]:
    """Give the known dense text models.

    Returns:
        The models of ``dense.toml``, in the order of the file.
    """
    from pkgutil import get_data

    from onnxembed.text.rows import read_dense_models

    # get_data instead of importlib.resources: it works from zip files too and is imported in a tenth of the time.
    content = get_data(__name__, "dense.toml")
    return read_dense_models(b"" if content is None else content, "dense.toml")


@cache
def rerank_models() -> tuple[CrossEncoderModel, ...]:
    """Give the known cross-encoders.

    Returns:
        The models of ``rerank.toml``, in the order of the file.
    """
    from pkgutil import get_data

    from onnxembed.rerank.rows import read_rerank_models

    content = get_data(__name__, "rerank.toml")
    return read_rerank_models(b"" if content is None else content, "rerank.toml")


@cache
def sparse_models() -> tuple[SparseModel, ...]:
    """Give the known sparse text models.

    Returns:
        The models of ``sparse.toml``, in the order of the file.
    """
    from pkgutil import get_data

    from onnxembed.sparse.catalog_rows import read_sparse_models

    content = get_data(__name__, "sparse.toml")
    return read_sparse_models(b"" if content is None else content, "sparse.toml")


@cache
def late_interaction_models() -> tuple[LateInteractionModel, ...]:
    """Give the known late-interaction text models.

    Returns:
        The models of ``late_interaction.toml``, in the order of the file.
    """
    from pkgutil import get_data

    from onnxembed.late_interaction.rows import read_late_interaction_models

    content = get_data(__name__, "late_interaction.toml")
    return read_late_interaction_models(b"" if content is None else content, "late_interaction.toml")


@cache
def image_models() -> tuple[ImageModel, ...]:
    """Give the known image models.

    Returns:
        The models of ``image.toml``, in the order of the file.
    """
    from pkgutil import get_data

    from onnxembed.image.rows import read_image_models

    content = get_data(__name__, "image.toml")
    return read_image_models(b"" if content is None else content, "image.toml")


@cache
def multimodal_models() -> tuple[MultimodalModel, ...]:
    """Give the known late-interaction models of texts and pictures.

    Returns:
        The models of ``multimodal.toml``, in the order of the file.
    """
    from pkgutil import get_data

    from onnxembed.multimodal.rows import read_multimodal_models

    content = get_data(__name__, "multimodal.toml")
    return read_multimodal_models(b"" if content is None else content, "multimodal.toml")
