"""Whether the files of the cache are what was published, by the digests that it holds itself; nothing is asked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from onnxembed.hub.cache import COMMIT, DIGEST, Listing, RepositoryCache, UpstreamFile
from onnxembed.hub.download import what_is_wrong
from onnxembed.hub.identity import unreadable


@dataclass(frozen=True, slots=True)
class CheckedFile:
    """A file of the cache.

    Attributes:
        path: The file.
        name: Relative to the model's folder.
        size: Its bytes; 0 where it is missing.
        problem: What is wrong with it; empty where it is as published.
    """

    path: Path
    name: str
    size: int
    problem: str


def check_snapshot(place: RepositoryCache, commit: str) -> Iterator[CheckedFile]:
    """Compare each file of a commit with the digest that the Hub lists, or that its content is named by.

    Args:
        place: The repository in the cache.
        commit: The commit.

    Yields:
        Each file that the cache has.
    """
    folder, listing = place.snapshot(commit), place.listing(commit)
    for path in sorted(folder.rglob("*")):
        if path.is_dir():
            continue
        name = path.relative_to(folder).as_posix()
        upstream = _published(path, name, listing)
        try:
            problem = what_is_wrong(path, upstream, None, verify=True) or ""
            yield CheckedFile(path, name, path.stat().st_size, problem)
        except FileNotFoundError:
            yield CheckedFile(path, name, 0, "its content is missing")
        except OSError as error:
            yield CheckedFile(path, name, 0, f"it cannot be read ({error.strerror or error})")


def check_folder(folder: Path) -> Iterator[CheckedFile]:
    """Look at files without published digests, such as an unpacked archive: whether each is what its name says.

    Args:
        folder: The folder.

    Yields:
        Each file.
    """
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield CheckedFile(path, path.relative_to(folder).as_posix(), path.stat().st_size, unreadable(path) or "")


def _published(path: Path, name: str, listing: Listing | None) -> UpstreamFile:
    """What the Hub said of a file; without a list its content has the digest for a name."""
    if listing is not None and name in listing.files:
        return listing.files[name]
    content = path.readlink().name if path.is_symlink() else ""
    return UpstreamFile(None, content if DIGEST.fullmatch(content) else None)


def commits_of(place: RepositoryCache) -> list[str]:
    """Give the commits of a repository that the cache has."""
    try:
        return sorted(path.name for path in (place.folder / "snapshots").iterdir() if COMMIT.fullmatch(path.name))
    except OSError:
        return []
