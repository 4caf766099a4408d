"""Models that come as a ``.tar.gz`` archive from an address."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import re
from typing import TYPE_CHECKING

from onnxembed.errors import IntegrityError, ModelNotFoundError
from onnxembed.hub.content import sha256_of
from onnxembed.hub.disk import remove_tree, write_failure
from onnxembed.hub.extraction import extract
from onnxembed.hub.folder import (
    ModelFolder,
    describe_needs,
    external_files,
    missing_from_any_layout,
    readable_names,
)
from onnxembed.hub.identity import check_published, unreadable
from onnxembed.hub.locks import locked
from onnxembed.hub.settings import StoreSettings, own_folder
from onnxembed.hub.shown import shown_address
from onnxembed.hub.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from onnxembed.spec import ModelSource, ModelSpec

logger = logging.getLogger("onnxembed.store")


def archive_folder(model: ModelSpec, source: ModelSource, settings: StoreSettings) -> Path:
    """Where an archive's content is kept: a path of its own per address (signature apart) and published digest."""
    readable = re.sub(r"[^A-Za-z0-9_.-]+", "--", model.name).strip(".-")[:80] or "model"
    identity = f"{shown_address(source.url or '')}\0{dict(source.sha256).get('', '')}"
    return own_folder(settings) / "archives" / f"{readable}-{hashlib.sha256(identity.encode()).hexdigest()[:12]}"


def cached_archive(model: ModelSpec, source: ModelSource, settings: StoreSettings) -> ModelFolder | None:
    """Find an archive that was unpacked before, and check its files against the published digests."""
    folder = archive_folder(model, source, settings)
    if not folder.is_dir() or missing_from_any_layout(folder, model):
        return None
    check_published(folder, source, settings)
    return ModelFolder(folder, f"archive {shown_address(source.url or '')}")


def from_archive(model: ModelSpec, source: ModelSource, settings: StoreSettings) -> ModelFolder:
    """Fetch and unpack an archive, unless another process has just done so.

    A `ModelNotFoundError` says that it cannot be had or lacks the files, or that the cache cannot be written.
    """
    target = archive_folder(model, source, settings)
    with locked(target.with_name(f"{target.name}.lock"), settings.limits):
        with contextlib.suppress(IntegrityError):
            present = cached_archive(model, source, settings)
            if present is not None:
                return present
        try:
            with _staging(target) as staging:
                content = _unpack(model, source, settings, staging)
                remove_tree(target)
                content.rename(target)
        except ModelNotFoundError:
            raise
        except OSError as error:
            raise ModelNotFoundError(write_failure(target, error)) from error
    return ModelFolder(target, f"archive {shown_address(source.url or '')}")


def repair_archive(folder: ModelFolder, model: ModelSpec, settings: StoreSettings) -> tuple[str, ...]:
    """Fetch and unpack an archive again where a file of its copy is not what its name says; name such files."""
    for source in model.sources:
        if source.url is None or archive_folder(model, source, settings) != folder.path:
            continue
        files = (path for path in sorted(folder.path.rglob("*")) if path.is_file())
        damaged = tuple(path.relative_to(folder.path).as_posix() for path in files if unreadable(path))
        if damaged and settings.offline:
            raise ModelNotFoundError(
                f"{', '.join(damaged)} in {folder.path}: damaged, and {settings.offline_cause} forbids requests"
            )
        if damaged:
            remove_tree(folder.path)
            from_archive(model, source, settings)
        return damaged
    return ()


@contextlib.contextmanager
def _staging(target: Path) -> Iterator[Path]:
    # One name per archive: the lock keeps others out, and what a killed process left is found and removed.
    staging = target.with_name(f"{target.name}.staging")
    remove_tree(staging)
    staging.mkdir(parents=True)
    try:
        yield staging
    finally:
        remove_tree(staging)


def _unpack(model: ModelSpec, source: ModelSource, settings: StoreSettings, staging: Path) -> Path:
    packed, content = staging / "archive.tar.gz", staging / "content"
    address = shown_address(source.url or "")
    logger.info("the archive is %s", address)
    request = {"do": "archive", "url": source.url, "max_bytes": settings.limits.archive_bytes, "part": str(packed)}
    with Worker(settings.limits, show_progress=settings.show_progress) as worker:
        worker.call("the archive", request)
    expected = dict(source.sha256).get("", "").lower()
    if expected and (found := sha256_of(packed)) != expected:
        raise IntegrityError(f"the archive has the SHA-256 {found}, expected {expected}; nothing of it was kept")
    extract(packed, content, settings.limits, readable_names(model))
    graphs = [path for path in content.rglob("*.onnx") if path.is_file()]
    external = {name for graph in graphs for name in external_files(graph, graph.relative_to(content).as_posix())}
    if external:
        extract(packed, content, settings.limits, external)
    packed.unlink()
    root = _model_root(model, content)
    check_published(root, source, settings)
    return root


def _model_root(model: ModelSpec, content: Path) -> Path:
    """The folder with the model: the archive's root, or its single folder."""
    if not missing_from_any_layout(content, model):
        return content
    folders = [entry for entry in content.iterdir() if entry.is_dir()]
    if len(folders) == 1 and not missing_from_any_layout(folders[0], model):
        return folders[0]
    missing = missing_from_any_layout(folders[0] if len(folders) == 1 else content, model)
    raise ModelNotFoundError(f"the archive lacks {', '.join(missing)}; expected {describe_needs(model)} at its root")
