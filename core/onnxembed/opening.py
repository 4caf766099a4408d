"""`open_model` and `export_model`: a model of any kind by its name or its folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, TypeAlias, cast

import onnxembed
from onnxembed.api.options import EngineOptions, settings_of
from onnxembed.kinds import kind_named, kind_of
from onnxembed.runtime.precision import Precision

if TYPE_CHECKING:
    from onnxembed.hub.token import HubToken
    from onnxembed.image.model import ImageEmbedding
    from onnxembed.late_interaction.model import LateInteractionTextEmbedding
    from onnxembed.m3.model import M3Embedding
    from onnxembed.multimodal.model import LateInteractionMultimodalEmbedding
    from onnxembed.rerank.model import TextCrossEncoder
    from onnxembed.sparse.model import SparseTextEmbedding
    from onnxembed.text.model import TextEmbedding

    AnyModel: TypeAlias = (
        TextEmbedding
        | SparseTextEmbedding
        | LateInteractionTextEmbedding
        | TextCrossEncoder
        | ImageEmbedding
        | LateInteractionMultimodalEmbedding
    )


P = ParamSpec("P")


class _Opening(Protocol[P]):
    """A function of a name, a kind, and the options that every model has."""

    def __call__(
        self, model_name: str | os.PathLike[str], kind: str | None = None, *args: P.args, **kwargs: P.kwargs
    ) -> AnyModel:
        """Open a model."""
        ...


def _with_options(
    options: Callable[Concatenate[str | os.PathLike[str], P], EngineOptions],
) -> Callable[[Callable[[EngineOptions, str | None], AnyModel]], _Opening[P]]:
    """Give a function the fields of an options class as parameters, the kind after the model's name."""

    def decorate(opening: Callable[[EngineOptions, str | None], AnyModel]) -> _Opening[P]:
        @wraps(opening)
        def opened(
            model_name: str | os.PathLike[str], kind: str | None = None, *args: P.args, **kwargs: P.kwargs
        ) -> AnyModel:
            return opening(options(model_name, *args, **kwargs), kind)

        name, *further = signature(options).parameters.values()
        chosen = Parameter("kind", Parameter.POSITIONAL_OR_KEYWORD, default=None, annotation="str | None")
        cast("Any", opened).__signature__ = Signature([name, chosen, *further], return_annotation="AnyModel")
        return opened

    return decorate


@_with_options(EngineOptions)
def open_model(options: EngineOptions, kind: str | None) -> AnyModel:
    """Open a model of any kind. Options that only some kinds have are those of the kind's class: call that for them.

    Args:
        options: The options that every model has, each as an argument: those of `EngineOptions`. The model's name is
            one that the class of some kind lists, in any case, or the path of a folder with a model's files.
        kind: ``"dense"``, ``"sparse"``, ``"late_interaction"``, ``"rerank"``, ``"image"`` or ``"multimodal"``; ``None``
            for what the name or the folder's files say.

    Returns:
        An object of the class of its kind.

    Raises:
        UnknownModelError: No kind has a model of that name; the nearest names of all kinds are offered.
        InputError: The kind is unknown, or several kinds fit and ``kind`` does not choose; and as the class raises it.
        UnsupportedModelError: The folder's files are those of no kind.
        ModelNotFoundError: The folder does not exist, or no source could give the files.
    """
    chosen = kind_of(options) if kind is None else kind_named(kind)
    model_class = getattr(onnxembed, chosen.model_class)
    return cast("AnyModel", model_class(**settings_of(options), lazy_load=options.lazy_load))


M3_KIND = "m3"
"""What `export_model` calls models with three results in one pass, which `M3Embedding` opens."""


def export_model(
    model_name: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    kind: str | None = None,
    *,
    precision: Precision | str | None = None,
    model_file: str | None = None,
    variant: str | None = None,
    revision: str | None = None,
    accept_unknown: Sequence[str] = (),
    cache_dir: str | os.PathLike[str] | None = None,
    local_files_only: bool = False,
    token: HubToken | str | bool | None = None,
) -> Path:
    """Write a model into one folder that opens without a cache, without Hub code, and without being written to.

    Args:
        model_name: A name of the catalogue, a folder, or a Hub repository.
        folder: A folder that is not there yet, or an empty one.
        kind: As for `open_model`, or ``"m3"`` for the three results of BGE-M3 in one pass.
        precision: This and the following arguments are those of the model classes; it decides the graph.
        model_file: As there.
        variant: As there.
        revision: As there.
        accept_unknown: As there.
        cache_dir: As there.
        local_files_only: As there.
        token: As there.

    Returns:
        The folder's absolute path, which opens the model.

    Raises:
        InputError: If the folder is not empty; and as opening raises it.
        UnsupportedModelError: If the model needs no files (BM25), or one folder cannot hold it.
        ModelNotFoundError: If the files cannot be had, or the folder cannot be written.
    """
    options = EngineOptions(
        model_name,
        lazy_load=True,
        precision=precision,
        model_file=model_file,
        variant=variant,
        revision=revision,
        accept_unknown=accept_unknown,
        cache_dir=cache_dir,
        local_files_only=local_files_only,
        token=token,
    )
    return opened_lazily(options, kind).export(folder)


def opened_lazily(options: EngineOptions, kind: str | None) -> AnyModel | M3Embedding:
    """Open a model of any kind, ``"m3"`` included, without looking for its files.

    Args:
        options: The options that every model has.
        kind: As for `open_model`, or ``"m3"``.

    Returns:
        An object of the class of its kind.
    """
    own = settings_of(options) | {"lazy_load": True}
    if kind == M3_KIND:
        return onnxembed.M3Embedding(**own)
    chosen = kind_of(options) if kind is None else kind_named(kind)
    return cast("AnyModel", getattr(onnxembed, chosen.model_class)(**own))
