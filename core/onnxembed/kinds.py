"""The kinds of models, and which of them a name, a folder or a repository is of. The kinds do not know each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from onnxembed.api.find import chosen_files, named_folder, stated_name
from onnxembed.api.options import EngineOptions
from onnxembed.catalog.registry import Registry, unknown_name
from onnxembed.errors import (
    InputError,
    ModelNotFoundError,
    OnnxEmbedError,
    UnknownModelError,
    UnsupportedModelError,
)
from onnxembed.hub.cache import is_repository_name
from onnxembed.hub.exported import manifest_of
from onnxembed.hub.files import Files, FolderFiles
from onnxembed.image import discovery as image_files
from onnxembed.image.known import image_registry
from onnxembed.late_interaction import discovery as late_interaction_files
from onnxembed.late_interaction.known import late_interaction_registry
from onnxembed.multimodal import discovery as multimodal_files
from onnxembed.multimodal.known import multimodal_registry
from onnxembed.rerank import discovery as rerank_files
from onnxembed.rerank.known import rerank_registry
from onnxembed.sparse import discovery as sparse_files
from onnxembed.sparse.known import sparse_registry
from onnxembed.suggest import nearest
from onnxembed.text import discovery as text_files
from onnxembed.text.known import dense_registry


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of models.

    Attributes:
        name: What ``kind=`` calls it.
        model_class: The public class, loaded when a model of the kind is opened.
        registry: Its known models.
        matches: Whether some files are those of a model of this kind.
        describe: Describes a model of this kind by its files.
        built_on: The kinds that its models extend, and whose files theirs therefore look like.
    """

    name: str
    model_class: str
    registry: Registry[Any]
    matches: Callable[[Files], bool]
    describe: Callable[[Files], Any]
    built_on: tuple[str, ...] = ()


KINDS = (
    Kind("dense", "TextEmbedding", dense_registry, text_files.matches, text_files.describe),
    Kind(
        "sparse",
        "SparseTextEmbedding",
        sparse_registry,
        sparse_files.matches,
        sparse_files.describe,
        ("dense",),
    ),
    Kind(
        "late_interaction",
        "LateInteractionTextEmbedding",
        late_interaction_registry,
        late_interaction_files.matches,
        late_interaction_files.describe,
        ("dense",),
    ),
    Kind(
        "rerank",
        "TextCrossEncoder",
        rerank_registry,
        rerank_files.matches,
        rerank_files.describe,
        ("dense",),
    ),
    Kind("image", "ImageEmbedding", image_registry, image_files.matches, image_files.describe),
    Kind(
        "multimodal",
        "LateInteractionMultimodalEmbedding",
        multimodal_registry,
        multimodal_files.matches,
        multimodal_files.describe,
        ("dense", "image"),
    ),
)


def kind_named(kind: str) -> Kind:
    """Give the kind of a name; an `InputError` for another."""
    for candidate in KINDS:
        if candidate.name == kind:
            return candidate
    names = [candidate.name for candidate in KINDS]
    raise InputError(
        f"kind={kind!r} is unknown; expected one of {', '.join(map(repr, names))}.{nearest(str(kind), names)}"
    )


def kind_of(options: EngineOptions) -> Kind:
    """The kind of a name, which comes before a folder of the same name, of a folder, or of a Hub repository."""
    name = stated_name(options.model_name)
    holders = [kind for kind in KINDS if kind.registry.holds(name)]
    if holders:
        return _only(holders, f"{name!r} names")
    folder = named_folder(options.model_name)
    if folder is not None:
        exported = manifest_of(folder)
        if exported is not None:
            return next(kind for kind in KINDS if kind.model_class == exported.model_class)
        return _by_files(FolderFiles(folder), options)
    models = tuple(model for kind in KINDS for model in kind.registry.models())
    if not is_repository_name(name):
        raise UnknownModelError(
            f"{unknown_name(name, models)} list_supported_models() of each class lists the names of its kind; a local "
            "folder with a model's files, or a repository of the Hub, 'org/name', may be given instead"
        )
    from onnxembed.api.repository import open_files

    return _by_files(open_files(name, options, models, "list_supported_models() of each class"), options)


def _by_files(files: Files, options: EngineOptions) -> Kind:
    fitting = _fitting(files, options)
    if not fitting:
        raise UnsupportedModelError(
            f"the files in {files.where} do not say of which kind their model is; pass kind=, one of "
            f"{', '.join(repr(kind.name) for kind in KINDS)}, for an error that says what that kind expects"
        )
    return _only(fitting, f"the files in {files.where} fit")


def _fitting(files: Files, options: EngineOptions) -> list[Kind]:
    """The kinds that files fit, but those that another one of them is built on."""
    fitting, refusals = list[Kind](), list[OnnxEmbedError]()
    for kind in KINDS:
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


def _only(kinds: Sequence[Kind], what: str) -> Kind:
    if len(kinds) == 1:
        return kinds[0]
    names = [kind.name for kind in kinds]
    raise InputError(
        f"{what} models of {len(names)} kinds ({', '.join(names)}); choose one with "
        f"{' or '.join(f'kind={name!r}' for name in names)}"
    )
