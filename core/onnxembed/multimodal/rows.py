"""Reading the catalogue of late-interaction models of texts and pictures."""

from __future__ import annotations

from onnxembed.catalog.table import Table, read_rows, read_sources, refuse_equal_names
from onnxembed.multimodal.spec import MultimodalKind, MultimodalModel


def read_multimodal_models(content: bytes, file_name: str) -> tuple[MultimodalModel, ...]:
    """Read the ``[[model]]`` tables of late-interaction models of texts and pictures.

    Args:
        content: The TOML text, in UTF-8.
        file_name: What messages call it.

    Returns:
        The models in the order of the file.

    Raises:
        InputError: The text is not TOML, or a row has an unknown, missing or mistyped value; the message names the row
            and the key.
    """
    models = tuple(_model(row) for row in read_rows(content, file_name))
    refuse_equal_names(models, file_name)
    return models


def _model(row: Table) -> MultimodalModel:
    model = MultimodalModel(
        name=row.filled("name"),
        sources=read_sources(row),
        kind=_kind(row),
        dim=row.required("dim", int),
        model_file=row.filled("model_file"),
        additional_files=row.many("additional_files", str),
        max_tokens=row.optional("max_tokens", int),
        license=row.filled("license"),
        size_in_gb=row.required("size_in_gb", float),
        description=row.filled("description"),
    )
    row.close()
    if model.dim < 1:
        raise row.refusal("dim", f"{model.dim} is too small; give 1 or more")
    return model


def _kind(row: Table) -> MultimodalKind:
    value = row.required("kind", str)
    try:
        return MultimodalKind(value)
    except ValueError as error:
        raise row.refusal("kind", f"{value!r} is none of {', '.join(MultimodalKind)}") from error
