"""Graphs that are made here, once, and kept in the cache: compiled from weights, or rewritten.

A kept graph has the name of the content that it was made of, and beside it the digests of its own files: what was
damaged since, or only half written, is noticed before it is loaded, and made again.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from onnxembed.hub.content import content_digest, digest_memory
from onnxembed.hub.disk import write_text
from onnxembed.hub.settings import StoreSettings, cache_root, own_folder

logger = logging.getLogger("onnxembed.models")

# Part of the name of every kept graph: a change of the compiler must not meet graphs of an older one.
COMPILER_VERSION = 5

Make = Callable[[Path], None]
"""Writes a graph to a path, and whatever lies beside it."""

_GRAPH = "model.onnx"
_RECORD = "files.json"
ORIGIN = "origin.json"
"""What a kept graph was made of, and by which version, for those who look after the cache."""
# How long another process that makes the same graph is waited for, before this one makes its own.
_LOCK_SECONDS = 10.0


@contextmanager
def kept_graph(store: StoreSettings, source: Path, making: str, make: Make) -> Iterator[Path]:
    """Give the graph that is made of a file: the kept one, or one made for this load where it cannot be kept."""
    kept = keep(store, source, making, make)
    if kept is not None:
        yield kept
        return
    import tempfile  # which takes 6 ms to import, and no cache that can be written needs

    with tempfile.TemporaryDirectory(prefix="onnxembed-", ignore_cleanup_errors=True) as scratch:
        make(Path(scratch, _GRAPH))
        yield Path(scratch, _GRAPH)


def keep(store: StoreSettings, source: Path, making: str, make: Make) -> Path | None:
    """Give the kept graph, made now if need be.

    Args:
        store: Says where the cache is.
        source: The file that the graph is made of.
        making: Everything else that decides what is made.
        make: Makes it.

    Returns:
        The graph; ``None`` where it cannot be kept.
    """
    folder, memory = kept_folder(store, source, making), digest_memory(store)
    try:
        return _sound(folder, memory) or _make_once(folder, memory, make, _origin(store, source, making))
    except OSError as error:
        logger.warning("what is made of %s cannot be kept in %s (%s)", source, folder, error)
        return None


def kept_folder(store: StoreSettings, source: Path, making: str) -> Path:
    """Where the cache keeps what is made of a file, by the content of the file."""
    identity = f"{COMPILER_VERSION}\0{content_digest(source, digest_memory(store))}\0{making}"
    return own_folder(store) / "compiled" / hashlib.sha256(identity.encode()).hexdigest()[:32]


def _sound(folder: Path, memory: Path) -> Path | None:
    """The kept graph, if all its files are as they were written."""
    try:
        record = json.loads((folder / _RECORD).read_text("utf-8"))
        wrong = [name for name, digest in record.items() if content_digest(folder / name, memory) != digest]
    except (OSError, ValueError, AttributeError):
        if (folder / _GRAPH).exists():
            logger.warning("the graph in %s was not written whole; it is made again", folder)
        return None
    if wrong or _GRAPH not in record:
        logger.warning("%s in %s changed since it was written; the graph is made again", ", ".join(wrong), folder)
        return None
    return folder / _GRAPH


def _origin(store: StoreSettings, source: Path, making: str) -> dict[str, object]:
    """What people may know of a kept graph; nothing is decided by it. Paths in the cache are relative to it."""
    from onnxembed import __version__

    root = cache_root(store)
    name = source.relative_to(root).as_posix() if source.is_relative_to(root) else str(source)
    what = making.partition("\0")[0]
    return {"source": name, "making": what, "compiler": COMPILER_VERSION, "version": __version__}


def _make_once(folder: Path, memory: Path, make: Make, origin: dict[str, object]) -> Path | None:
    """Make the graph unless another process makes it; ``None`` if that one takes too long."""
    import filelock

    folder.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        logger.info("another process makes the graph in %s; waiting for at most %g s", folder, _LOCK_SECONDS)
        try:
            lock.acquire(timeout=_LOCK_SECONDS)
        except filelock.Timeout:
            logger.warning("%s is locked for more than %g s; the graph is made apart", folder, _LOCK_SECONDS)
            return None
    try:
        kept = _sound(folder, memory)
        if kept is None:
            (folder / _RECORD).unlink(missing_ok=True)
            make(folder / _GRAPH)
            write_text(folder / ORIGIN, json.dumps(origin))
            files = sorted(path for path in folder.iterdir() if path.name.startswith(_GRAPH))
            write_text(folder / _RECORD, json.dumps({path.name: content_digest(path, memory) for path in files}))
            kept = folder / _GRAPH
        return kept
    finally:
        lock.release()
