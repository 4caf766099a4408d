"""`open_model`: a model of any kind by its name or its folder. It stands above the kinds, none of which knows it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, TypeAlias, cast

import onnxembed
import onnxembed.image.discovery
import onnxembed.late_interaction.discovery
import onnxembed.multimodal.discovery
import onnxembed.rerank.discovery
import onnxembed.sparse.discovery
import onnxembed.text.discovery
from onnxembed.api.find import chosen_files, named_folder, stated_name
from onnxembed.api.options import EngineOptions, settings_of
from onnxembed.catalog.registry import Registry, unknown_name
from onnxembed.errors import (
    InputError,
    ModelNotFoundError,
    OnnxEmbedError,
    UnknownModelError,
    UnsupportedModelError,
)
from onnxembed.hub.cache import is_repository_name
from onnxembed.hub.files import Files, FolderFiles
from onnxembed.image.known import image_registry
from onnxembed.late_interaction.known import late_interaction_registry
from onnxembed.multimodal.known import multimodal_registry
from onnxembed.rerank.known import rerank_registry
from onnxembed.sparse.known import sparse_registry
from onnxembed.suggest import nearest
from onnxembed.text.known import dense_registry

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


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of models.

    Attributes:
        name: What ``kind=`` calls it.
        model_class: The public class, loaded when a model of the kind is opened.
        registry: Its known models.
        matches: Whether some files are those of a model of this kind.
        built_on: The kinds that its models extend, and whose files theirs therefore look like.
    """

    name: str
    model_class: str
    registry: Registry[Any]
    matches: Callable[[Files], bool]
    built_on: tuple[str, ...] = ()


_KINDS = (
    _Kind("dense", "TextEmbedding", dense_registry, onnxembed.text.discovery.matches),
    _Kind("sparse", "SparseTextEmbedding", sparse_registry, onnxembed.sparse.discovery.matches, ("dense",)),
    _Kind(
        "late_interaction",
        "LateInteractionTextEmbedding",
        late_interaction_registry,
        onnxembed.late_interaction.discovery.matches,
        ("dense",),
    ),
    _Kind("rerank", "TextCrossEncoder", rerank_registry, onnxembed.rerank.discovery.matches, ("dense",)),
    _Kind("image", "ImageEmbedding", image_registry, onnxembed.image.discovery.matches),
    _Kind(
        "multimodal",
        "LateInteractionMultimodalEmbedding",
        multimodal_registry,
        onnxembed.multimodal.discovery.matches,
        ("dense", "image"),
    ),
)


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
    chosen = _found(options) if kind is None else _named(kind)
    model_class = getattr(onnxembed, chosen.model_class)
    return cast("AnyModel", model_class(**settings_of(options), lazy_load=options.lazy_load))


def _named(kind: str) -> _Kind:
    for candidate in _KINDS:
        if candidate.name == kind:
            return candidate
    names = [candidate.name for candidate in _KINDS]
    raise InputError(
        f"kind={kind!r} is unknown; expected one of {', '.join(map(repr, names))}.{nearest(str(kind), names)}"
    )


def _found(options: EngineOptions) -> _Kind:
    """The kind of a name, which comes before a folder of the same name, of a folder, or of a Hub repository."""
    name = stated_name(options.model_name)
    holders = [kind for kind in _KINDS if kind.registry.holds(name)]
    if holders:
        return _only(holders, f"{name!r} names")
    folder = named_folder(options.model_name)
    if folder is not None:
        return _by_files(FolderFiles(folder), options)
    models = tuple(model for kind in _KINDS for model in kind.registry.models())
    if not is_repository_name(name):
        raise UnknownModelError(
            f"{unknown_name(name, models)} list_supported_models() of each class lists the names of its kind; a local "
            "folder with a model's files, or a repository of the Hub, 'org/name', may be given instead"
        )
    from onnxembed.api.repository import open_files

    return _by_files(open_files(name, options, models, "list_supported_models() of each class"), options)


def _by_files(files: Files, options: EngineOptions) -> _Kind:
    fitting = _fitting(files, options)
    if not fitting:
        raise UnsupportedModelError(
            f"the files in {files.where} do not say of which kind their model is; pass kind=, one of "
            f"{', '.join(repr(kind.name) for kind in _KINDS)}, for an error that says what that kind expects"
        )
    return _only(fitting, f"the files in {files.where} fit")


def _fitting(files: Files, options: EngineOptions) -> list[_Kind]:
    """The kinds that files fit, but those that another one of them is built on."""
    fitting, refusals = list[_Kind](), list[OnnxEmbedError]()
    for kind in _KINDS:
        try:
            files = chosen_files(files, options, kind.registry.kind)  # the names of graphs differ between kinds
        except (ModelNotFoundError, UnsupportedModelError) as error:
            refusals.append(error)
            continue
        if kind.matches(files):
            fitting.append(kind)
    if refusals and not fitting:
        raise refusals[0]
    extended = {name for kind in fitting for name in kind.built_on}
    return [kind for kind in fitting if kind.name not in extended]


def _only(kinds: Sequence[_Kind], what: str) -> _Kind:
    if len(kinds) == 1:
        return kinds[0]
    names = [kind.name for kind in kinds]
    raise InputError(
        f"{what} models of {len(names)} kinds ({', '.join(names)}); choose one with "
        f"{' or '.join(f'kind={name!r}' for name in names)}"
    )
