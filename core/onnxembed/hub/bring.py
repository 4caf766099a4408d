"""Files from the Hub into the shared cache: one request for the list of a commit, one for each file that is needed.

huggingface_hub gives the session and the token, so proxies, certificates and logins are those that a user set up.
The transfers are our own, because its own have no bound in time, show bars, and start from zero after a crash.

The order of writing keeps the cache sound at every moment: contents appear whole and checked, then links, then the
list, and last the revision. A process that ends in between leaves the former revision as it was.
"""

from __future__ import annotations

import functools
import json
import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote, urlsplit

from onnxembed.errors import InputError, IntegrityError, ModelNotFoundError
from onnxembed.hub.cache import (
    COMMIT,
    DIGEST,
    CachedCopy,
    Listing,
    RepositoryCache,
    UpstreamFile,
    cached_copy,
    repository_place,
    wanted_files,
)
from onnxembed.hub.content import sha256_of
from onnxembed.hub.disk import remove_tree, write_failure
from onnxembed.hub.files import FolderFiles, RepositoryFiles
from onnxembed.hub.folder import ModelFolder, describe_needs, external_files, has_content
from onnxembed.hub.identity import check_published, digest_like
from onnxembed.hub.locks import locked
from onnxembed.hub.settings import StoreSettings, TransferLimits, hub_endpoint
from onnxembed.hub.transfer import Client, MemorySink, Request, fetch, file_sink
from onnxembed.suggest import listed

if TYPE_CHECKING:
    from onnxembed.spec import ModelSource, ModelSpec

logger = logging.getLogger("onnxembed.store")

_INTEGRITY_ATTEMPTS = 2
_NAMES_SHOWN = 12


@dataclass(frozen=True, slots=True)
class _Hub:
    """The Hub during one download; a connection that fails raises one of ``transport_errors``."""

    endpoint: str
    client: Client
    headers: tuple[tuple[str, str], ...]
    transport_errors: tuple[type[Exception], ...]
    limits: TransferLimits

    def request(self, path: str, label: str, size: int | None = None, max_bytes: int | None = None) -> Request:
        return Request(f"{self.endpoint}/{path}", label, self.headers, size, max_bytes, self.transport_errors)


def _connect(limits: TransferLimits) -> _Hub:
    endpoint = hub_endpoint()
    if urlsplit(endpoint).scheme not in {"http", "https"} or not urlsplit(endpoint).hostname:
        raise InputError("HF_ENDPOINT is not the address of a Hub; expected something like https://hub.example.org")
    # Imported here: a model that is cached must not pay for it.
    from huggingface_hub import constants, get_session, get_token
    from huggingface_hub.errors import HfHubHTTPError

    token = None if constants.HF_HUB_DISABLE_IMPLICIT_TOKEN else get_token()
    headers = [("User-Agent", "onnxembed")]
    if token:
        headers.append(("Authorization", f"Bearer {token}"))
    # The base of every error of the HTTP library, whichever library this version of huggingface_hub is built on.
    errors = tuple(base for base in HfHubHTTPError.__bases__ if issubclass(base, Exception))
    return _Hub(endpoint, cast("Client", get_session()), tuple(headers), errors, limits)


def download(model: ModelSpec, source: ModelSource, settings: StoreSettings) -> ModelFolder:
    """Bring a model's files from the Hub, unless another process has just done so.

    What cannot be had, or written, is a `ModelNotFoundError`; what is not as published, an `IntegrityError`.
    """
    place = repository_place(_repository(source), settings)
    with locked(place.lock, settings.limits):
        copy = cached_copy(model, place.repository, settings)
        if copy is not None and copy.whole and _is_sound(copy, source, settings):
            return folder_of(copy)
        commit = _bring(_connect(settings.limits), place, settings.effective_revision, model, source, settings)
        return folder_of(CachedCopy(place, commit, whole=True))


def complete(copy: CachedCopy, model: ModelSpec, source: ModelSource, settings: StoreSettings) -> ModelFolder:
    """Add the optional files that the Hub has and a usable copy lacks; the commit stays the same.

    Errors are those of `download`.
    """
    with locked(copy.place.lock, settings.limits):
        now = cached_copy(model, copy.place.repository, settings)
        if now is None or not now.whole:
            _bring(_connect(settings.limits), copy.place, copy.commit, model, source, settings)
        return folder_of(copy)


def folder_of(copy: CachedCopy) -> ModelFolder:
    """The folder of a cached copy, with its origin and commit."""
    return ModelFolder(copy.path, f"hub {copy.place.repository}@{copy.commit}", copy.commit)


def list_repository(repository: str, settings: StoreSettings) -> RepositoryFiles:
    """List the files of a repository: by one request, or by none where the cache knows the commit and its files.

    Small files are fetched when they are read, and kept in the cache. What is described by them is brought with the
    commit of the listing as revision: the branch may have moved in between. What cannot be had is a
    `ModelNotFoundError`.
    """
    place, revision = repository_place(repository, settings), settings.effective_revision
    commit = place.commit_of(revision)
    listing = None if commit is None else place.listing(commit)
    if listing is None:
        _refuse_offline(settings, f"the list of files of {repository} at {revision}")
        listing = _fetch_listing(_connect(settings.limits), repository, commit or revision)
        try:
            place.set_listing(listing)
            place.set_commit(revision, listing.commit)
        except OSError as error:
            raise ModelNotFoundError(write_failure(place.folder, error)) from error
    return RepositoryFiles(repository, revision, listing, functools.partial(_read_small, place, listing, settings))


def _read_small(place: RepositoryCache, listing: Listing, settings: StoreSettings, name: str, limit: int) -> bytes:
    if not _is_there(place, listing.commit, name, listing.files[name], None):
        _refuse_offline(settings, f"{name} of {place.repository}")
        hub = _connect(replace(settings.limits, archive_bytes=limit))
        try:
            with locked(place.lock, settings.limits):
                _bring_file(hub, place, listing, name, None)
        except ModelNotFoundError:
            raise
        except OSError as error:
            raise ModelNotFoundError(write_failure(place.folder, error)) from error
    return FolderFiles(place.snapshot(listing.commit)).read(name, limit)


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
    hub: _Hub,
    place: RepositoryCache,
    revision: str,
    model: ModelSpec,
    source: ModelSource,
    settings: StoreSettings,
) -> str:
    listing = _fetch_listing(hub, place.repository, revision)
    names = wanted_files(model, listing)
    if names is None:
        raise ModelNotFoundError(
            f"{place.repository} at {listing.commit[:12]} lacks a needed file; expected {describe_needs(model)}, "
            f"found {listed(sorted(listing.files), _NAMES_SHOWN)}; check model_file= and additional_files="
        )
    _check_listed_digests(listing, source)
    try:
        _bring_files(hub, place, listing, names, source, settings)
        place.set_listing(listing)
        place.set_commit(revision, listing.commit)
        # Everything is in place: what earlier, interrupted runs left is of no more use.
        remove_tree(place.partials)
    except ModelNotFoundError:
        raise
    except OSError as error:
        raise ModelNotFoundError(write_failure(place.folder, error)) from error
    return listing.commit


def _bring_files(
    hub: _Hub,
    place: RepositoryCache,
    listing: Listing,
    names: tuple[str, ...],
    source: ModelSource,
    settings: StoreSettings,
) -> None:
    published = {name: digest.lower() for name, digest in source.sha256 if name}
    queue = list(names)
    for name in queue:
        if name not in listing.files:
            raise ModelNotFoundError(
                f"{place.repository} at {listing.commit[:12]} lacks {name!r}, where the graph keeps its weights"
            )
        _bring_file(hub, place, listing, name, published.get(name))
        external = external_files(place.snapshot(listing.commit) / name, name)
        queue.extend(file for file in external if file not in queue)
    check_published(place.snapshot(listing.commit), source, settings)


def _bring_file(hub: _Hub, place: RepositoryCache, listing: Listing, name: str, published: str | None) -> None:
    upstream = listing.files[name]
    if _is_there(place, listing.commit, name, upstream, published):
        return
    digest = upstream.digest
    if digest is None or not _has_size(place, digest, upstream.size):
        digest = _fetch_blob(hub, place, listing.commit, name, upstream)
    place.point(listing.commit, name, digest)


def _is_there(place: RepositoryCache, commit: str, name: str, upstream: UpstreamFile, published: str | None) -> bool:
    path = place.snapshot(commit) / name
    if not path.is_file() or (upstream.size is not None and path.stat().st_size != upstream.size):
        return False
    if published is not None and sha256_of(path) != published:
        if upstream.digest is not None:
            # A damaged content must not be taken again for the same name.
            place.blob(upstream.digest).unlink(missing_ok=True)
        return False
    return upstream.size is not None or has_content(path)


def _has_size(place: RepositoryCache, digest: str, size: int | None) -> bool:
    blob = place.blob(digest)
    return blob.is_file() and (size is None or blob.stat().st_size == size)


def _fetch_blob(hub: _Hub, place: RepositoryCache, commit: str, name: str, upstream: UpstreamFile) -> str:
    label = f"{name} of {place.repository}"
    path = f"{place.repository}/resolve/{commit}/{quote(name)}"
    partial = place.partials / (upstream.digest or f"{commit}-{quote(name, safe='')}")
    logger.info("fetching %s (%s bytes)", label, upstream.size if upstream.size is not None else "unknown")
    for attempt in range(_INTEGRITY_ATTEMPTS):
        with file_sink(partial) as sink:
            fetch(hub.client, hub.request(path, label, upstream.size, hub.limits.archive_bytes), sink, hub.limits)
        found = digest_like(partial, upstream.digest) if upstream.digest else sha256_of(partial)
        if upstream.digest in (None, found):
            blob = place.blob(found)
            blob.parent.mkdir(parents=True, exist_ok=True)
            partial.replace(blob)
            return found
        partial.unlink()
        logger.warning("%s came damaged (attempt %d of %d)", label, attempt + 1, _INTEGRITY_ATTEMPTS)
    raise IntegrityError(
        f"{label}: the content has the digest {found}, the Hub publishes {upstream.digest}; nothing of it was kept: "
        "a proxy or a mirror may change files on their way, try again without it"
    )


def _fetch_listing(hub: _Hub, repository: str, revision: str) -> Listing:
    label = f"the list of files of {repository} at {revision}"
    sink = MemorySink()
    path = f"api/models/{repository}/revision/{quote(revision, safe='')}?blobs=true"
    fetch(hub.client, hub.request(path, label, max_bytes=hub.limits.listing_bytes), sink, hub.limits)
    try:
        data = json.loads(sink.content)
        commit = str(data["sha"])
        files = {str(entry["rfilename"]): _upstream_file(entry) for entry in data["siblings"]}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelNotFoundError(f"{label}: {hub.endpoint} does not answer like a Hub; check HF_ENDPOINT") from error
    if COMMIT.fullmatch(commit) is None or (COMMIT.fullmatch(revision) and commit != revision):
        raise ModelNotFoundError(f"{label}: the Hub answers with the commit {commit[:40]!r}; check HF_ENDPOINT")
    return Listing(commit, files)


def _upstream_file(entry: dict[str, Any]) -> UpstreamFile:
    large: dict[str, Any] = entry.get("lfs") or {}
    size = large.get("size", entry.get("size"))
    digest = str(large.get("sha256") or entry.get("blobId") or "").lower()
    # The digest becomes a file name, so nothing but a digest may pass.
    return UpstreamFile(int(size) if size is not None else None, digest if DIGEST.fullmatch(digest) else None)


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
