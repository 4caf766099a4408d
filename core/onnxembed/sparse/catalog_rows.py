"""Reading the catalogue of sparse text models."""

from __future__ import annotations

from onnxembed.catalog.table import Table, read_rows, read_sources, refuse_equal_names
from onnxembed.errors import InputError
from onnxembed.sparse.spec import SparseKind, SparseModel


def read_sparse_models(content: bytes, file_name: str) -> tuple[SparseModel, ...]:
    """Read the ``[[model]]`` tables of sparse text models.

    Args:
        content: The TOML text, in UTF-8.
        file_name: What messages call it.

    Returns:
        The models in the order of the file.

    Raises:
        InputError: The text is not TOML, or a row has an unknown, missing or mistyped value; the message names the row
            and the key.
    """
    models = tuple(_sparse_model(row) for row in read_rows(content, file_name))
    refuse_equal_names(models, file_name)
    return models


def _sparse_model(row: Table) -> SparseModel:
    model = SparseModel(
        name=row.filled("name"),
        sources=read_sources(row),
        kind=_kind(row),
        model_file=row.filled("model_file"),
        additional_files=row.many("additional_files", str),
        output=_output(row),
        requires_idf=bool(row.optional("requires_idf", bool)),
        vocab_size=row.optional("vocab_size", int) or 0,
        max_tokens=row.optional("max_tokens", int),
        license=row.filled("license"),
        size_in_gb=row.required("size_in_gb", float),
        description=row.filled("description"),
    )
    row.close()
    return model


def _kind(row: Table) -> SparseKind:
    value = row.required("kind", str)
    try:
        return SparseKind(value)
    except ValueError as error:
        raise row.refusal("kind", f"{value!r} is none of {', '.join(kind.value for kind in SparseKind)}") from error


def _output(row: Table) -> int | str:
    # The one key with two types: a position or a name.
    try:
        position = row.optional("output", int)
    except InputError:
        return row.required("output", str)
    return 0 if position is None else position
