"""Reading the catalogue of cross-encoders."""

from __future__ import annotations

from onnxembed.catalog.table import Table, read_rows, read_sources, refuse_equal_names
from onnxembed.rerank.spec import Activation, CrossEncoderModel


def read_rerank_models(content: bytes, file_name: str) -> tuple[CrossEncoderModel, ...]:
    """Read the ``[[model]]`` tables of cross-encoders.

    Args:
        content: The TOML text, in UTF-8.
        file_name: What messages call it.

    Returns:
        The models in the order of the file.

    Raises:
        InputError: The text is not TOML, or a row has an unknown, missing or mistyped value; the message names the row
            and the key.
    """
    models = tuple(_rerank_model(row) for row in read_rows(content, file_name))
    refuse_equal_names(models, file_name)
    return models


def _rerank_model(row: Table) -> CrossEncoderModel:
    model = CrossEncoderModel(
        name=row.filled("name"),
        sources=read_sources(row),
        model_file=row.filled("model_file"),
        additional_files=row.many("additional_files", str),
        activation=_activation(row),
        max_tokens=row.optional("max_tokens", int),
        license=row.filled("license"),
        size_in_gb=row.required("size_in_gb", float),
        description=row.filled("description"),
    )
    row.close()
    return model


def _activation(row: Table) -> Activation:
    value = row.required("activation", str)
    choices = (Activation.RAW.value, Activation.SIGMOID.value)
    if value not in choices:
        raise row.refusal("activation", f"{value!r} is none of {', '.join(choices)}")
    return Activation(value)
