"""A folder with a model as it is published: its configuration, ``config.json``, and weights, ``model.safetensors``."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from onnxembed.errors import ModelError, UnsupportedModelError
from onnxembed.formats.safetensors import SafetensorsFile

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"

_PREFIXES = ("bert.", "model.")
"""What a model that was saved as a part of a larger one has before the names of its weights."""
_OLDER_ENDINGS = ((".LayerNorm.gamma", ".LayerNorm.weight"), (".LayerNorm.beta", ".LayerNorm.bias"))
_NAMES_TOLD = 8


class Checkpoint:
    """A published model, open for reading: settings by name, weights by name; a context manager."""

    def __init__(self, folder: Path) -> None:
        """Open a model.

        Args:
            folder: Where its files are.

        Raises:
            ModelError: A file is missing or damaged.
        """
        self._folder = folder
        self._config = _read_config(folder / CONFIG_FILE)
        if self._config.get("quantization_config") is not None:
            raise UnsupportedModelError(
                f"{folder / CONFIG_FILE}: the weights are quantised (quantization_config); use the original weights"
            )
        self._file = _open_weights(folder)
        self._names = {_canonical_name(name): name for name in self._file.names}
        if len(self._names) != len(self._file.names):
            self._file.close()
            raise ModelError(
                f"{folder / WEIGHTS_FILE}: several weights have the same name apart from the prefixes "
                f"{', '.join(_PREFIXES)}; save the model again"
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
        """The family, as the configuration names it; empty when it does not."""
        return self.text("model_type", "")

    @property
    def architecture(self) -> str:
        """The class that the weights were saved from; empty when the configuration does not say."""
        names = self._config.get("architectures")
        return str(names[0]) if isinstance(names, list) and names else ""

    def positive_integer(self, key: str, default: int | None = None) -> int:
        """Return a setting that has to be a whole number above 0.

        Args:
            key: Its name.
            default: Its value when the configuration is silent; ``None`` when it must not be.

        Returns:
            The value.

        Raises:
            ModelError: It is missing or of another kind.
        """
        value = self._config.get(key, default)
        if type(value) is not int or value < 1:
            raise self._wrong(key, value, "a whole number above 0")
        return value

    def positive_float(self, key: str, default: float) -> float:
        """Return a setting that has to be a number above 0; see ``positive_integer``."""
        value = self._config.get(key, default)
        if type(value) not in (int, float) or not 0 < value < float("inf"):
            raise self._wrong(key, value, "a number above 0")
        return float(value)

    def text(self, key: str, default: str) -> str:
        """Return a setting that has to be text; see ``positive_integer``."""
        value = self._config.get(key, default)
        if not isinstance(value, str):
            raise self._wrong(key, value, "text")
        return value

    def require(self, key: str, accepted: Collection[object], default: object) -> None:
        """Refuse a setting that changes what the graph would have to compute.

        Args:
            key: Its name.
            accepted: The values that are known.
            default: Its value when the configuration is silent.

        Raises:
            UnsupportedModelError: It has another value.
        """
        value = self._config.get(key, default)
        if value not in accepted:
            raise UnsupportedModelError(
                f"{self._folder / CONFIG_FILE}: {key} is {value!r}; known here: {', '.join(map(repr, accepted))}. "
                "Use a model that comes with an ONNX file"
            )

    def check_weights(self, expected: Mapping[str, tuple[int, ...]], ignored: Sequence[str]) -> None:
        """Check that the weights are those that the configuration speaks of.

        Args:
            expected: The name and shape of each weight.
            ignored: Beginnings of the names of further weights that may be there.

        Raises:
            ModelError: Weights are missing, unknown or of another shape; all are named, up to a few of each.
        """
        missing = [name for name in expected if name not in self._names]
        extra = [name for name in self._names if name not in expected and not name.startswith(tuple(ignored))]
        misshaped = [
            f"{name} {self._shape(name)} instead of {shape}"
            for name, shape in expected.items()
            if name in self._names and self._shape(name) != shape
        ]
        findings = [
            f"{what}: {_told(names)}"
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
        """How many weights there are."""
        return len(self._names)

    def has_weight(self, name: str) -> bool:
        """Whether there is a weight of that name without prefix."""
        return name in self._names

    def weight(self, name: str) -> NDArray[np.float32]:
        """Return a weight as ``float32``, by its name without prefix; half precision is widened, which is exact."""
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


def _canonical_name(name: str) -> str:
    """Give a weight the name that it has in a model saved by itself, in today's spelling."""
    for prefix in _PREFIXES:
        if name.startswith(prefix):
            name = name.removeprefix(prefix)
            break
    for older, newer in _OLDER_ENDINGS:
        if name.endswith(older):
            return name.removesuffix(older) + newer
    return name


def _told(names: Sequence[str]) -> str:
    rest = len(names) - _NAMES_TOLD
    return ", ".join(names[:_NAMES_TOLD]) + (f" and {rest} more" if rest > 0 else "")


def _read_config(path: Path) -> Mapping[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(
            f"{path} cannot be read ({error.strerror or error}); "
            f"a model's folder holds {CONFIG_FILE} and {WEIGHTS_FILE}, check the path"
        ) from error
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path} is not valid JSON ({error}); fetch the file again") from error
    if not isinstance(config, dict):
        raise ModelError(f"{path} holds no JSON object; fetch the file again")
    return config


def _open_weights(folder: Path) -> SafetensorsFile:
    path = folder / WEIGHTS_FILE
    if not path.exists():
        others = sorted(file.name for pattern in ("*.safetensors*", "*.bin", "*.pt") for file in folder.glob(pattern))
        there = f"; it holds {_told(others)}" if others else ""
        raise ModelError(
            f"{folder} holds no {WEIGHTS_FILE}{there}. Weights in several files and pickled weights are not read: "
            f"save the model again as one {WEIGHTS_FILE}"
        )
    return SafetensorsFile(path)
