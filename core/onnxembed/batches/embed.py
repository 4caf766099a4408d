"""`EmbedBatches`: rows in, rows with vectors out, as a callable that batch engines send to their workers."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import onnxembed
from onnxembed.api.inputs import at_least, describe_type
from onnxembed.batches.forms import Dense, Form, Matrices, Sparse
from onnxembed.batches.models import model_here
from onnxembed.batches.rows import Rows, described, embed_images, embed_texts, logger
from onnxembed.batches.tables import Table, read_table
from onnxembed.errors import InputError, InputTypeError
from onnxembed.suggest import nearest

if TYPE_CHECKING:
    from onnxembed.batches.spark import SparkFunctions
    from onnxembed.image.model import ImageEmbedding
    from onnxembed.late_interaction.model import LateInteractionTextEmbedding
    from onnxembed.multimodal.model import LateInteractionMultimodalEmbedding
    from onnxembed.sparse.model import SparseTextEmbedding
    from onnxembed.text.model import TextEmbedding

    VectorModel = (
        TextEmbedding
        | SparseTextEmbedding
        | LateInteractionTextEmbedding
        | ImageEmbedding
        | LateInteractionMultimodalEmbedding
    )

InputType = Literal["document", "query"]
OnError = Literal["raise", "skip"]


class EmbedBatches:
    """Adds vectors to batches of rows, for engines such as Ray Data and Spark.

    Only settings travel: a pickled object is small, and each process opens the model once, at its first batch. A batch
    is a dictionary of NumPy arrays, a ``pyarrow.Table`` or ``RecordBatch``, or a ``pandas.DataFrame``, and the result
    is one of the same class with all its rows in their order. The vectors stand in these columns:

    - dense text and images: ``output``, float32: ``fixed_size_list[dim]`` in Arrow, (rows, dim) in NumPy, arrays in
      pandas
    - sparse: ``output`` with ``_indices`` (int64, ascending) and with ``_values`` (float64), a list per row each
    - late interaction, text or pictures: ``output``, float32: a list of vectors per row, in NumPy a (tokens, dim) array

    A row that is null, no text, no image, or too long with ``truncate=False``, is bad: ``on_error`` says what happens.

    Attributes:
        skipped: Rows that were skipped by this object in this process.
    """

    skipped: int

    def __init__(
        self,
        model: str | os.PathLike[str] | VectorModel,
        *,
        column: str = "text",
        output: str = "vector",
        kind: str | None = None,
        input_type: InputType = "document",
        on_error: OnError = "raise",
        id_column: str | None = None,
        error_column: str | None = None,
        threads: int | None = None,
    ) -> None:
        """Check the arguments; no model is opened.

        Args:
            model: A name, a folder, or a repository as `open_model` takes them, which each worker must reach; or an
                object of a model class, with any of its options, such as ``TextEmbedding(name, lazy_load=True,
                truncate=False)``.
            column: The column with the texts; for models of images, with these: paths, bytes, or ``{"bytes", "path"}``.
            output: The name of the columns with the vectors.
            kind: The kind of a model that is given by name, as `open_model` takes it.
            input_type: ``"document"``, or ``"query"`` for the form of queries. For models of late interaction over
                pictures, documents are pictures and queries are texts.
            on_error: ``"raise"``: the first bad row ends the batch, with its number. ``"skip"``: the row stays and its
                vector is null (NaN in a NumPy matrix), a warning in the log counts such rows of the batch, and
                `skipped` those of this object.
            id_column: A column that names the rows in errors.
            error_column: With ``"skip"``, the name of a further column that says why a row has no vector; null for
                others.
            threads: Processors of one inference, with a name; ``None`` for those that Ray or Spark gave the worker, and
                all that the process may use elsewhere. An object of a model has its own.

        Raises:
            InputError: A value is out of range, or does not go with the model.
            InputTypeError: A value has the wrong type.
        """
        self._model = _checked_model(model, kind, threads)
        self._kind, self._threads = kind, threads
        self._column, self._output = _name(column, "column"), _name(output, "output")
        self._input_type: InputType = _choice(input_type, "input_type", ("document", "query"))
        self._skips = _choice(on_error, "on_error", ("raise", "skip")) == "skip"
        self._id_column = None if id_column is None else _name(id_column, "id_column")
        self._error_column = None if error_column is None else _name(error_column, "error_column")
        if self._error_column is not None and not self._skips:
            raise InputError("error_column goes with on_error='skip'; with 'raise' the error itself names the row")
        self.skipped = 0

    def __getstate__(self) -> dict[str, Any]:
        here = "model", "form"  # made again in the process that uses them
        return {**{name: value for name, value in self.__dict__.items() if name not in here}, "skipped": 0}

    @cached_property
    def model(self) -> Any:
        """The model's object in this process; its weights are loaded by the first batch."""
        return _with_vectors(model_here(self._model, self._kind, self._threads))

    def __call__(self, batch: Any) -> Any:
        """Embed a batch.

        Args:
            batch: A batch with the column.

        Returns:
            It with the vectors, as a new object.

        Raises:
            InputError: A column is missing or there already, or a row is bad and ``on_error`` is ``"raise"``.
            InputTypeError: The batch is of an unknown class.
        """
        return self.table(read_table(batch))

    def for_spark(self) -> SparkFunctions:
        """Give the functions that Spark takes: for ``mapInArrow``, ``mapInPandas`` and as a ``pandas_udf``."""
        from onnxembed.batches.spark import SparkFunctions

        return SparkFunctions(self)

    def table(self, table: Table) -> Any:
        """Embed a batch that was recognised already; otherwise as calling it."""
        present, form = table.names(), self.form
        _expect(self._column, present, "column")
        names = self.new_names(present)
        identities = None
        if self._id_column is not None:
            _expect(self._id_column, present, "id_column")
            identities = table.items(self._id_column)
        rows = self.rows(table.items(self._column), identities)
        texts = {} if self._error_column is None else {self._error_column: self._reasons(rows, identities)}
        return table.joined(names, form, rows.vectors, texts)

    def new_names(self, present: Sequence[str]) -> tuple[str, ...]:
        """Give the names of the columns of vectors; an InputError if the batch has one of the new columns already."""
        names = self.form.names(self._output)
        for name in (*names, *self.further_names):
            if name in present:
                raise InputError(f"the batch has a column {name!r} already; pass another output= or error_column=")
        return names

    @property
    def further_names(self) -> tuple[str, ...]:
        """The name of the column with the reasons, if there is one."""
        return () if self._error_column is None else (self._error_column,)

    @cached_property
    def form(self) -> Form:
        """How the model's vectors become columns; loads no weights."""
        return _form(self.model)

    def rows(self, items: Sequence[object], identities: Sequence[object] | None = None) -> Rows:
        """Embed the items of a column; bad ones raise, or are counted."""
        rows = self.attempt(items)
        if rows.errors:
            self._report(rows, identities)
        return rows

    def attempt(self, items: Sequence[object]) -> Rows:
        """Embed the items of a column, and give the reasons of the bad ones; with ``on_error="raise"`` of the first."""
        model = self.model
        if isinstance(model, onnxembed.ImageEmbedding):
            if self._input_type == "query":
                raise InputError(
                    "input_type='query': a model of images has no queries; embed questions with its text half, by "
                    "TextEmbedding"
                )
            return embed_images(model.embed, items, skips=self._skips)
        if isinstance(model, onnxembed.LateInteractionMultimodalEmbedding) and self._input_type == "document":
            return embed_images(model.embed_image, items, skips=self._skips)
        return embed_texts(self._text_method(), items, skips=self._skips)

    def _text_method(self) -> Callable[[list[str]], Any]:
        if isinstance(self.model, onnxembed.LateInteractionMultimodalEmbedding):
            return self.model.embed_query
        method: Callable[[list[str]], Any] = (
            self.model.query_embed if self._input_type == "query" else self.model.passage_embed
        )
        return method

    def _report(self, rows: Rows, identities: Sequence[object] | None) -> None:
        row, error = min(rows.errors.items())
        said = self._described(row, rows, identities)
        if not self._skips:
            raise (InputTypeError if isinstance(error, InputTypeError) else InputError)(said) from error
        self.skipped += len(rows.errors)
        logger.warning("skipped %d of %d rows of a batch; the first: %s", len(rows.errors), len(rows.vectors), said)

    def _reasons(self, rows: Rows, identities: Sequence[object] | None) -> list[str | None]:
        return [
            self._described(row, rows, identities) if row in rows.errors else None for row in range(len(rows.vectors))
        ]

    def _described(self, row: int, rows: Rows, identities: Sequence[object] | None) -> str:
        identity = None if identities is None or self._id_column is None else (self._id_column, identities[row])
        return described(row, self._column, identity, rows.errors[row])


def _form(model: Any) -> Form:
    if isinstance(model, onnxembed.SparseTextEmbedding):
        return Sparse()
    dim: Callable[[], int] = lambda: int(model.embedding_size)  # noqa: E731
    late = onnxembed.LateInteractionTextEmbedding | onnxembed.LateInteractionMultimodalEmbedding
    return Matrices(dim) if isinstance(model, late) else Dense(dim)


_WITH_VECTORS = (
    "TextEmbedding",
    "SparseTextEmbedding",
    "LateInteractionTextEmbedding",
    "ImageEmbedding",
    "LateInteractionMultimodalEmbedding",
)


def _checked_model(model: Any, kind: str | None, threads: int | None) -> Any:
    if kind is not None:
        from onnxembed.kinds import kind_named  # it loads all kinds

        if kind_named(kind).name == "rerank":
            raise InputError("kind='rerank' gives scores of pairs, no vectors; pass a model of another kind")
    if threads is not None:
        at_least(1)(threads, "threads")
    if isinstance(model, str | os.PathLike):
        return os.fspath(model)
    _with_vectors(model)
    if kind is not None or threads is not None:
        given = "kind" if kind is not None else "threads"
        raise InputError(f"{given} goes with a model's name; an object of a model class has its own")
    return model


def _with_vectors(model: Any) -> Any:
    if not isinstance(model, tuple(getattr(onnxembed, name) for name in _WITH_VECTORS)):
        raise InputTypeError(
            f"model is {describe_type(model)}; expected a name, a folder, or an object of {', '.join(_WITH_VECTORS)}"
        )
    return model


def _name(value: object, name: str) -> str:
    if not isinstance(value, str) or not value:
        raise InputTypeError(f"{name}={value!r}: expected the name of a column")
    return value


def _choice(value: Any, name: str, choices: tuple[str, ...]) -> Any:
    if value not in choices:
        expected = " or ".join(map(repr, choices))
        raise InputError(f"{name}={value!r}: expected {expected}.{nearest(str(value), choices)}")
    return value


def _expect(column: str, present: Sequence[str], argument: str) -> None:
    if column not in present:
        raise InputError(
            f"{argument}={column!r}: the batch has no such column; it has {', '.join(map(repr, present)) or 'none'}."
            f"{nearest(column, present)}"
        )
