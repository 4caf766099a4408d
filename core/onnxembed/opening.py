"""`open_model`: a model of any kind by its name or its folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, TypeAlias, cast

import onnxembed
from onnxembed.api.options import EngineOptions, settings_of
from onnxembed.kinds import kind_named, kind_of

if TYPE_CHECKING:
    from onnxembed.image.model import ImageEmbedding
    from onnxembed.late_interaction.model import LateInteractionTextEmbedding
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
