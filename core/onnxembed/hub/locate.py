"""From a model's specification to a folder with its files: every source in turn, the ones without requests first."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from onnxembed.errors import IntegrityError, ModelNotFoundError
from onnxembed.hub.folder import (
    ModelFolder,
    StoredModel,
    describe_needs,
    missing_from_any_layout,
    specified_files,
)
from onnxembed.hub.hub_cache import CachedCopy, cached_copy
from onnxembed.hub.integrity import check_published
from onnxembed.hub.settings import StoreSettings, cache_root

if TYPE_CHECKING:
    from collections.abc import Callable

    from onnxembed.spec import ModelSource

logger = logging.getLogger("onnxembed.store")

_QUICK_SECONDS = 3.0
"""Longest waits of the look for optional files: the model works without them, so nobody should wait long."""


@dataclass(slots=True)
class _Search:
    """What was tried, and why it failed.

    Attributes:
        failures: Sources and the reasons, in order.
    """

    failures: list[tuple[str, ModelNotFoundError]] = field(default_factory=list)

    def attempt(self, label: str, action: Callable[[], ModelFolder | None]) -> ModelFolder | None:
        try:
            return action()
        except ModelNotFoundError as error:
            self.failures.append((label, error))
            return None

    def note(self, label: str, reason: str) -> None:
        self.failures.append((label, ModelNotFoundError(reason)))

    @property
    def damaged(self) -> bool:
        return any(isinstance(error, IntegrityError) for _, error in self.failures)

    def report(self, model: StoredModel) -> str:
        reasons = "\n".join(f"  - {label}: {error}" for label, error in self.failures)
        return (
            f"no source could give the files of {model.name!r}:\n{reasons}\n"
            "Resolve one of these, or pass specific_model_path= a folder that holds the model."
        )


def locate(model: StoredModel, settings: StoreSettings) -> ModelFolder:
    """Find or fetch everything that a model needs.

    In this order: ``specific_model_path`` and nothing else; a copy in the Hub cache; an installed package; an archive
    that was unpacked before; the Hub; an archive. A source that fails is named in the final error;
    one that gives files which ask for something outside their folder ends the search as an `UnsafeModelError`.

    Args:
        model: The specification.
        settings: What the caller said.

    Returns:
        A folder with the files.

    Raises:
        ModelNotFoundError: No source could give the files.
        IntegrityError: No source could, and at least one gave files that are not the published ones.
    """
    specified_files(model)
    if settings.specific_model_path is not None:
        return _specific_folder(model, Path(settings.specific_model_path).expanduser())
    search = _Search()
    for step in (_from_cache, _from_package, _from_old_archive, _from_hub, _from_archive):
        for source in model.sources:
            folder = step(model, source, settings, search)
            if folder is not None:
                logger.debug("%s comes from %s", model.name, folder.source)
                return folder
    if not search.failures:
        search.note("sources", "none is given")
    message, cause = search.report(model), search.failures[-1][1]
    if search.damaged:
        raise IntegrityError(message) from cause
    raise ModelNotFoundError(message) from cause


def _specific_folder(model: StoredModel, folder: Path) -> ModelFolder:
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "does not exist"
        raise ModelNotFoundError(
            f"specific_model_path={str(folder)!r} {what}; expected a folder with {describe_needs(model)}"
        )
    missing = missing_from_any_layout(folder, model)
    if missing:
        raise ModelNotFoundError(
            f"specific_model_path={str(folder)!r} lacks {', '.join(missing)}; expected {describe_needs(model)}"
        )
    return ModelFolder(folder.absolute(), f"folder {folder.absolute()}")


def _from_cache(
    model: StoredModel, source: ModelSource, settings: StoreSettings, search: _Search
) -> ModelFolder | None:
    if source.hf is None:
        return None
    copy = cached_copy(model, source.hf, settings)
    label = f"Hub cache {cache_root(settings)}"
    if copy is None:
        search.note(label, f"no complete copy of {source.hf} at {settings.effective_revision!r}")
        return None
    return search.attempt(label, lambda: _accept(copy, model, source, settings))


def _accept(copy: CachedCopy, model: StoredModel, source: ModelSource, settings: StoreSettings) -> ModelFolder:
    """A copy that another tool made may lack optional files that change limits or prompts: look once, quickly."""
    check_published(copy.path, source, settings)
    found = ModelFolder(copy.path, f"hub {copy.place.repository}@{copy.commit}", copy.commit)
    if copy.whole or settings.offline or not copy.place.recheck_is_due(copy.commit, settings.limits.recheck_seconds):
        return found
    from onnxembed.hub.hub_download import complete

    limits = settings.limits
    quick = replace(
        limits,
        attempts=1,
        connect_seconds=min(limits.connect_seconds, _QUICK_SECONDS),
        read_seconds=min(limits.effective_read_seconds, _QUICK_SECONDS),
    )
    try:
        return complete(copy, model, source, replace(settings, limits=quick))
    except IntegrityError:
        raise
    except ModelNotFoundError as error:
        logger.warning(
            "the cached copy of %s may lack optional files, and the Hub could not be asked: %s", source.hf, error
        )
        copy.place.note_failed_check(copy.commit)
        return found


def _from_package(
    model: StoredModel, source: ModelSource, settings: StoreSettings, search: _Search
) -> ModelFolder | None:
    if source.package is None:
        return None
    label = f"package {source.package}"
    if settings.revision is not None:
        search.note(label, f"a package has no revision, and revision={settings.revision!r} is asked for")
        return None
    from onnxembed.hub.package import from_package

    return search.attempt(label, lambda: from_package(model, source, settings))


def _from_old_archive(
    model: StoredModel, source: ModelSource, settings: StoreSettings, search: _Search
) -> ModelFolder | None:
    if source.url is None or settings.revision is not None:
        return None
    from onnxembed.hub.archive import cached_archive

    return search.attempt("unpacked archive", lambda: cached_archive(model, source, settings))


def _from_hub(model: StoredModel, source: ModelSource, settings: StoreSettings, search: _Search) -> ModelFolder | None:
    if source.hf is None:
        return None
    label = f"Hub repository {source.hf}"
    if settings.offline:
        search.note(label, _offline_reason(settings))
        return None
    from onnxembed.hub.hub_download import download

    return search.attempt(label, lambda: download(model, source, settings))


def _from_archive(
    model: StoredModel, source: ModelSource, settings: StoreSettings, search: _Search
) -> ModelFolder | None:
    if source.url is None:
        return None
    from onnxembed.hub.plain_http import shown_address

    label = f"archive {shown_address(source.url)}"
    if settings.revision is not None:
        search.note(label, f"an archive has no revision, and revision={settings.revision!r} is asked for")
        return None
    if settings.offline:
        search.note(label, _offline_reason(settings))
        return None
    from onnxembed.hub.archive import from_archive

    return search.attempt(label, lambda: from_archive(model, source, settings))


def _offline_reason(settings: StoreSettings) -> str:
    cause = "local_files_only=True" if settings.local_files_only else "HF_HUB_OFFLINE"
    return f"not asked, because {cause} forbids requests"
