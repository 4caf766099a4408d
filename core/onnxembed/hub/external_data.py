"""Graphs whose weights lie in files beside them, where the cache has links instead of files.

ONNX Runtime 1.24 and later may refuse external data that really lies elsewhere, which is where the Hub cache has it.
Such a graph gets a folder of its own in which it and its data are real files: hard links, so nothing is stored twice.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path

from onnxembed.errors import ModelNotFoundError, UnsafeModelError
from onnxembed.hub.content import content_digest, digest_memory
from onnxembed.hub.disk import private_name, remove_tree, share_or_copy, write_failure
from onnxembed.hub.folder import safe_relative
from onnxembed.hub.settings import OWN_FOLDER, StoreSettings, cache_root, own_folder

logger = logging.getLogger("onnxembed.store")


def loadable_model_path(model_path: Path, external: tuple[str, ...], settings: StoreSettings) -> Path:
    """A path from which ONNX Runtime loads a graph with its data files, whose names are relative to its folder.

    It is the same path where the files really lie in one folder, else that of the graph in a folder of hard links. Data
    outside both the graph's folder and the cache is refused as an `UnsafeModelError`; a missing file, or no place for
    the links, is a `ModelNotFoundError`.
    """
    names = (model_path.name, *(safe_relative(name) for name in external))
    if not external or _lie_together(model_path.parent, names):
        return model_path
    _check_inside(model_path.parent, names, settings)
    memory = digest_memory(settings)
    digests = {name: content_digest(model_path.parent / name, memory) for name in names}
    linked = Path("linked") / _key(digests) / model_path.name
    try:
        return _link(model_path.parent, digests, own_folder(settings) / linked, memory)
    except OSError as error:
        # A read-only cache. Most versions of ONNX Runtime also take data that lies beside the graph's own target; only
        # where it does not, as in a store that repositories share, is a copy in the user's folder worth its space.
        logger.debug("no links in %s: %s", own_folder(settings), error)
        if _targets_lie_together(model_path.parent, names):
            return model_path
        try:
            return _link(model_path.parent, digests, _user_folder() / linked, memory)
        except OSError:
            raise ModelNotFoundError(write_failure(own_folder(settings) / "linked", error)) from error


def _user_folder() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / OWN_FOLDER


def _lie_together(folder: Path, names: tuple[str, ...]) -> bool:
    real = folder.resolve()
    return all((folder / name).resolve() == real / name for name in names)


def _targets_lie_together(folder: Path, names: tuple[str, ...]) -> bool:
    real = (folder / names[0]).resolve().parent
    return all((folder / name).resolve().is_relative_to(real) for name in names)


def _check_inside(folder: Path, names: tuple[str, ...], settings: StoreSettings) -> None:
    allowed = (folder.resolve(), cache_root(settings).resolve(), *_repository_of(folder))
    for name in names:
        real = (folder / name).resolve()
        if not real.is_file():
            raise ModelNotFoundError(f"{folder / name} is missing; get the model again")
        if not any(real.is_relative_to(place) for place in allowed):
            raise UnsafeModelError(
                f"{folder / name} is a link to {real}, outside the model's folder and the cache; "
                "put the file itself beside the graph"
            )


def _repository_of(folder: Path) -> tuple[Path, ...]:
    """The repository's folder in a Hub cache that the graph lies in, whichever cache that is."""
    for parent in folder.absolute().parents:
        if parent.name == "snapshots" and parent.parent.name.startswith("models--"):
            return (parent.parent.resolve(), (parent.parent.parent / "blobs").resolve())
    return ()


def _key(digests: Mapping[str, str]) -> str:
    import hashlib

    return hashlib.sha256("".join(f"{name}\0{digest}\0" for name, digest in digests.items()).encode()).hexdigest()[:32]


def _link(folder: Path, digests: Mapping[str, str], graph: Path, memory: Path) -> Path:
    target = graph.parent
    if target.is_dir():
        # It came into being by a rename, so it is whole; but what is written into a file is in all its names.
        if all(_has_content(target / name, digest, memory) for name, digest in digests.items()):
            return graph
        logger.warning("the files in %s changed since they were linked; they are linked again", target)
        _take_away(target)
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    staged = private_name(target)
    try:
        for name in digests:
            (staged / name).parent.mkdir(parents=True, exist_ok=True)
            share_or_copy(folder / name, staged / name)
        try:
            staged.rename(target)
        except OSError:
            if not target.is_dir():
                raise
    finally:
        remove_tree(staged)
    return graph


def _has_content(path: Path, digest: str, memory: Path) -> bool:
    return path.is_file() and content_digest(path, memory) == digest


def _take_away(folder: Path) -> None:
    """Remove a folder, so that no other process meets a part of it."""
    aside = private_name(folder)
    try:
        folder.rename(aside)
    except FileNotFoundError:
        return
    remove_tree(aside)
