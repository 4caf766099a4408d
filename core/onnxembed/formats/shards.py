"""The weights of a model: one safetensors file, or several with an index that says which tensor lies where."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from onnxembed.errors import ModelError, UnsafeModelError
from onnxembed.formats.json_file import parse_object
from onnxembed.formats.safetensors import SafetensorsFile
from onnxembed.suggest import listed

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NAMES_SHOWN = 8


class Tensors(Protocol):
    """Tensors by name, open for reading."""

    @property
    def names(self) -> tuple[str, ...]:
        """All names."""

    def shape(self, name: str) -> tuple[int, ...]:
        """Give the shape of a tensor without touching its bytes."""

    def tensor(self, name: str, rows: slice = slice(None)) -> NDArray[Any]:
        """Give a tensor, or some of its rows: a view of the file where its type allows it."""

    def close(self) -> None:
        """Let go of the files."""


class ShardedTensors:
    """The tensors of several files; every one is in the file that the index names, and in no other."""

    def __init__(self, index: Path) -> None:
        """Open all files that the index names.

        Args:
            index: The ``model.safetensors.index.json``.

        Raises:
            UnsafeModelError: The index names a file outside its folder.
            ModelError: A file is missing or damaged, or holds other tensors than the index says.
        """
        places = _places(index.read_bytes(), str(index))
        self._files: dict[str, SafetensorsFile] = {}
        try:
            for shard in dict.fromkeys(places.values()):
                self._files[shard] = SafetensorsFile(index.parent / shard)
            _check_places(index, places, self._files)
        except BaseException:
            self.close()
            raise
        self._places = places

    @property
    def names(self) -> tuple[str, ...]:
        """All names, in the order of the index."""
        return tuple(self._places)

    def shape(self, name: str) -> tuple[int, ...]:
        """Give the shape of a tensor without touching its bytes."""
        return self._files[self._places[name]].shape(name)

    def tensor(self, name: str, rows: slice = slice(None)) -> NDArray[Any]:
        """Give a tensor, as `SafetensorsFile.tensor` does."""
        return self._files[self._places[name]].tensor(name, rows)

    def close(self) -> None:
        """Let go of the files."""
        for file in self._files.values():
            file.close()


def open_tensors(path: Path) -> Tensors:
    """Open a ``safetensors`` file, or all files that an index of shards names."""
    return ShardedTensors(path) if path.suffix == ".json" else SafetensorsFile(path)


def shard_names(content: bytes, where: str) -> tuple[str, ...]:
    """Give the files that an index of shards names, each once, in its order.

    Args:
        content: The index.
        where: Its path, for messages.

    Returns:
        Names of files beside the index.

    Raises:
        UnsafeModelError: A file lies outside the folder of the index.
        ModelError: The index is no map from names of tensors to names of files.
    """
    return tuple(dict.fromkeys(_places(content, where).values()))


def _places(content: bytes, where: str) -> dict[str, str]:
    places = parse_object(content, where).get("weight_map")
    if not isinstance(places, dict) or not places or not all(isinstance(file, str) for file in places.values()):
        raise ModelError(f"{where}: weight_map is no object of names of tensors and files; fetch the file again")
    for file in dict.fromkeys(places.values()):
        # A shard is a plain name beside the index: nothing that leads out of the folder, on any system.
        if not file.endswith(".safetensors") or any(sign in file for sign in "/\\:\0"):
            raise UnsafeModelError(
                f"{where} names {file!r:.200}, expected the name of a .safetensors file beside it; "
                "fetch the model from its publisher"
            )
    return places


def _check_places(index: Path, places: dict[str, str], files: dict[str, SafetensorsFile]) -> None:
    found = [(name, shard) for shard, file in files.items() for name in file.names]
    missing = sorted(set(places.items()) - set(found))
    further = sorted(set(found) - set(places.items()))
    for what, names in (("are not where it says", missing), ("lie in a file without being listed there", further)):
        if names:
            shown = listed([f"{name} in {shard}" for name, shard in names], _NAMES_SHOWN)
            raise ModelError(f"{index}: tensors that {what}: {shown}. Fetch the index and its files again")
