"""A short name for a model's files, by their content."""

from __future__ import annotations

import hashlib
from pathlib import Path, PurePosixPath

from onnxembed.api.graph_file import find_graph
from onnxembed.formats.onnx_graph import inspect_graph
from onnxembed.hub.folder import WEIGHTS_FILE

# Small files are hashed whole; of larger ones the size and three samples. Weights that differ at all differ almost
# everywhere, so samples tell two models apart, and a 2 GB file costs milliseconds.
_SAMPLE = 1 << 20
_SMALL_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "config.json",
    "sentence_bert_config.json",
)


def folder_fingerprint(folder: Path, model_file: str, additional_files: tuple[str, ...]) -> str:
    """Hash the files that decide a model's vectors.

    Args:
        folder: The model's folder.
        model_file: The graph or table.
        additional_files: Further files.

    Returns:
        64 hexadecimal digits; equal for equal files wherever they lie.
    """
    digest = hashlib.sha256()
    for name in dict.fromkeys((*_weights(folder, model_file), *additional_files, *_SMALL_FILES)):
        path = folder / name
        if path.is_file():
            digest.update(f"{name}\0{path.stat().st_size}\0".encode())
            digest.update(_sample(path))
    return digest.hexdigest()


def _weights(folder: Path, model_file: str) -> tuple[str, ...]:
    """The file that is loaded, which may lie elsewhere than described, and those that it keeps weights in."""
    if (folder / model_file).is_file():
        name = model_file
    else:
        graph = find_graph(folder, model_file)
        name = WEIGHTS_FILE if graph is None else graph.relative_to(folder).as_posix()
    if not name.endswith(".onnx"):
        return (name,)
    return (name, *(str(PurePosixPath(name).parent / data) for data in inspect_graph(folder / name).external_data))


def _sample(path: Path) -> bytes:
    size = path.stat().st_size
    digest = hashlib.sha256()
    with path.open("rb") as file:
        if size <= 4 * _SAMPLE:
            digest.update(file.read())
        else:
            for offset in (0, size // 2, size - _SAMPLE):
                file.seek(offset)
                digest.update(file.read(_SAMPLE))
    return digest.digest()
