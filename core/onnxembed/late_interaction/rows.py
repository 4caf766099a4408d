"""Reading the catalogue of late-interaction text models."""

from __future__ import annotations

from onnxembed.catalog.table import Table, read_rows, read_sources, refuse_equal_names
from onnxembed.late_interaction.spec import LateInteractionModel, SkipRule


def read_late_interaction_models(content: bytes, file_name: str) -> tuple[LateInteractionModel, ...]:
    """Read the ``[[model]]`` tables of late-interaction text models.

    Args:
        content: The TOML text, in UTF-8.
        file_name: What messages call it.

    Returns:
        The models in the order of the file.

    Raises:
        InputError: The text is not TOML, or a row has an unknown, missing, mistyped or contradictory value; the message
            names the row and the key.
    """
    models = tuple(_model(row) for row in read_rows(content, file_name))
    refuse_equal_names(models, file_name)
    return models


def _model(row: Table) -> LateInteractionModel:
    model = LateInteractionModel(
        name=row.filled("name"),
        sources=read_sources(row),
        dim=_at_least(row, "dim", 1),
        model_file=row.filled("model_file"),
        additional_files=row.many("additional_files", str),
        query_marker=_at_least(row, "query_marker", 0),
        document_marker=_at_least(row, "document_marker", 0),
        mask_token=row.filled("mask_token"),
        query_length=row.optional("query_length", int),
        attend_to_expansion=row.required("attend_to_expansion", bool),
        marker_in_limit=row.required("marker_in_limit", bool),
        skip_rule=_skip_rule(row),
        drop_padding_token=row.required("drop_padding_token", bool),
        normalize_queries=row.required("normalize_queries", bool),
        max_tokens=row.optional("max_tokens", int),
        license=row.filled("license"),
        size_in_gb=row.required("size_in_gb", float),
        description=row.filled("description"),
    )
    row.close()
    if model.query_length is not None and model.query_length < 1:
        raise row.refusal("query_length", f"{model.query_length} is no length; give 1 or more, or leave it out")
    if model.query_length is None and model.attend_to_expansion:
        raise row.refusal("attend_to_expansion", "there is no expansion without query_length; give both or false")
    return model


def _at_least(row: Table, key: str, least: int) -> int:
    value = row.required(key, int)
    if value < least:
        raise row.refusal(key, f"{value} is too small; give {least} or more")
    return value


def _skip_rule(row: Table) -> SkipRule:
    value = row.required("skip_rule", str)
    try:
        return SkipRule(value)
    except ValueError as error:
        raise row.refusal("skip_rule", f"{value!r} is none of {', '.join(rule.value for rule in SkipRule)}") from error
