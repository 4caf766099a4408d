"""Files that appear whole or not at all, and messages on places that cannot be written."""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def private_name(path: Path) -> Path:
    """A sibling of a path that no other process or thread uses."""
    return path.with_name(f".{path.name[:80]}.{os.getpid()}.{os.urandom(4).hex()}")


def write_text(path: Path, text: str) -> None:
    """Write a small file, whole or not at all, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = private_name(path)
    try:
        staged.write_text(text, encoding="utf-8")
        staged.replace(path)
    finally:
        staged.unlink(missing_ok=True)


def link_to(target: Path, link: Path) -> None:
    """Put another name of a file in place of what has that name: a relative symbolic link, a hard link, else a copy."""
    link.parent.mkdir(parents=True, exist_ok=True)
    staged = private_name(link)
    try:
        try:
            staged.symlink_to(os.path.relpath(target, link.parent))
        except (OSError, NotImplementedError):
            share_or_copy(target, staged)
        staged.replace(link)
    finally:
        staged.unlink(missing_ok=True)


def share_or_copy(source: Path, target: Path) -> None:
    """Give a file's content (links are followed) a new name, without a second copy where the file system can."""
    import shutil

    real = source.resolve()
    try:
        os.link(real, target)
    except OSError:
        # Another file system, or one without hard links.
        shutil.copyfile(real, target)


def remove_tree(folder: Path) -> None:
    """Remove a folder with all in it, if it is there; of a link the link, not its target."""
    import shutil

    with contextlib.suppress(FileNotFoundError):
        if folder.is_symlink() or folder.is_file():
            folder.unlink()
        else:
            shutil.rmtree(folder)


def write_failure(path: Path, error: OSError) -> str:
    """The message on a place that cannot be written."""
    if error.errno == errno.ENOSPC:
        return f"the disk is full: {path} cannot grow; free some space or pass cache_dir="
    return (
        f"the cache cannot be written at {path} ({error.strerror or error}); "
        "make the folder writable, or choose another with cache_dir= or ONNXEMBED_CACHE"
    )
