"""Reading the catalogue of dense text models."""

from __future__ import annotations

from onnxembed.catalog.table import Table, read_rows, read_sources, refuse_equal_names
from onnxembed.errors import InputError
from onnxembed.spec import DenseModel, Matryoshka, PoolingType, Prompts


def read_dense_models(content: bytes, file_name: str) -> tuple[DenseModel, ...]:
    """Read the ``[[model]]`` tables of dense text models.

    Args:
        content: The TOML text, in UTF-8.
        file_name: What messages call it.

    Returns:
        The models in the order of the file.

    Raises:
        InputError: The text is not TOML, or a row has an unknown, missing, mistyped or contradictory value; the message
            names the row and the key.
    """
    models = tuple(_dense_model(row) for row in read_rows(content, file_name))
    refuse_equal_names(models, file_name)
    return models


def _dense_model(row: Table) -> DenseModel:
    dim = row.required("dim", int)
    if dim < 1:
        raise row.refusal("dim", f"{dim} is no length of a vector; give 1 or more")
    model = DenseModel(
        name=row.filled("name"),
        sources=read_sources(row),
        dim=dim,
        model_file=row.filled("model_file"),
        additional_files=row.many("additional_files", str),
        pooling=_pooling(row),
        normalize=row.required("normalize", bool),
        output=_output(row),
        static=bool(row.optional("static", bool)),
        pad_to_max_length=bool(row.optional("pad_to_max_length", bool)),
        tasks=row.pairs("tasks", int),
        default_task=row.optional("default_task", int),
        query_task=row.optional("query_task", int),
        passage_task=row.optional("passage_task", int),
        prompts=_prompts(row),
        matryoshka=_matryoshka(row, dim),
        max_tokens=row.optional("max_tokens", int),
        license=row.filled("license"),
        size_in_gb=row.required("size_in_gb", float),
        description=row.filled("description"),
        prompt_source=row.filled("prompt_source"),
    )
    row.close()
    _refuse_unknown_tasks(row, model)
    return model


def _pooling(row: Table) -> PoolingType:
    value = row.required("pooling", str)
    try:
        return PoolingType(value)
    except ValueError as error:
        raise row.refusal("pooling", f"{value!r} is none of {', '.join(kind.value for kind in PoolingType)}") from error


def _output(row: Table) -> int | str:
    # The one key with two types: a position or a name.
    try:
        position = row.optional("output", int)
    except InputError:
        return row.required("output", str)
    return 0 if position is None else position


def _prompts(row: Table) -> Prompts:
    table = row.table("prompts")
    if table is None:
        return Prompts()
    prompts = Prompts(query=table.optional("query", str) or "", passage=table.optional("passage", str) or "")
    table.close()
    return prompts


def _matryoshka(row: Table, dim: int) -> Matryoshka | None:
    table = row.table("matryoshka")
    if table is None:
        return None
    dims = table.many("dims", int)
    if list(dims) != sorted(set(dims), reverse=True) or any(not 1 <= length <= dim for length in dims):
        raise table.refusal("dims", f"{list(dims)} must fall from at most {dim} to at least 1, each length once")
    matryoshka = Matryoshka(dims=dims, layer_norm=bool(table.optional("layer_norm", bool)))
    table.close()
    return matryoshka


def _refuse_unknown_tasks(row: Table, model: DenseModel) -> None:
    known = {number for _, number in model.tasks}
    if len(known) != len(model.tasks):
        raise row.refusal("tasks", "two names have the same number; give each its own")
    for key in ("default_task", "query_task", "passage_task"):
        number = getattr(model, key)
        if (number is None) == bool(known) or (number is not None and number not in known):
            raise row.refusal(key, f"{number} is not among the tasks {sorted(known)}; give all three, or no tasks")
