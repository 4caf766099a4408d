"""Reading the catalogue of image models."""

from __future__ import annotations

from onnxembed.catalog.table import Table, read_rows, read_sources, refuse_equal_names
from onnxembed.errors import InputError
from onnxembed.image.spec import IMAGE_POOLINGS, ImageModel
from onnxembed.spec import PoolingType


def read_image_models(content: bytes, file_name: str) -> tuple[ImageModel, ...]:
    """Read the ``[[model]]`` tables of image models.

    Args:
        content: The TOML text, in UTF-8.
        file_name: What messages call it.

    Returns:
        The models in the order of the file.

    Raises:
        InputError: The text is not TOML, or a row has an unknown, missing, mistyped or impossible value; the message
            names the row and the key.
    """
    models = tuple(_model(row) for row in read_rows(content, file_name))
    refuse_equal_names(models, file_name)
    return models


def _model(row: Table) -> ImageModel:
    dim = row.required("dim", int)
    if dim < 1:
        raise row.refusal("dim", f"{dim} is no length of a vector; give 1 or more")
    model = ImageModel(
        name=row.filled("name"),
        sources=read_sources(row),
        dim=dim,
        model_file=row.filled("model_file"),
        additional_files=row.many("additional_files", str),
        pooling=_pooling(row),
        normalize=row.required("normalize", bool),
        output=_output(row),
        text_model=row.optional("text_model", str),
        license=row.filled("license"),
        size_in_gb=row.required("size_in_gb", float),
        description=row.filled("description"),
    )
    row.close()
    return model


def _pooling(row: Table) -> PoolingType:
    value = row.required("pooling", str)
    if value not in IMAGE_POOLINGS:
        raise row.refusal("pooling", f"{value!r} is none of {', '.join(kind.value for kind in IMAGE_POOLINGS)}")
    return PoolingType(value)


def _output(row: Table) -> int | str:
    # The one key with two types: a position or a name.
    try:
        position = row.optional("output", int)
    except InputError:
        return row.required("output", str)
    return 0 if position is None else position
