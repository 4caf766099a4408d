"""One download from one repository of the Hub: its list of files, then files, each checked and placed."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from onnxembed.errors import InputError, IntegrityError, ModelNotFoundError
from onnxembed.hub.cache import COMMIT, DIGEST, Listing, RepositoryCache, UpstreamFile
from onnxembed.hub.content import sha256_of
from onnxembed.hub.folder import external_files, has_content
from onnxembed.hub.identity import digest_like, unreadable
from onnxembed.hub.settings import StoreSettings, TransferLimits, hub_endpoint
from onnxembed.hub.shown import shown_text
from onnxembed.hub.worker import Worker

logger = logging.getLogger("onnxembed.store")

_INTEGRITY_ATTEMPTS = 2


@dataclass(frozen=True, slots=True)
class Download:
    """One download from one repository.

    Attributes:
        worker: What fetches.
        place: Where the files belong.
        endpoint: The Hub.
        limits: Bounds on time and size.
        verify: Whether the content of files that are there is checked; else their sizes are.
    """

    worker: Worker
    place: RepositoryCache
    endpoint: str
    limits: TransferLimits
    verify: bool

    @property
    def _page(self) -> str:
        """Where people accept the conditions of the repository."""
        return shown_text(f"{self.endpoint}/{self.place.repository}")

    def listing(self, revision: str) -> Listing:
        """Fetch the list of files of a revision."""
        label = f"the list of files of {self.place.repository} at {revision}"
        path = f"api/models/{self.place.repository}/revision/{quote(revision, safe='')}?blobs=true"
        request = {
            "do": "list",
            "url": f"{self.endpoint}/{path}",
            "max_bytes": self.limits.listing_bytes,
            "page": self._page,
        }
        listing = _parse_listing(self.worker.call(label, request)["text"], label)
        if COMMIT.fullmatch(listing.commit) is None or (COMMIT.fullmatch(revision) and listing.commit != revision):
            commit = listing.commit[:40]
            raise ModelNotFoundError(f"{label}: the Hub answers with the commit {commit!r}; check HF_ENDPOINT")
        return listing

    def bring(self, listing: Listing, names: tuple[str, ...], published: dict[str, str]) -> None:
        """Bring files of a commit, and those in which graphs among them keep their weights."""
        snapshot, queue = self.place.snapshot(listing.commit), list(names)
        for name in queue:
            if name not in listing.files:
                where = f"{self.place.repository} at {listing.commit[:12]}"
                raise ModelNotFoundError(f"{where} lacks {name!r}, where the graph keeps its weights")
            self.bring_file(listing, name, published.get(name))
            external = external_files(snapshot / name, name)
            queue.extend(file for file in external if file not in queue)

    def bring_file(self, listing: Listing, name: str, published: str | None = None) -> None:
        """Bring one file of a commit, unless it is there; ``published`` is a SHA-256 that it must have, too."""
        path, upstream = self.place.snapshot(listing.commit) / name, listing.files[name]
        label = f"{name} of {self.place.repository}"
        if has_content(path) or (upstream.size == 0 and path.is_file()):
            wrong = what_is_wrong(path, upstream, published, verify=self.verify)
            if wrong is None:
                return
            logger.warning("%s in the cache is damaged (%s); it is fetched again", label, wrong)
        self.place.forget(path)
        for attempt in range(_INTEGRITY_ATTEMPTS):
            self._fetch(listing, name, path, label)
            wrong = what_is_wrong(path, upstream, None, verify=True)
            if wrong is None:
                self.place.drop_partials(upstream.digest)
                return
            self.place.forget(path)
            logger.warning("%s came damaged (attempt %d of %d)", label, attempt + 1, _INTEGRITY_ATTEMPTS)
        raise IntegrityError(
            f"{label}: {wrong}; nothing of it was kept: a proxy or a mirror may change files on their way, "
            "try again without it"
        )

    def _fetch(self, listing: Listing, name: str, path: Path, label: str) -> None:
        place, upstream = self.place, listing.files[name]
        if upstream.size is not None:
            # The client would go on from it, however long it is.
            place.drop_partials(upstream.digest, longer_than=upstream.size)
        part = place.partials / (upstream.digest or f"{listing.commit}-{quote(name, safe='')}")
        request = {
            "do": "file",
            "page": self._page,
            "url": f"{self.endpoint}/{place.repository}/resolve/{listing.commit}/{quote(name)}",
            "max_bytes": self.limits.archive_bytes,
            "part": str(part),
            "size": upstream.size,
            "hub": place.client_arguments(listing.commit, name, self.endpoint),
        }
        answer = self.worker.call(
            label, request, "size unknown" if upstream.size is None else f"{upstream.size:,} bytes"
        )
        if "part" in answer:
            path.parent.mkdir(parents=True, exist_ok=True)
            part.replace(path)
        elif Path(answer["path"]) != path:
            raise ModelNotFoundError(f"{label}: the Hub answers with another commit; check HF_ENDPOINT")


def _parse_listing(text: str, label: str) -> Listing:
    try:
        data = json.loads(text)
        return Listing(str(data["sha"]), {str(entry["rfilename"]): _upstream_file(entry) for entry in data["siblings"]})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        where = shown_text(hub_endpoint())
        raise ModelNotFoundError(f"{label}: {where} does not answer like a Hub; check HF_ENDPOINT") from error


def _upstream_file(entry: dict[str, Any]) -> UpstreamFile:
    large: dict[str, Any] = entry.get("lfs") or {}
    size = large.get("size", entry.get("size"))
    digest = str(large.get("sha256") or entry.get("blobId") or "").lower()
    # The digest becomes a file name, so nothing but a digest may pass.
    return UpstreamFile(int(size) if size is not None else None, digest if DIGEST.fullmatch(digest) else None)


def what_is_wrong(path: Path, upstream: UpstreamFile, published: str | None, *, verify: bool) -> str | None:
    """How a file is not the listed one, or ``None``: size and content where they are listed, else whether it parses."""
    size = path.stat().st_size
    if upstream.size is not None and size != upstream.size:
        return f"it has {size} bytes, the Hub lists {upstream.size}"
    if published is not None and sha256_of(path) != published:
        return f"it does not have the published SHA-256 {published}"
    if not verify:
        return None
    if upstream.digest is not None:
        found = digest_like(path, upstream.digest)
        return (
            None
            if found == upstream.digest
            else f"the content has the digest {found}, the Hub publishes {upstream.digest}"
        )
    return unreadable(path)


def start_download(worker: Worker, place: RepositoryCache, settings: StoreSettings, *, verify: bool) -> Download:
    """Begin a download; nothing is asked yet. An `InputError` where ``HF_ENDPOINT`` is no address."""
    endpoint = hub_endpoint()
    if urlsplit(endpoint).scheme not in {"http", "https"} or not urlsplit(endpoint).hostname:
        raise InputError("HF_ENDPOINT is not the address of a Hub; expected something like https://hub.example.org")
    return Download(worker, place, endpoint, settings.limits, verify)
