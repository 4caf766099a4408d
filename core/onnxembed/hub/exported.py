"""Folders that `export` wrote: one file says which model they hold, which graph is ready, and each file's SHA-256.

Such a folder is read without a cache: nothing is compiled, hashed into a memory, or written. What it says of its files
holds, or the folder is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from onnxembed.errors import ModelError, ModelNotFoundError, UnsafeModelError
from onnxembed.formats.json_file import parse_object
from onnxembed.hub.folder import safe_relative

MANIFEST_FILE = "onnxembed.json"
"""What makes a folder an exported one."""
FORMAT = 1
_LARGE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class ReadyGraph:
    """A graph that needs no more making.

    Attributes:
        model_file: The graph or the weights of the description that it stands for.
        body_folder: That description's folder of tokenizer, configuration and weights.
        path: The file, relative to the exported folder.
        compiled: Whether it was compiled from weights, with the outputs of such graphs.
        recipe: What it was compiled to, as plain data; empty for a graph that was shipped.
        data: The files beside it with its weights, relative to the exported folder.
    """

    model_file: str
    body_folder: str
    path: str
    compiled: bool
    recipe: Mapping[str, Any]
    data: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an exported folder says of itself.

    Attributes:
        name: The model's name when it was exported.
        source: Where its files came from, for people.
        model_class: The class that exported it, and opens it.
        precision: How it is computed.
        weight_bits: Bits of its weights; 32 for single precision.
        accept_unknown: Keys of its files that were accepted.
        content: The name of the content of the files that it was made of, which goes into the fingerprint.
        fingerprint: The model's fingerprint with the options that it was exported with.
        versions: Versions of what made it, by name.
        graphs: Its graphs.
        files: SHA-256 and bytes of every file, by name.
        model: The model's description as plain data.
        options: The options that change its results, as plain data, by name; ``None`` ones left out. Folders that
            earlier versions wrote have none.
    """

    name: str
    source: str
    model_class: str
    precision: str
    weight_bits: int
    accept_unknown: tuple[str, ...]
    content: str
    fingerprint: str
    versions: Mapping[str, str]
    graphs: tuple[ReadyGraph, ...]
    files: Mapping[str, tuple[str, int]]
    model: Mapping[str, Any]
    options: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, object]:
        """Give it as plain data that JSON can hold."""
        return {"format": FORMAT, **asdict(self)}

    def graph(self, model_file: str, body_folder: str, folder: Path) -> ReadyGraph:
        """The graph that stands for a description's; a `ModelError` where the folder was exported without it."""
        for graph in self.graphs:
            if (graph.model_file, graph.body_folder) == (model_file, body_folder):
                return graph
        raise ModelError(
            f"{folder / MANIFEST_FILE} lists no graph for {model_file!r}; export {self.name!r} again with this version"
        )

    @property
    def graph_files(self) -> frozenset[str]:
        """The names of the graphs and of their data."""
        return frozenset(name for graph in self.graphs for name in (graph.path, *graph.data))


def manifest_of(folder: Path) -> Manifest | None:
    """Read what an exported folder says of itself; ``None`` for another folder.

    Args:
        folder: A folder.

    Returns:
        What it says.

    Raises:
        ModelError: If the file is damaged, or written in a form that this version does not know.
    """
    path = folder / MANIFEST_FILE
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror or error})") from error
    return _manifest(path, content)


@lru_cache(maxsize=16)  # opening a model asks half a dozen times
def _manifest(path: Path, content: bytes) -> Manifest:
    said = parse_object(content, str(path))
    if said.pop("format", None) != FORMAT:
        raise ModelError(f"{path} is not of the form {FORMAT} that this version reads; export the model again with it")
    try:
        graphs = tuple(ReadyGraph(**{**graph, "data": tuple(graph["data"])}) for graph in said.pop("graphs"))
        files = {safe_relative(name): (str(digest), int(size)) for name, (digest, size) in said.pop("files").items()}
        accepted = tuple(said.pop("accept_unknown"))
        manifest = Manifest(graphs=graphs, files=files, accept_unknown=accepted, **said)
    except UnsafeModelError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(f"{path} is damaged ({error}); export the model again") from error
    unlisted = sorted(manifest.graph_files - set(files))
    if unlisted:
        raise ModelError(f"{path} is damaged: it gives no SHA-256 of {unlisted[0]}; export the model again")
    return manifest


def check_files(folder: Path, manifest: Manifest, names: Iterable[str]) -> None:
    """Refuse files of an exported folder that are not there, or not as they were written.

    Args:
        folder: The folder.
        manifest: What it says.
        names: The files to look at.

    Raises:
        ModelNotFoundError: If one is missing.
        ModelError: If one has another content; it is named.
    """
    from onnxembed.hub.content import sha256_of, sha256_of_large

    for name in names:
        path, (digest, size) = folder / name, manifest.files[name]
        try:
            hashed = sha256_of_large if size > _LARGE_BYTES else sha256_of
            same = path.stat().st_size == size and hashed(path) == digest
        except FileNotFoundError:
            raise ModelNotFoundError(f"the exported folder {folder} lacks {name}; copy it again, whole") from None
        except OSError as error:
            raise ModelError(f"{path} cannot be read ({error.strerror or error})") from error
        if not same:
            raise ModelError(f"{path} changed since it was exported; copy the folder again, or export the model again")


def small_and_large(manifest: Manifest, names: Iterable[str]) -> tuple[list[str], list[str]]:
    """Part files by size: those hashed in no time, and those of more than 1 MiB."""
    small, large = list[str](), list[str]()
    for name in names:
        (large if manifest.files[name][1] > _LARGE_BYTES else small).append(name)
    return small, large
