"""Files from the Hub into the shared cache: one request for the list of a commit, then each file that is needed.

A `Worker` brings them by ``hf_hub_download``. What is added here: only the needed files, their content checked against
the digests that the Hub lists, one download for many processes, and a cache that heals.

The order of writing keeps the cache sound at every moment: files first, then the list, and last the revision. A process
that ends in between leaves the former revision as it was.
"""

from __future__ import annotations

import contextlib
import logging
import weakref
from collections.abc import Iterator
from dataclasses import replace

from onnxembed.errors import (
    InputError,
    IntegrityError,
    ModelNotFoundError,
)
from onnxembed.hub.cache import (
    COMMIT,
    CachedCopy,
    Listing,
    RepositoryCache,
    cached_copy,
    copies,
    made_to_load,
    repository_place,
    wanted_files,
)
from onnxembed.hub.disk import remove_tree, write_failure
from onnxembed.hub.download import start_download, what_is_wrong
from onnxembed.hub.files import FolderFiles, RepositoryFiles, SnapshotFiles
from onnxembed.hub.folder import ModelFolder, describe_needs, has_content
from onnxembed.hub.identity import check_published
from onnxembed.hub.locks import locked
from onnxembed.hub.settings import StoreSettings
from onnxembed.hub.shown import shown_text
from onnxembed.hub.worker import Worker
from onnxembed.spec import ModelSource, ModelSpec
from onnxembed.suggest import listed

logger = logging.getLogger("onnxembed.store")

_NAMES_SHOWN = 12


def download(model: ModelSpec, source: ModelSource, settings: StoreSettings) -> ModelFolder:
    """Bring a model's files from the Hub, unless another process has just done so.

    What cannot be had, or written, is a `ModelNotFoundError`; what is not as published, an `IntegrityError`.
    """
    place = repository_place(_repository(source), settings)
    with locked(place.lock, settings.limits):
        copy = cached_copy(model, place.repository, settings)
        if copy is not None and copy.whole and _is_sound(copy, source, settings):
            return folder_of(copy)
        commit = _bring(place, settings.effective_revision, model, source, settings, verify=True)
        return folder_of(CachedCopy(place, commit, whole=True))


def complete(copy: CachedCopy, model: ModelSpec, source: ModelSource, settings: StoreSettings) -> ModelFolder:
    """Add the optional files that the Hub has and a usable copy lacks; the commit stays the same.

    Errors are those of `download`.
    """
    with locked(copy.place.lock, settings.limits):
        now = cached_copy(model, copy.place.repository, settings)
        if now is None or not now.whole:
            _bring(copy.place, copy.commit, model, source, settings, verify=False)
        return folder_of(copy)


def folder_of(copy: CachedCopy) -> ModelFolder:
    """The folder of a cached copy, with its origin and commit."""
    return ModelFolder(copy.path, f"hub {copy.place.repository}@{copy.commit}", copy.commit)


def repair_copy(folder: ModelFolder, model: ModelSpec, settings: StoreSettings) -> tuple[str, ...]:
    """Fetch those files of a cached commit again whose content is not the published one; give their names.

    For a copy that turned out to be unreadable. What cannot be had is a `ModelNotFoundError`.
    """
    for source in model.sources:
        if source.hf is None or folder.revision is None:
            continue
        copy = cached_copy(model, source.hf, replace(settings, revision=folder.revision), damaged=True)
        if copy is not None and copy.path == folder.path:
            with locked(copy.place.lock, settings.limits):
                return _repair(copy, source, settings)
    return ()


def _repair(copy: CachedCopy, source: ModelSource, settings: StoreSettings) -> tuple[str, ...]:
    listing = copy.place.listing(copy.commit)
    if listing is None and settings.offline:
        return ()
    with Worker(settings.limits, settings.token, settings.show_progress) as worker:
        bringing = start_download(worker, copy.place, settings, verify=True)
        listing = listing or bringing.listing(copy.commit)
        names = [name for name in sorted(listing.files) if has_content(copy.path / name)]
        damaged = [name for name in names if what_is_wrong(copy.path / name, listing.files[name], None, verify=True)]
        if damaged:
            _refuse_offline(
                settings, f"{listed(damaged, _NAMES_SHOWN)} of {copy.place.repository}, damaged in the cache"
            )
            published = {name: digest.lower() for name, digest in source.sha256 if name}
            bringing.bring(listing, tuple(damaged), published)
    return tuple(damaged)


def list_repository(repository: str, settings: StoreSettings) -> RepositoryFiles:
    """List the files of a repository: by one request, or by none where the cache knows the commit and its files.

    Small files are fetched when they are read, and kept in the cache. What is described by them is brought with the
    commit of the listing as revision: the branch may have moved in between. What cannot be had is a
    `ModelNotFoundError`.
    """
    place, revision = repository_place(repository, settings), settings.effective_revision
    commit = place.commit_of(revision)
    listing = None if commit is None else place.listing(commit)
    worker = Worker(settings.limits, settings.token, settings.show_progress)
    if listing is None:
        _refuse_offline(settings, f"the list of files of {repository} at {revision}")
        try:
            listing = start_download(worker, place, settings, verify=False).listing(commit or revision)
        except BaseException:
            worker.end()
            raise
        with _written(place):
            place.set_listing(listing)
            place.set_commit(revision, listing.commit)
    reader = _Reader(place, listing, settings, worker)
    return RepositoryFiles(repository, revision, listing, reader, place.snapshot(listing.commit))


def open_repository(repository: str, settings: StoreSettings) -> RepositoryFiles | SnapshotFiles:
    """Give the files of a repository, without any request where the cache holds a model of it, whichever tool put it.

    Without a list of the commit's files, a copy counts as one that was made to be loaded as a whole: see
    `made_to_load`. Else it is `list_repository`, with its errors.
    """
    for copy in copies(repository, settings):
        if copy.place.listing(copy.commit) is None and made_to_load(copy.place, copy.commit):
            return SnapshotFiles(repository, settings.effective_revision, copy.commit, copy.path)
    return list_repository(repository, settings)


class _Reader:
    """Reads small files of a repository; those that are not in the cache are fetched, all by one process."""

    def __init__(self, place: RepositoryCache, listing: Listing, settings: StoreSettings, worker: Worker) -> None:
        self._place, self._listing, self._settings = place, listing, settings
        self._worker = worker
        weakref.finalize(self, self._worker.end)

    def __call__(self, name: str, limit: int) -> bytes:
        """Give the content of a file of at most so many bytes."""
        place, settings, upstream = self._place, self._settings, self._listing.files[name]
        path = place.snapshot(self._listing.commit) / name
        if not has_content(path) or what_is_wrong(path, upstream, None, verify=False):
            _refuse_offline(settings, f"{name} of {place.repository}")
            small = replace(settings, limits=replace(settings.limits, archive_bytes=limit))
            with locked(place.lock, settings.limits), _written(place):
                start_download(self._worker, place, small, verify=False).bring_file(self._listing, name)
        return FolderFiles(place.snapshot(self._listing.commit)).read(name, limit)


def _refuse_offline(settings: StoreSettings, label: str) -> None:
    if settings.offline:
        raise ModelNotFoundError(f"{label}: not in the cache, and {settings.offline_cause} forbids requests")


def _repository(source: ModelSource) -> str:
    if source.hf is None:
        raise InputError("this source has no Hub repository; expected hf='organisation/name'")
    return source.hf


def _is_sound(copy: CachedCopy, source: ModelSource, settings: StoreSettings) -> bool:
    try:
        check_published(copy.path, source, settings)
    except IntegrityError:
        return False
    return True


def _bring(
    place: RepositoryCache,
    revision: str,
    model: ModelSpec,
    source: ModelSource,
    settings: StoreSettings,
    *,
    verify: bool,
) -> str:
    with Worker(settings.limits, settings.token, settings.show_progress) as worker, _written(place):
        bringing = start_download(worker, place, settings, verify=verify)
        # What a commit holds never changes.
        listing = (place.listing(revision) if COMMIT.fullmatch(revision) else None) or bringing.listing(revision)
        names = wanted_files(model, listing)
        if names is None:
            found = listed(sorted(map(shown_text, listing.files)), _NAMES_SHOWN)
            raise ModelNotFoundError(
                f"{place.repository} at {listing.commit[:12]} lacks a needed file; expected {describe_needs(model)}, "
                f"found {found}; check model_file= and additional_files="
            )
        _check_listed_digests(listing, source)
        bringing.bring(listing, names, {name: digest.lower() for name, digest in source.sha256 if name})
        check_published(place.snapshot(listing.commit), source, settings)
        place.set_listing(listing)
        place.set_commit(revision, listing.commit)
        # Everything is in place: what earlier, interrupted runs left is of no more use.
        remove_tree(place.partials)
    return listing.commit


@contextlib.contextmanager
def _written(place: RepositoryCache) -> Iterator[None]:
    try:
        yield
    except ModelNotFoundError:
        raise
    except OSError as error:
        raise ModelNotFoundError(write_failure(place.folder, error)) from error


def _check_listed_digests(listing: Listing, source: ModelSource) -> None:
    """Refuse a commit before its download when it lists another digest than the one that is published."""
    for name, expected in source.sha256:
        upstream = listing.files.get(name)
        digest = upstream.digest if upstream is not None else None
        if digest is not None and len(digest) == len(expected) and digest != expected.lower():
            raise IntegrityError(
                f"{name} of {source.hf} at {listing.commit[:12]} has the digest {digest}, expected {expected.lower()}; "
                "pin the revision= that the digest belongs to"
            )
