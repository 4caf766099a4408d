"""The files of one model, in a folder or listed by the Hub: their names, their sizes, and the content of small ones.

A kind of model describes what it finds here, and only then are the files brought that the description names.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnxembed.errors import ModelError, ModelNotFoundError, UnsafeModelError
from onnxembed.formats.facts import Facts
from onnxembed.formats.json_file import parse_json, parse_object
from onnxembed.formats.weight_files import INDEX_FILE, WEIGHTS_FILE
from onnxembed.hub.folder import GRAPH_LAYOUTS, has_content, safe_relative
from onnxembed.spec import ModelSource

if TYPE_CHECKING:
    from collections.abc import Callable

    from onnxembed.formats.onnx_graph import GraphFacts
    from onnxembed.hub.cache import Listing

_DEEPEST = 3
SMALL_FILE_BYTES = 16 << 20
"""Most bytes of a small file unless the caller says otherwise; configurations have some kilobytes."""


class Files(ABC):
    """The files of one model. Names are relative, with forward slashes; an unsafe one is an `UnsafeModelError`."""

    where: str
    """The folder, or ``org/name@revision``, for messages."""
    model_name: str
    """What a model is called that is described by these files: the folder's path, or ``org/name``."""
    sources: tuple[ModelSource, ...] = ()
    """Where the files are brought from; none for a folder, whose files are here."""
    accept_unknown: tuple[str, ...] = ()
    """Keys of the metadata that are passed over although nobody knows them; see `Facts.finish`."""
    chosen: str | None = None
    """The graph or the weights that were chosen among several; ``None`` for what the usual places hold."""

    def __init__(self) -> None:
        """Begin with nothing read."""
        self._facts: dict[str, Facts] = {}
        self._read: set[str] = set()

    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """Give the names of all files, sorted; unsafe ones are left out."""

    @abstractmethod
    def has(self, name: str) -> bool:
        """Tell whether there is such a file."""

    def size(self, name: str) -> int | None:
        """Tell a file's size in bytes, ``None`` where a mirror does not; a `ModelNotFoundError` where it is missing."""
        if not self.has(name):
            raise ModelNotFoundError(f"{self.where} has no file {name!r}")
        return self._size(name)

    def read(self, name: str, limit: int = SMALL_FILE_BYTES) -> bytes:
        """Read a small file; a `ModelNotFoundError` where it is missing, a `ModelError` where it exceeds the limit."""
        size = self.size(name)
        if size is not None and size > limit:
            raise ModelError(
                f"{self.label(name)} has {size:,} bytes; a file of this kind has at most {limit:,}: fetch it again"
            )
        content = self._content(name, limit)
        self._read.add(name)
        return content

    @abstractmethod
    def is_here(self, name: str) -> bool:
        """Tell whether a file lies on this machine."""

    @property
    def read_names(self) -> tuple[str, ...]:
        """The names of the files that were read, sorted."""
        return tuple(sorted(self._read))

    @abstractmethod
    def graph(self, name: str) -> GraphFacts | None:
        """Inspect a graph; ``None`` where it is not on this machine yet, so that only its name is known."""

    @abstractmethod
    def label(self, name: str) -> str:
        """Name a file for messages."""

    def json(self, name: str, limit: int = SMALL_FILE_BYTES) -> object:
        """Read a JSON file; ``None`` where it is missing."""
        return parse_json(self.read(name, limit), self.label(name)) if self.has(name) else None

    def json_object(self, name: str, limit: int = SMALL_FILE_BYTES) -> dict[str, Any]:
        """Read a JSON object; empty where the file is missing."""
        return parse_object(self.read(name, limit), self.label(name)) if self.has(name) else {}

    def facts(self, name: str) -> Facts:
        """Read a JSON object key by key: the same `Facts` for all who ask, empty where the file is missing."""
        if name not in self._facts:
            self._facts[name] = Facts(self.json_object(name), self.label(name))
        return self._facts[name]

    @property
    def all_facts(self) -> dict[str, Facts]:
        """The `Facts` that were asked for, by the names of their files."""
        return dict(self._facts)

    @abstractmethod
    def _size(self, name: str) -> int | None: ...

    @abstractmethod
    def _content(self, name: str, limit: int) -> bytes: ...


class FolderFiles(Files):
    """The files of a folder; links are followed."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.where = self.model_name = str(folder)
        self._graphs: dict[str, GraphFacts] = {}

    def names(self) -> tuple[str, ...]:
        """Give the names of all files that lie as deep as those of a model may, sorted."""
        found: list[str] = []
        for root, folders, files in os.walk(self.folder):
            place = Path(root).relative_to(self.folder)
            if len(place.parts) >= _DEEPEST:
                folders.clear()  # a folder that was named by mistake may hold a whole disk
            found += [name for name in ((place / file).as_posix() for file in files) if _is_safe(name)]
        return tuple(sorted(found))

    def has(self, name: str) -> bool:
        """Tell whether there is such a file."""
        return (self.folder / safe_relative(name)).is_file()

    def is_here(self, name: str) -> bool:
        """Tell whether there is such a file: all are here."""
        return self.has(name)

    def graph(self, name: str) -> GraphFacts:
        """Inspect a graph, once."""
        if name not in self._graphs:
            from onnxembed.formats.onnx_graph import inspect_graph

            self._graphs[name] = inspect_graph(self.folder / safe_relative(name))
        return self._graphs[name]

    def label(self, name: str) -> str:
        """Give a file's path."""
        return str(self.folder / name)

    def _size(self, name: str) -> int:
        return (self.folder / name).stat().st_size

    def _content(self, name: str, limit: int) -> bytes:
        try:
            with (self.folder / name).open("rb") as file:
                return file.read(limit)
        except OSError as error:
            raise ModelError(f"{self.label(name)} cannot be read ({error.strerror or error})") from error


class RepositoryFiles(Files):
    """The files of one commit of a Hub repository; small ones are fetched when they are read."""

    def __init__(
        self,
        repository: str,
        revision: str,
        listing: Listing,
        reader: Callable[[str, int], bytes],
        snapshot: Path | None = None,
    ) -> None:
        """Take a listing, what reads a listed file of at most so many bytes, and the commit's folder in the cache."""
        super().__init__()
        self.where = f"{repository}@{revision}"
        self.model_name = repository
        self.sources = (ModelSource(hf=repository),)
        self.listing = listing
        self._snapshot = snapshot
        self.commit = listing.commit
        self._reader = reader

    def names(self) -> tuple[str, ...]:
        """Give the names of all files, sorted."""
        return tuple(sorted(name for name in self.listing.files if _is_safe(name)))

    def has(self, name: str) -> bool:
        """Tell whether there is such a file."""
        return safe_relative(name) in self.listing.files

    def is_here(self, name: str) -> bool:
        """Tell whether the cache has a file."""
        return self._snapshot is not None and has_content(self._snapshot / safe_relative(name))

    def graph(self, name: str) -> GraphFacts | None:  # noqa: ARG002  # the folder's twin takes it
        """Give ``None``: graphs are not fetched to describe a model."""
        return None

    def label(self, name: str) -> str:
        """Give the repository, the revision and the name."""
        return f"{self.where}/{name}"

    def _size(self, name: str) -> int | None:
        return self.listing.files[name].size

    def _content(self, name: str, limit: int) -> bytes:
        return self._reader(name, limit)


class SnapshotFiles(FolderFiles):
    """The files of one commit of a Hub repository that another tool has put into the cache."""

    def __init__(self, repository: str, revision: str, commit: str, folder: Path) -> None:
        """Take the commit and its folder."""
        super().__init__(folder)
        self.where = f"{repository}@{revision}"
        self.model_name = repository
        self.sources = (ModelSource(hf=repository),)
        self.commit = commit


def graph_name(files: Files, model_file: str) -> str | None:
    """Find the graph among some files: the chosen one, else where the description says, else in a usual place.

    ``None`` without one, and where weights are chosen.
    """
    if files.chosen is not None:
        return files.chosen if files.chosen.endswith(".onnx") else None
    names = (name for name in (model_file, *GRAPH_LAYOUTS) if name.endswith(".onnx"))
    return next((name for name in names if files.has(name)), None)


def find_graph(folder: Path, model_file: str) -> Path | None:
    """Find the graph in a folder, as `graph_name` does."""
    name = graph_name(FolderFiles(folder), model_file)
    return None if name is None else folder / name


def has_weights(files: Files, folder: str = "") -> bool:
    """Tell whether there are weights in the safetensors format, in one file or in several with an index.

    ``folder`` is the one that holds them, relative to the model's; empty for the model's own.
    """
    return any(files.has(inside(folder, name)) for name in (WEIGHTS_FILE, INDEX_FILE))


def weights_names(files: Files, folder: str = "") -> tuple[str, ...]:
    """Name the files of the weights: ``model.safetensors``, or the index and the files that it names; empty without.

    ``folder`` is as in `has_weights`. An index that names no file, or one outside the folder, is a `ModelError`.
    """
    if files.has(inside(folder, WEIGHTS_FILE)):
        return (inside(folder, WEIGHTS_FILE),)
    index = inside(folder, INDEX_FILE)
    if not files.has(index):
        return ()
    from onnxembed.formats.shards import shard_names

    return (index, *(inside(folder, name) for name in shard_names(files.read(index), files.label(index))))


def inside(folder: str, name: str) -> str:
    """Give the name of a file of a folder of the model's; an empty folder is the model's own."""
    return f"{folder}/{name}" if folder else name


def _is_safe(name: str) -> bool:
    try:
        return bool(safe_relative(name))
    except UnsafeModelError:
        return False
