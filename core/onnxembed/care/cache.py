"""What the cache holds: models, the graphs that were made of them, and what interrupted runs left. Nothing is asked."""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from onnxembed.api.kept_graph import COMPILER_VERSION, ORIGIN
from onnxembed.api.options import EngineOptions
from onnxembed.care.verify import CheckedFile, check_folder, check_snapshot, commits_of
from onnxembed.errors import OnnxEmbedError
from onnxembed.formats.json_file import parse_object
from onnxembed.hub.cache import RepositoryCache
from onnxembed.hub.content import sha256_of
from onnxembed.hub.settings import StoreSettings, cache_root, own_folder
from onnxembed.kinds import KINDS, kind_of
from onnxembed.runtime.precision import GraphNumbers, Precision

_REPOSITORY = re.compile(r"models--(.+)")
_ROUNDED = re.compile(r"\d+ bits\b")
_HALVED = {GraphNumbers.FLOAT16.value: Precision.FP16, GraphNumbers.BFLOAT16.value: Precision.BF16}
GRAPH_PRECISIONS = tuple(one.value for one in (Precision.FP32, Precision.INT8, *_HALVED.values()))
"""The precisions that graphs are made for."""
_PRIVATE = re.compile(r"\..+\.\d+\.[0-9a-f]{8}")
# A file under a private name is renamed within moments of its making.
_PRIVATE_SECONDS = 3600.0
_RECORD = "files.json"
_GRAPH = "model.onnx"
_LARGE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class CachedModel:
    """A model in the cache.

    Attributes:
        name: Its repository, ``org/name``, or the name of the folder of an archive.
        known_as: What the catalogue calls the models that come from there.
        kind: What `open_model` calls it; empty where the files do not say.
        source: ``hub`` or ``archive``.
        path: Its folder.
        commits: The commits that are there, with the branches and tags that stand for each.
        size: Bytes on disk.
        last_used: When a large file of it, or of a graph made of it, was last read or written, in seconds since 1970;
            file systems note reads to the day only, or not at all.
    """

    name: str
    known_as: tuple[str, ...]
    kind: str
    source: str
    path: Path
    commits: tuple[tuple[str, tuple[str, ...]], ...]
    size: int
    last_used: float


@dataclass(frozen=True, slots=True)
class CompiledGraph:
    """A graph that was made of a model's files.

    Attributes:
        model: The repository or the path of the model; empty where it is not known.
        precision: One of `GRAPH_PRECISIONS`; empty where it is not known.
        compiler: The version of the compiler; ``None`` where it is not known.
        version: The version of onnxembed that made it; empty where it is not known.
        path: Its folder.
        size: Bytes on disk.
        last_used: As of a model.
    """

    model: str
    precision: str
    compiler: int | None
    version: str
    path: Path
    size: int
    last_used: float

    @property
    def is_current(self) -> bool:
        """Whether this version of onnxembed would use it."""
        return self.compiler == COMPILER_VERSION


@dataclass(frozen=True, slots=True)
class Leftover:
    """What an interrupted run left.

    Attributes:
        what: What it is, for people.
        path: The file or the folder.
        size: Its bytes.
    """

    what: str
    path: Path
    size: int


def cache_settings(cache_dir: str | Path | None = None) -> StoreSettings:
    """Say which cache is meant: a folder, or the one that the environment names."""
    return StoreSettings(cache_dir=None if cache_dir is None else str(cache_dir), local_files_only=True)


def cached_models(settings: StoreSettings) -> tuple[CachedModel, ...]:
    """List the models in a cache, largest first.

    Args:
        settings: Says where the cache is.

    Returns:
        The models, whichever tool put them there.
    """
    used: dict[str, float] = {}
    for graph in compiled_graphs(settings):  # who runs a graph that was made of the weights does not read these
        used[graph.model] = max(graph.last_used, used.get(graph.model, 0.0))
    found = [_of_repository(place, settings) for place in repositories(settings)]
    found += [_of_archive(folder) for folder in _archives(settings)]
    found = [replace(model, last_used=max(model.last_used, used.get(model.name, 0.0))) for model in found]
    return tuple(sorted(found, key=lambda model: (-model.size, model.name)))


def compiled_graphs(settings: StoreSettings) -> tuple[CompiledGraph, ...]:
    """List the graphs that were made and kept, largest first.

    Args:
        settings: Says where the cache is.

    Returns:
        The whole ones; half-made ones are among `leftovers`.
    """
    folders = [folder for folder in _folders(own_folder(settings) / "compiled") if (folder / _RECORD).is_file()]
    origins = {folder: _origin(folder) for folder in folders}
    graphs = []
    for folder, origin in origins.items():
        compiler = origin.get("compiler")
        graphs.append(
            CompiledGraph(
                model=_model_of(str(origin.get("source", "")), origins, settings),
                precision=_precision(origin),
                compiler=compiler if isinstance(compiler, int) else None,
                version=str(origin.get("version", "")),
                path=folder,
                size=size_of(folder),
                last_used=_last_used(folder, f"{_GRAPH}*"),
            )
        )
    return tuple(sorted(graphs, key=lambda graph: (-graph.size, graph.path)))


def leftovers(settings: StoreSettings) -> tuple[Leftover, ...]:
    """List what interrupted runs left, which a later run may go on from, or begins again.

    Args:
        settings: Says where the cache is.

    Returns:
        Unfinished downloads, archives that were not unpacked whole, and graphs that were not made whole.
    """
    found = [
        Leftover(f"unfinished download of {place.repository}", path, path.stat().st_size)
        for place in repositories(settings)
        for path in sorted((place.folder / "blobs").glob("*.incomplete"))
    ]
    own = own_folder(settings)
    for what, folders in (
        ("unfinished download", _folders(own / "partial")),
        ("archive that was not unpacked whole", [f for f in _folders(own / "archives") if f.suffix == ".staging"]),
        ("graph that was not made whole", [f for f in _folders(own / "compiled") if not (f / _RECORD).is_file()]),
    ):
        found += [Leftover(what, folder, size_of(folder)) for folder in folders]
    old = time.time() - _PRIVATE_SECONDS
    for path in sorted(own.rglob(".*")) if own.is_dir() else ():
        if _PRIVATE.fullmatch(path.name) and path.lstat().st_mtime < old:
            found.append(Leftover("half-written file", path, size_of(path)))
    return tuple(found)


def verified(settings: StoreSettings, names: Iterable[str] = ()) -> Iterator[tuple[str, CheckedFile]]:
    """Compare the files of a cache with the digests that were published, and those of kept graphs with their record.

    Args:
        settings: Says where the cache is.
        names: The models to look at; none for everything.

    Yields:
        The name of the model or of the graph, and each of its files.
    """
    wanted = set(names)
    for model in cached_models(settings):
        if wanted and model.name not in wanted:
            continue
        if model.source == "archive":
            yield from ((model.name, file) for file in check_folder(model.path))
            continue
        place = RepositoryCache(model.name, model.path, own_folder(settings))
        for commit in commits_of(place):
            yield from ((model.name, file) for file in check_snapshot(place, commit))
    for graph in compiled_graphs(settings):
        if not wanted or graph.model in wanted:
            yield from ((f"graph of {graph.model or 'an unknown model'}", file) for file in _check_graph(graph.path))


def repositories(settings: StoreSettings) -> list[RepositoryCache]:
    """Give the repositories that a cache has."""
    found = []
    for folder in _folders(cache_root(settings)):
        matched = _REPOSITORY.fullmatch(folder.name)
        if matched is not None:
            found.append(RepositoryCache(matched[1].replace("--", "/"), folder, own_folder(settings)))
    return found


def size_of(path: Path) -> int:
    """Bytes on disk of a file, or of all in a folder; links count nothing, and a content with two names counts once."""
    seen, total = set[tuple[int, int]](), 0
    for file in [path, *(path.rglob("*") if path.is_dir() and not path.is_symlink() else ())]:
        with contextlib.suppress(OSError):
            status = file.lstat()
            if file.is_symlink() or file.is_dir() or (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            total += status.st_size
    return total


def _of_repository(place: RepositoryCache, settings: StoreSettings) -> CachedModel:
    refs = place.folder / "refs"
    branches: dict[str, list[str]] = {}
    for path in sorted(refs.rglob("*")) if refs.is_dir() else ():
        with contextlib.suppress(OSError, UnicodeDecodeError):
            branches.setdefault(path.read_text("utf-8").strip(), []).append(path.relative_to(refs).as_posix())
    rows = [(kind.name, row) for kind in KINDS for row in kind.registry.models()]
    known = [
        (kind, row.name)
        for kind, row in rows
        if any(source.hf is not None and source.hf.casefold() == place.repository.casefold() for source in row.sources)
    ]
    kinds = sorted({kind for kind, _ in known})
    return CachedModel(
        name=place.repository,
        known_as=tuple(name for _, name in known),
        kind=", ".join(kinds) or _kind_of(place.repository, settings),
        source="hub",
        path=place.folder,
        commits=tuple((commit, tuple(branches.get(commit, ()))) for commit in commits_of(place)),
        size=size_of(place.folder),
        last_used=_last_used(place.folder),
    )


def _kind_of(repository: str, settings: StoreSettings) -> str:
    try:
        return kind_of(EngineOptions(repository, cache_dir=settings.cache_dir, local_files_only=True)).name
    except OnnxEmbedError:
        return ""


def _of_archive(folder: Path) -> CachedModel:
    return CachedModel(folder.name, (), "", "archive", folder, (), size_of(folder), _last_used(folder))


def _archives(settings: StoreSettings) -> list[Path]:
    return [folder for folder in _folders(own_folder(settings) / "archives") if folder.suffix != ".staging"]


def _folders(parent: Path) -> list[Path]:
    try:
        return sorted(path for path in parent.iterdir() if path.is_dir())
    except OSError:
        return []


def _last_used(folder: Path, pattern: str = "*") -> float:
    """When one of the large files was last read or written; to list the small ones is to read them."""
    small, large = [0.0], list[float]()
    for path in folder.rglob(pattern):
        with contextlib.suppress(OSError):
            status = path.lstat()
            if not path.is_dir() and not path.is_symlink():
                times = large if status.st_size >= _LARGE_BYTES else small
                times.append(max(status.st_atime, status.st_mtime))
    return max(large or small)


def _origin(folder: Path) -> dict[str, object]:
    with contextlib.suppress(OSError, OnnxEmbedError):
        return parse_object((folder / ORIGIN).read_bytes(), str(folder / ORIGIN))
    return {}


def _precision(origin: dict[str, object]) -> str:
    making = origin.get("making")
    if not isinstance(making, str):
        return ""
    if _ROUNDED.match(making):
        return Precision.INT8.value
    return _HALVED.get(making.split(" ")[0], Precision.FP32).value


def _model_of(source: str, origins: dict[Path, dict[str, object]], settings: StoreSettings) -> str:
    """The model that a graph was made of, through the graph in full precision that one in 8 bits was made of."""
    path = cache_root(settings) / source  # absolute where it lies outside
    if source and path.parent in origins:
        return _model_of(str(origins[path.parent].get("source", "")), {}, settings)
    matched = None if Path(source).is_absolute() or not source else _REPOSITORY.fullmatch(Path(source).parts[0])
    if matched is not None:
        return matched[1].replace("--", "/")
    return str(path.parent) if source else ""


def _check_graph(folder: Path) -> Iterator[CheckedFile]:
    try:
        record = json.loads((folder / _RECORD).read_text("utf-8"))
        names = dict(record)
    except (OSError, ValueError, TypeError) as error:
        yield CheckedFile(folder / _RECORD, _RECORD, 0, f"it cannot be read ({error})")
        return
    for name, digest in names.items():
        path = folder / name
        try:
            wrong = "" if sha256_of(path) == digest else "it changed since it was written; it is made again when used"
            yield CheckedFile(path, name, path.stat().st_size, wrong)
        except OSError as error:
            yield CheckedFile(path, name, 0, f"it cannot be read ({error.strerror or error})")
