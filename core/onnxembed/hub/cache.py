"""The Hub cache on disk, read in the layout that every tool shares.

``models--<org>--<name>/`` holds ``refs/<revision>`` (a commit), ``snapshots/<commit>/`` (links) and ``blobs/``
(contents). Reading it needs no HTTP library, so a cached model starts fast. Beside it, in our own folder, lies the list
of files of each commit that was fetched: a commit never changes, so the list holds for ever.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from onnxembed.errors import InputError, ModelError, UnsafeModelError
from onnxembed.hub.disk import write_text
from onnxembed.hub.folder import (
    CONFIG_FILE,
    OPTIONAL_FILES,
    absent,
    compilable_files,
    has_content,
    missing_files,
    safe_relative,
    specified_files,
)
from onnxembed.hub.settings import StoreSettings, cache_root, own_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from onnxembed.spec import ModelSpec

logger = logging.getLogger("onnxembed.store")

COMMIT = re.compile(r"[0-9a-f]{40}")
DIGEST = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_REPOSITORY = re.compile(r"[A-Za-z0-9_][\w.-]*(/[A-Za-z0-9_][\w.-]*)?", re.ASCII)
_FORMAT_VERSION = 1
_STAGES_FILE = "modules.json"


@dataclass(frozen=True, slots=True)
class UpstreamFile:
    """A file of a commit, as the Hub lists it.

    Attributes:
        size: Its bytes; ``None`` where a mirror does not say.
        digest: SHA-256 of a large file, git's blob name of a small one; ``None`` where a mirror does not say.
    """

    size: int | None
    digest: str | None


@dataclass(frozen=True, slots=True)
class Listing:
    """The files of one commit, by name."""

    commit: str
    files: dict[str, UpstreamFile]


@dataclass(frozen=True, slots=True)
class RepositoryCache:
    """The place of one repository in the cache; the paths it gives may not exist.

    Attributes:
        repository: ``org/name``.
        folder: The shared folder.
        own: Our own folder.
    """

    repository: str
    folder: Path
    own: Path

    def snapshot(self, commit: str) -> Path:
        """The folder of a commit."""
        return self.folder / "snapshots" / commit

    def commit_of(self, revision: str) -> str | None:
        """The commit of a branch, tag or commit when it was last fetched, if any."""
        if COMMIT.fullmatch(revision):
            return revision
        try:
            commit = (self.folder / "refs" / revision).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            return None
        return commit if COMMIT.fullmatch(commit) else None

    def is_known_absent(self, commit: str, name: str) -> bool:
        """Tell whether a tool has noted that a commit holds no such file."""
        return (self.folder / ".no_exist" / commit / name).is_file()

    def set_commit(self, revision: str, commit: str) -> None:
        """Let a branch, tag or commit stand for a commit."""
        if revision != commit and self.commit_of(revision) != commit:
            write_text(self.folder / "refs" / revision, commit)

    def forget(self, path: Path) -> None:
        """Remove a file of a commit with its content, so that it is fetched again."""
        if path.is_symlink():
            content = path.resolve()
            # What lies outside the cache is another's.
            if content.is_relative_to(self.folder.parent.resolve()):
                content.unlink(missing_ok=True)
        path.unlink(missing_ok=True)

    def drop_partials(self, digest: str | None, longer_than: int = -1) -> None:
        """Remove what processes that were killed left of a content, where it is longer than so many bytes."""
        for partial in (self.folder / "blobs").glob(f"{digest}*.incomplete") if digest else ():
            with contextlib.suppress(FileNotFoundError):
                if partial.stat().st_size > longer_than:
                    partial.unlink()

    def client_arguments(self, commit: str, name: str, endpoint: str) -> dict[str, str] | None:
        """What brings a file here by huggingface_hub; ``None`` for a folder that it does not write to."""
        if self.folder.name != _folder_name(self.repository):
            return None
        return {
            "repository": self.repository,
            "name": name,
            "commit": commit,
            "cache_dir": str(self.folder.parent),
            "endpoint": endpoint,
        }

    def _own(self, kind: str, name: str) -> Path:
        return self.own / kind / self.folder.name / name

    @property
    def partials(self) -> Path:
        """The folder where contents grow until they are whole."""
        return self.own / "partial" / self.folder.name

    @property
    def lock(self) -> Path:
        """The lock file."""
        return self.own / "locks" / f"{self.folder.name}.lock"

    def listing(self, commit: str) -> Listing | None:
        """The files of a commit, if they were ever listed, here or by the Hub's own client."""
        for path in (self._own("listings", f"{commit}.json"), self.folder / "trees" / f"{commit}.json"):
            try:
                data = json.loads(path.read_text(encoding="utf-8"))
            except (OSError, ValueError):
                continue
            with contextlib.suppress(AttributeError, KeyError, TypeError):
                if data["format_version"] == _FORMAT_VERSION:
                    return Listing(commit, dict(_listed(data["files"])))
        return None

    def set_listing(self, listing: Listing) -> None:
        """Keep the list of files of a commit."""
        files = {name: {"size": file.size, "blob_id": file.digest} for name, file in listing.files.items()}
        text = json.dumps({"format_version": _FORMAT_VERSION, "files": files}, sort_keys=True)
        write_text(self._own("listings", f"{listing.commit}.json"), text)

    def recheck_is_due(self, commit: str, seconds: float) -> bool:
        """Whether no look for optional files has failed within so many seconds."""
        try:
            age = time.time() - self._own("listings", f"{commit}.failed").stat().st_mtime
        except OSError:
            return True
        return not 0 <= age < seconds

    def note_failed_check(self, commit: str) -> None:
        """Remember that a look for optional files failed."""
        try:
            write_text(self._own("listings", f"{commit}.failed"), "")
        except OSError as error:
            logger.debug("the failed look is not remembered: %s", error)


def _listed(files: dict[str, dict[str, Any]]) -> Iterator[tuple[str, UpstreamFile]]:
    for name, facts in files.items():
        size = facts.get("lfs_size") or facts["size"]
        yield name, UpstreamFile(size, facts.get("lfs_sha256") or facts.get("blob_id"))


@dataclass(frozen=True, slots=True)
class CachedCopy:
    """A usable copy of a model in the Hub cache.

    Attributes:
        place: Its repository.
        commit: Its commit.
        whole: Whether every optional file that exists upstream is known to be there too.
    """

    place: RepositoryCache
    commit: str
    whole: bool

    @property
    def path(self) -> Path:
        """The folder of the commit."""
        return self.place.snapshot(self.commit)


def repository_place(repository: str, settings: StoreSettings) -> RepositoryCache:
    """Where a repository, ``org/name``, is kept; an `InputError` if that is no such name."""
    if not _is_repository(repository):
        raise InputError(f"{repository!r} is not the name of a Hub repository; expected 'organisation/name'")
    return RepositoryCache(repository, cache_root(settings) / _folder_name(repository), own_folder(settings))


def is_repository_name(name: str) -> bool:
    """Tell whether a name has the form ``org/name`` of a Hub repository."""
    return "/" in name and _is_repository(name)


def _is_repository(name: str) -> bool:
    return _REPOSITORY.fullmatch(name) is not None and ".." not in name and "--" not in name


def _folder_name(repository: str) -> str:
    return f"models--{repository.replace('/', '--')}"


def cached_copy(
    model: ModelSpec, repository: str, settings: StoreSettings, *, damaged: bool = False
) -> CachedCopy | None:
    """Find a usable copy of a model at the revision in force, or also a damaged one, without any request."""
    for copy in copies(repository, settings):
        listing = copy.place.listing(copy.commit)
        if damaged or _is_usable(copy.path, model, listing):
            return replace(copy, whole=_is_whole(copy.place, copy.commit, listing))
    return None


def copies(repository: str, settings: StoreSettings) -> Iterator[CachedCopy]:
    """Find what the cache has of a repository at the revision in force, usable or not."""
    for place in _places(repository, settings):
        commit = place.commit_of(settings.effective_revision)
        if commit is not None and place.snapshot(commit).is_dir():
            yield CachedCopy(place, commit, whole=False)


_WITH_A_CONFIGURATION = ("Pooling", "Dense", "SpladePooling", "LayerNorm")
"""Stages of sentence-transformers that do not work without their ``config.json``."""


def made_to_load(place: RepositoryCache, commit: str) -> bool:
    """Tell whether a copy of a repository holds all that describes the model, as far as the tool that made it knows.

    Either it is whole, which ``.gitattributes`` shows, a file that no loader asks for; or sentence-transformers has
    brought every stage that ``modules.json`` lists, or noted that there is no such file.
    """
    snapshot = place.snapshot(commit)
    if has_content(snapshot / ".gitattributes") or place.is_known_absent(commit, _STAGES_FILE):
        return True
    try:
        stages = json.loads((snapshot / _STAGES_FILE).read_text(encoding="utf-8"))
        return all(
            stage["type"].rsplit(".", 1)[-1] not in _WITH_A_CONFIGURATION
            or has_content(snapshot / safe_relative(stage["path"]) / CONFIG_FILE)
            for stage in stages
        )
    except (OSError, ValueError, AttributeError, KeyError, TypeError, UnsafeModelError):
        return False


def _places(repository: str, settings: StoreSettings) -> Iterator[RepositoryCache]:
    """The repository's folder, then those whose names differ in case only, which some tools have made."""
    place = repository_place(repository, settings)
    yield place
    try:
        names = sorted(entry.name for entry in place.folder.parent.iterdir())
    except OSError:
        return
    for name in names:
        if name != place.folder.name and name.lower() == place.folder.name.lower():
            yield RepositoryCache(repository, place.folder.with_name(name), place.own)


def _is_usable(snapshot: Path, model: ModelSpec, listing: Listing | None) -> bool:
    # Weights stand in for a graph only where the commit is known to hold no graph: else the vectors of a quantised
    # graph would depend on which tool had filled the cache.
    or_weights = listing is not None and not _has_all(listing, specified_files(model))
    try:
        wanted = listing and wanted_files(model, listing)
        for name in wanted or ():
            _check_size(snapshot / name, listing.files[name].size if listing else None)
        return not missing_files(snapshot, model) or (or_weights and not absent(snapshot, compilable_files(model)))
    except UnsafeModelError:
        raise
    except ModelError as error:
        logger.warning("the cached copy in %s is damaged: %s", snapshot, error)
        return False


def _check_size(path: Path, listed: int | None) -> None:
    """Refuse a file that has another size than its commit lists: a page, a pointer, or half of it."""
    if listed is not None and has_content(path) and (size := path.stat().st_size) != listed:
        raise ModelError(f"{path.name} has {size} bytes; its commit lists {listed}")


def _has_all(listing: Listing, names: tuple[str, ...]) -> bool:
    """Whether a commit holds all of some files."""
    return all(name in listing.files for name in names)


def _is_whole(place: RepositoryCache, commit: str, listing: Listing | None) -> bool:
    lacking = [name for name in OPTIONAL_FILES if not (place.snapshot(commit) / name).is_file()]
    if listing is not None:
        return not any(name in listing.files for name in lacking)
    if made_to_load(place, commit):
        return True
    return all(place.is_known_absent(commit, name) for name in lacking)


def wanted_files(model: ModelSpec, listing: Listing) -> tuple[str, ...] | None:
    """The files of a commit that a model needs, small ones first, or ``None`` when it lacks a needed one.

    Optional files are included, external data are not.
    """
    for needed in (specified_files(model), compilable_files(model)):
        if _has_all(listing, needed):
            optional = [name for name in OPTIONAL_FILES if name in listing.files]
            names = dict.fromkeys((*optional, *needed))
            return tuple(sorted(names, key=lambda name: listing.files[name].size or 0))
    return None
