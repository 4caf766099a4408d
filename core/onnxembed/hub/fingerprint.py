"""A short name for a model's files, by their content."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path, PurePosixPath

from onnxembed.formats.onnx_graph import inspect_graph
from onnxembed.formats.weight_files import INDEX_FILE, WEIGHTS_FILE
from onnxembed.hub.content import content_digest
from onnxembed.hub.files import FolderFiles, find_graph, weights_names

# Descriptions, vocabularies and tables: all count, since any of them may be read. Weights and graphs count where
# they are loaded: a repository ships many, and only one of them makes the vectors.
_READ_SUFFIXES = frozenset({".json", ".txt", ".model", ".npy", ".vocab"})
_DEEPEST = 3


def folder_fingerprint(
    folder: Path, model_file: str, additional_files: tuple[str, ...], memory: Path | None = None
) -> str:
    """Hash the content of all files that decide a model's results: equal for equal files wherever they lie.

    Args:
        folder: The model's folder.
        model_file: The graph or the table that its description names.
        additional_files: Further files that it names.
        memory: Where the digests of large files are kept; ``None`` for nowhere.

    Returns:
        64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for name in sorted({*_loaded(folder, model_file), *additional_files, *read_names(folder)}):
        path = folder / name
        if path.is_file():
            digest.update(f"{name}\0{content_digest(path, memory)}\0".encode())
    return digest.hexdigest()


def _loaded(folder: Path, model_file: str) -> tuple[str, ...]:
    """The file that is loaded, which may lie elsewhere than described, and those that it keeps weights in."""
    if (folder / model_file).is_file():
        name = model_file
    else:
        graph = find_graph(folder, model_file)
        name = WEIGHTS_FILE if graph is None else graph.relative_to(folder).as_posix()
    if name in (WEIGHTS_FILE, INDEX_FILE):
        return weights_names(FolderFiles(folder))
    if not name.endswith(".onnx") or not (folder / name).is_file():
        return (name,)
    return (name, *(str(PurePosixPath(name).parent / data) for data in inspect_graph(folder / name).external_data))


def read_names(folder: Path) -> list[str]:
    """The small files of a folder and of the folders in it: stages have one each, with their weights."""
    found: list[str] = []
    for root, folders, files in os.walk(folder):
        place = PurePosixPath(Path(root).relative_to(folder).as_posix())
        folders[:] = [name for name in folders if not name.startswith(".") and len(place.parts) + 1 < _DEEPEST]
        stage = "config.json" in files and place.parts != ()
        found += [
            str(place / name)
            for name in files
            if PurePosixPath(name).suffix in _READ_SUFFIXES or (stage and name == WEIGHTS_FILE)
        ]
    return found
