"""A published model: its configuration, ``config.json``, and its weights, one ``safetensors`` file or several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from onnxembed.compile.names import WeightNames
from onnxembed.errors import ModelError
from onnxembed.formats.facts import Facts
from onnxembed.formats.json_file import parse_object
from onnxembed.formats.shards import Tensors, open_tensors
from onnxembed.formats.weight_files import INDEX_FILE, WEIGHTS_FILE
from onnxembed.suggest import listed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CONFIG_FILE = "config.json"

_NAMES_SHOWN = 8
_MOST_LAYERS = 10_000  # of a configuration without weights that would bound it


class Checkpoint:
    """A published model, open for reading; a context manager.

    Settings are read by name from ``config``, weights by canonical name, one at a time.
    """

    def __init__(self, config: Facts, names: WeightNames, weights: Path | None) -> None:
        """Open the weights of a model.

        Args:
            config: Its configuration.
            names: How its family spells weights.
            weights: The ``safetensors`` file, or the index of several; ``None`` for the configuration alone.

        Raises:
            ModelError: A file is missing or damaged, or two weights have the same canonical name.
        """
        self.config = config
        self._weights = weights
        self._tensors: Tensors | None = None if weights is None else open_tensors(weights)
        published = () if self._tensors is None else self._tensors.names
        self._names = {names.canonical(name): name for name in published}
        if len(self._names) != len(published):
            self.close()
            twice = [name for name in published if self._names[names.canonical(name)] != name]
            raise ModelError(
                f"{weights}: several weights have the same name apart from prefixes and spelling, such as "
                f"{listed(twice, _NAMES_SHOWN)}; save the model again"
            )

    def __enter__(self) -> Checkpoint:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the files."""
        if self._tensors is not None:
            self._tensors.close()

    @property
    def most_layers(self) -> int:
        """The most layers that there can be: each takes a weight at least."""
        return _MOST_LAYERS if self._weights is None else len(self._names)

    def layers(self, key: str, default: int | None = None, *, config: Facts | None = None) -> int:
        """Read a number of layers, of a part of the configuration if one is given; a senseless number ends here."""
        layers = (config or self.config).whole(key, default)
        if layers > self.most_layers:
            raise ModelError(
                f"{self.config.where}: {key} is {layers}, but there are {self.most_layers} weights in all; "
                "fetch both files again, from the same model"
            )
        return layers

    def check_weights(self, expected: Mapping[str, tuple[int, ...]], ignored: Sequence[str]) -> None:
        """Check names and shapes of the weights; the error names all that are wrong, up to a few of each."""
        missing = [name for name in expected if name not in self._names]
        extra = [name for name in self._names if name not in expected and not name.startswith(tuple(ignored))]
        misshaped = [
            f"{name} {self.shape(name)} instead of {shape}"
            for name, shape in expected.items()
            if name in self._names and self.shape(name) != shape
        ]
        findings = [
            f"{what}: {listed(names, _NAMES_SHOWN)}"
            for what, names in (("missing", missing), ("unknown", extra), ("of another shape", misshaped))
            if names
        ]
        if findings:
            raise ModelError(
                f"{self._weights} does not fit {self.config.where}; weights {'; '.join(findings)}. "
                "Fetch both files again, from the same model"
            )

    def has_weight(self, name: str) -> bool:
        """Tell whether there is a weight of that name."""
        return name in self._names

    def shape(self, name: str) -> tuple[int, ...]:
        """Give the shape of a weight without touching its bytes."""
        return self._open().shape(self._names[name])

    def weight(self, name: str, rows: slice = slice(None)) -> NDArray[np.float32]:
        """Give a weight, or some of its rows, as ``float32``; half precision is widened, which is exact."""
        import numpy as np

        value = self._open().tensor(self._names[name], rows)
        if value.dtype.kind != "f":
            raise ModelError(
                f"{self._weights}: the weight {name} is of type {value.dtype}, expected floating point; "
                "use the model's original weights"
            )
        value = value.astype(np.float32, copy=False)
        # Both are NaN where any number is.
        if value.size and not np.isfinite([value.min(), value.max()]).all():
            raise ModelError(
                f"{self._weights}: the weight {name} holds numbers that are not finite; fetch the file again"
            )
        return value

    def _open(self) -> Tensors:
        if self._tensors is None:
            raise ValueError("prepare() reads no weights: there may be only a configuration")
        return self._tensors


def read_config(folder: Path) -> Facts:
    """Read the configuration of the model in a folder."""
    path = folder / CONFIG_FILE
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(
            f"{path} cannot be read ({error.strerror or error}); "
            f"a model's folder holds {CONFIG_FILE} and {WEIGHTS_FILE}, check the path"
        ) from error
    return Facts(parse_object(content, str(path)), str(path))


def find_weights(folder: Path) -> Path:
    """Give the file of the weights in a folder, or the index of several."""
    for name in (WEIGHTS_FILE, INDEX_FILE):
        if (folder / name).is_file():
            return folder / name
    others = sorted(file.name for pattern in ("*.safetensors*", "*.bin", "*.pt") for file in folder.glob(pattern))
    there = f"; it holds {listed(others, _NAMES_SHOWN)}" if others else ""
    raise ModelError(
        f"{folder} holds no {WEIGHTS_FILE}{there}. Weights are read from that file, or from those that {INDEX_FILE} "
        "names, never from pickled ones: save the model again as safetensors"
    )
