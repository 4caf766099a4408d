"""From a model's specification to a folder with its files: every source in turn, the ones without requests first."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from onnxembed.errors import IntegrityError, ModelNotFoundError
from onnxembed.hub.folder import (
    ModelFolder,
    describe_needs,
    missing_from_any_layout,
    specified_files,
)
from onnxembed.hub.identity import check_published
from onnxembed.hub.settings import StoreSettings, cache_root

if TYPE_CHECKING:
    from collections.abc import Callable

    from onnxembed.hub.cache import CachedCopy
    from onnxembed.spec import ModelSource, ModelSpec

logger = logging.getLogger("onnxembed.store")

_QUICK_SECONDS = 3.0
"""Longest waits of the look for optional files: the model works without them, so nobody should wait long."""


def locate(model: ModelSpec, settings: StoreSettings) -> ModelFolder:
    """Find or fetch everything that a model needs.

    In this order: ``specific_model_path``, alone; a copy in the Hub cache; an installed package; an archive that was
    unpacked before; the Hub; an archive. A source that fails is named in the final `ModelNotFoundError`, which is an
    `IntegrityError` where a source gave files that are not the published ones; one that gives files which ask for
    something outside their folder ends the search as an `UnsafeModelError`.
    """
    specified_files(model)
    if settings.specific_model_path is not None:
        return _specific_folder(model, Path(settings.specific_model_path).expanduser())
    return _Search(model, settings).run()


def repair(folder: ModelFolder, model: ModelSpec, settings: StoreSettings) -> bool:
    """Fetch damaged files of a cached copy again, which turned out to be unreadable; tell whether there were any.

    What cannot be had is a `ModelNotFoundError`.
    """
    from onnxembed.hub.archive import repair_archive
    from onnxembed.hub.bring import repair_copy

    mended = (
        repair_copy(folder, model, settings) if folder.revision is not None else repair_archive(folder, model, settings)
    )
    if mended:
        logger.warning("%s of %s were damaged in the cache and have been fetched again", ", ".join(mended), model.name)
    return bool(mended)


def _specific_folder(model: ModelSpec, folder: Path) -> ModelFolder:
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


@dataclass(slots=True)
class _Search:
    """A model that is looked for, and why sources could not give it, in order."""

    model: ModelSpec
    settings: StoreSettings
    failures: list[tuple[str, ModelNotFoundError]] = field(default_factory=list)

    def run(self) -> ModelFolder:
        steps = (self._from_cache, self._from_package, self._from_old_archive, self._from_hub, self._from_archive)
        for step in steps:
            for source in self.model.sources:
                folder = step(source)
                if folder is not None:
                    logger.debug("%s comes from %s", self.model.name, folder.source)
                    return folder
        if not self.failures:
            self._note("sources", "none is given")
        reasons = "\n".join(f"  - {label}: {error}" for label, error in self.failures)
        message = (
            f"no source could give the files of {self.model.name!r}:\n{reasons}\n"
            "Resolve one of these, or pass specific_model_path= a folder that holds the model."
        )
        damaged = any(isinstance(error, IntegrityError) for _, error in self.failures)
        raise (IntegrityError if damaged else ModelNotFoundError)(message) from self.failures[-1][1]

    def _note(self, label: str, reason: str) -> None:
        self.failures.append((label, ModelNotFoundError(reason)))

    def _attempt(self, label: str, action: Callable[[], ModelFolder | None]) -> ModelFolder | None:
        try:
            return action()
        except ModelNotFoundError as error:
            self.failures.append((label, error))
            return None

    def _without_revision(self, label: str, what: str) -> bool:
        """Whether no revision is asked for; of one, note that this source has none."""
        revision = self.settings.revision
        if revision is not None:
            self._note(label, f"{what} has no revision, and revision={revision!r} is asked for")
        return revision is None

    def _online(self, label: str) -> bool:
        """Whether requests are allowed; otherwise note that this source was not asked."""
        if self.settings.offline:
            self._note(label, f"not asked, because {self.settings.offline_cause} forbids requests")
        return not self.settings.offline

    def _from_cache(self, source: ModelSource) -> ModelFolder | None:
        if source.hf is None:
            return None
        from onnxembed.hub.cache import cached_copy

        copy = cached_copy(self.model, source.hf, self.settings)
        label = f"Hub cache {cache_root(self.settings)}"
        if copy is None:
            self._note(label, f"no complete copy of {source.hf} at {self.settings.effective_revision!r}")
            return None
        return self._attempt(label, lambda: _accept(copy, self.model, source, self.settings))

    def _from_package(self, source: ModelSource) -> ModelFolder | None:
        label = f"package {source.package}"
        if source.package is None or not self._without_revision(label, "a package"):
            return None
        from onnxembed.hub.package import from_package

        return self._attempt(label, lambda: from_package(self.model, source, self.settings))

    def _from_old_archive(self, source: ModelSource) -> ModelFolder | None:
        if source.url is None or self.settings.revision is not None:
            return None
        from onnxembed.hub.archive import cached_archive

        return self._attempt("unpacked archive", lambda: cached_archive(self.model, source, self.settings))

    def _from_hub(self, source: ModelSource) -> ModelFolder | None:
        label = f"Hub repository {source.hf}"
        if source.hf is None or not self._online(label):
            return None
        from onnxembed.hub.bring import download

        return self._attempt(label, lambda: download(self.model, source, self.settings))

    def _from_archive(self, source: ModelSource) -> ModelFolder | None:
        if source.url is None:
            return None
        from onnxembed.hub.shown import shown_address

        label = f"archive {shown_address(source.url)}"
        if not self._without_revision(label, "an archive") or not self._online(label):
            return None
        from onnxembed.hub.archive import from_archive

        return self._attempt(label, lambda: from_archive(self.model, source, self.settings))


def _accept(copy: CachedCopy, model: ModelSpec, source: ModelSource, settings: StoreSettings) -> ModelFolder:
    """A copy that another tool made may lack optional files that change limits or prompts: look once, quickly."""
    check_published(copy.path, source, settings)
    found = ModelFolder(copy.path, f"hub {copy.place.repository}@{copy.commit}", copy.commit)
    if copy.whole or settings.offline or not copy.place.recheck_is_due(copy.commit, settings.limits.recheck_seconds):
        return found
    from onnxembed.hub.bring import complete

    limits = settings.limits
    read = min(limits.effective_read_seconds, _QUICK_SECONDS)
    quick = replace(limits, attempts=1, read_seconds=read, stall_seconds=read, lock_seconds=_QUICK_SECONDS)
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
