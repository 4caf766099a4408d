"""A folder with a model as it is published: its configuration, ``config.json``, and weights, ``model.safetensors``."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from onnxembed.compile.names import PREFIXES, canonical_name
from onnxembed.errors import ModelError, UnsupportedModelError
from onnxembed.formats.json_file import parse_object
from onnxembed.formats.safetensors import SafetensorsFile
from onnxembed.suggest import listed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"

_NAMES_SHOWN = 8


class Checkpoint:
    """A published model, open for reading: settings by name, weights by canonical name; a context manager."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._config = _read_config(folder / CONFIG_FILE)
        if self._config.get("quantization_config") is not None:
            raise UnsupportedModelError(
                f"{folder / CONFIG_FILE}: the weights are quantised (quantization_config); use the original weights"
            )
        self._file = _open_weights(folder)
        self._names = {canonical_name(name): name for name in self._file.names}
        if len(self._names) != len(self._file.names):
            self._file.close()
            raise ModelError(
                f"{folder / WEIGHTS_FILE}: several weights have the same name apart from the prefixes "
                f"{', '.join(PREFIXES)}; save the model again"
            )

    def __enter__(self) -> Checkpoint:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()

    @property
    def config_path(self) -> Path:
        """The configuration file."""
        return self._folder / CONFIG_FILE

    @property
    def model_type(self) -> str:
        """The family, as the configuration names it, or empty."""
        return self.text("model_type", "")

    @property
    def architecture(self) -> str:
        """The class that the weights were saved from, or empty."""
        names = self._config.get("architectures")
        return str(names[0]) if isinstance(names, list) and names else ""

    def positive_integer(self, key: str, default: int | None = None) -> int:
        """A setting that must be a whole number above 0; without a default it must be there."""
        value = self._config.get(key, default)
        if type(value) is not int or value < 1:
            raise self._wrong(key, value, "a whole number above 0")
        return value

    def positive_float(self, key: str, default: float) -> float:
        """A setting that must be a number above 0."""
        value = self._config.get(key, default)
        if type(value) not in (int, float) or not 0 < value < float("inf"):
            raise self._wrong(key, value, "a number above 0")
        return float(value)

    def text(self, key: str, default: str) -> str:
        """A setting that must be text."""
        value = self._config.get(key, default)
        if not isinstance(value, str):
            raise self._wrong(key, value, "text")
        return value

    def require(self, key: str, accepted: Collection[object], default: object) -> None:
        """Refuse a setting that changes what the graph would have to compute."""
        value = self._config.get(key, default)
        if value not in accepted:
            raise UnsupportedModelError(
                f"{self._folder / CONFIG_FILE}: {key} is {value!r}; known here: {', '.join(map(repr, accepted))}. "
                "Use a model that comes with an ONNX file"
            )

    def check_weights(self, expected: Mapping[str, tuple[int, ...]], ignored: Sequence[str]) -> None:
        """Check names and shapes of the weights; the error names all that are wrong, up to a few of each."""
        missing = [name for name in expected if name not in self._names]
        extra = [name for name in self._names if name not in expected and not name.startswith(tuple(ignored))]
        misshaped = [
            f"{name} {self._shape(name)} instead of {shape}"
            for name, shape in expected.items()
            if name in self._names and self._shape(name) != shape
        ]
        findings = [
            f"{what}: {listed(names, _NAMES_SHOWN)}"
            for what, names in (("missing", missing), ("unknown", extra), ("of another shape", misshaped))
            if names
        ]
        if findings:
            raise ModelError(
                f"{self._folder / WEIGHTS_FILE} does not fit {CONFIG_FILE} beside it; weights {'; '.join(findings)}. "
                "Fetch both files again, from the same model"
            )

    @property
    def weight_count(self) -> int:
        """Number of weights."""
        return len(self._names)

    def has_weight(self, name: str) -> bool:
        """Whether there is a weight of that name."""
        return name in self._names

    def weight(self, name: str) -> NDArray[np.float32]:
        """A weight as ``float32``; half precision is widened, which is exact."""
        import numpy as np

        value = self._file.tensor(self._names[name])
        if value.dtype.kind != "f":
            raise ModelError(
                f"{self._folder / WEIGHTS_FILE}: the weight {name} is of type {value.dtype}, expected floating point; "
                "use the model's original weights"
            )
        return value.astype(np.float32, copy=False)

    def _shape(self, name: str) -> tuple[int, ...]:
        return self._file.shape(self._names[name])

    def _wrong(self, key: str, value: object, expected: str) -> ModelError:
        return ModelError(
            f"{self._folder / CONFIG_FILE}: {key} is {value!r:.100}, expected {expected}; fetch the file again"
        )


def _read_config(path: Path) -> Mapping[str, Any]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(
            f"{path} cannot be read ({error.strerror or error}); "
            f"a model's folder holds {CONFIG_FILE} and {WEIGHTS_FILE}, check the path"
        ) from error
    return parse_object(content, str(path))


def _open_weights(folder: Path) -> SafetensorsFile:
    path = folder / WEIGHTS_FILE
    if not path.exists():
        others = sorted(file.name for pattern in ("*.safetensors*", "*.bin", "*.pt") for file in folder.glob(pattern))
        there = f"; it holds {listed(others, _NAMES_SHOWN)}" if others else ""
        raise ModelError(
            f"{folder} holds no {WEIGHTS_FILE}{there}. Weights in several files and pickled weights are not read: "
            f"save the model again as one {WEIGHTS_FILE}"
        )
    return SafetensorsFile(path)
