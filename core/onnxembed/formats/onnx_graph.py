"""What an ONNX file says about itself, and whether it may be run.

The file is mapped and stepped through without touching its weights, so a model of any size is inspected within
milliseconds, before ONNX Runtime sees it. Files come from strangers: a graph that asks for code (operators of unknown
libraries, compiled contexts of an accelerator) or for files outside its folder is refused.
"""

from __future__ import annotations

import mmap
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from onnxembed.errors import ModelError, UnsafeModelError
from onnxembed.formats.onnx_reader import ExternalTensor, GraphReader, TensorInfo
from onnxembed.formats.protobuf import WireReader

__all__ = ["GraphFacts", "TensorInfo", "inspect_graph", "mapped_graph"]

_ALLOWED_DOMAINS = frozenset(
    {"", "ai.onnx", "ai.onnx.ml", "com.microsoft", "com.microsoft.nchwc", "com.ms.internal.nhwc"}
)
"""The domains whose operators are part of ONNX Runtime itself."""
_DYNAMICALLY_QUANTIZED_OPERATORS = frozenset(
    {
        "ConvInteger",
        "DynamicQuantizeLSTM",
        "DynamicQuantizeLinear",
        "DynamicQuantizeMatMul",
        "MatMulInteger",
        "MatMulIntegerToFloat",
    }
)
_SETTLED_NANOSECONDS = 2_000_000_000
_MOST_INSPECTED = 64
# One start looks at a graph three times; those with data beside them are looked at anew, for the data's sake.
_inspected: dict[tuple[int, ...], GraphFacts] = {}
_ORT_FORMAT_MARK = b"ORTM"
_DRIVE = re.compile(r"[A-Za-z]:")
_FORBIDDEN_IN_LOCATION = re.compile(r"[\x00-\x1f*]")
"""Control characters; and the star, with which ONNX Runtime marks addresses in its own memory."""
_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,19}", re.ASCII)


@dataclass(frozen=True, slots=True)
class GraphFacts:
    """What an ONNX file says about itself.

    Attributes:
        inputs: What has to be fed; inputs that have a stored value are left out.
        outputs: What it gives, in order.
        operators: Every ``(domain, operator)`` in the graph, its subgraphs and its functions; ONNX's domain is ``""``.
        external_data: The files beside it that hold weights, relative to its folder, each once.
        opset: The version of ONNX's own operators; 0 when the file does not say.
    """

    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    operators: frozenset[tuple[str, str]]
    external_data: tuple[str, ...]
    opset: int

    @property
    def dynamically_quantized(self) -> bool:
        """Whether activations are quantised at run time with scales that the whole batch shares."""
        return any(operator in _DYNAMICALLY_QUANTIZED_OPERATORS for _, operator in self.operators)


def inspect_graph(path: Path, *, require_external_data: bool = True) -> GraphFacts:
    """Read what an ONNX file says about itself, refusing one that must not be run.

    Without ``require_external_data`` the files beside it that it names may still have to be fetched; those that are
    there are checked in any case. One that asks for code or for files outside its folder is an `UnsafeModelError`; one
    that is missing, damaged, without an output, or names a file that is not there, a `ModelError`.
    """
    state = _settled_state(path)
    facts = _inspected.get(state) if state is not None else None
    if facts is not None and not facts.external_data:
        return facts
    facts = _inspect(path, require_external_data)
    if state is not None and state == _settled_state(path):
        if len(_inspected) >= _MOST_INSPECTED:
            _inspected.clear()
        _inspected[state] = facts
    return facts


def _settled_state(path: Path) -> tuple[int, ...] | None:
    """What the file system says of a file, ``None`` of one that changed a moment ago: the next change may not show."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    if time.time_ns() - max(status.st_mtime_ns, status.st_ctime_ns) < _SETTLED_NANOSECONDS:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _inspect(path: Path, require_external_data: bool) -> GraphFacts:
    with mapped_graph(path) as buffer:
        reader = GraphReader(WireReader(buffer, str(path)))
        reader.read(len(buffer))
    if not reader.has_graph:
        raise ModelError(
            f"{path} is not a valid ONNX file: it holds no graph. "
            "Fetch the file again, or point to the .onnx file itself"
        )
    if not reader.outputs:
        raise ModelError(f"{path}: the graph has no output, so it cannot give vectors; export the model again")
    _refuse_foreign_operators(path, reader.operators, reader.functions)
    locations = dict.fromkeys(_checked_location(path, tensor) for tensor in reader.external_tensors)
    _check_data_files(path, reader.external_tensors, require_external_data)
    return GraphFacts(
        inputs=tuple(value for value in reader.inputs if value.name not in reader.initializers),
        outputs=tuple(reader.outputs),
        operators=frozenset(reader.operators),
        external_data=tuple(locations),
        opset=reader.opset,
    )


@contextmanager
def mapped_graph(path: Path) -> Iterator[mmap.mmap]:
    """Map a model file for reading."""
    try:
        with path.open("rb") as file:
            buffer = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise ModelError(
            f"{path} cannot be read ({error.strerror or error}); an .onnx file is expected there. Check the path"
        ) from error
    except ValueError as error:
        raise ModelError(f"{path} is not a valid ONNX file: it is empty. Fetch the file again") from error
    with buffer:
        # ONNX Runtime recognises its own format by this mark and would not read the file as protobuf at all.
        if path.suffix.lower() == ".ort" or buffer[4:8] == _ORT_FORMAT_MARK:
            raise ModelError(
                f"{path} is in ONNX Runtime's own format (.ort), which cannot be checked before it is run; "
                "use the .onnx file that it was made from"
            )
        yield buffer


def _refuse_foreign_operators(path: Path, operators: set[tuple[str, str]], functions: set[tuple[str, str]]) -> None:
    """Refuse operators that are neither ONNX Runtime's nor spelled out in the model."""
    for domain, operator in sorted(operators):
        if operator == "EPContext":
            raise UnsafeModelError(
                f"{path} holds an EPContext node, machine code compiled for one accelerator, which cannot be checked; "
                "use the model as it was before it was compiled"
            )
        if domain not in _ALLOWED_DOMAINS and (domain, operator) not in functions:
            raise UnsafeModelError(
                f"{path} uses the operator {operator!r:.200} of the domain {domain!r:.200}, which is not part of ONNX "
                "Runtime and would need a foreign library to be loaded; export the model with standard operators"
            )


def _checked_location(path: Path, tensor: ExternalTensor) -> str:
    """Check the name of a tensor's data file by itself; return it in its shortest form."""
    locations = tensor.values("location") or [""]
    shortest = [_inner_path(location) for location in locations]
    for location, inner in zip(locations, shortest, strict=True):
        if inner is None:
            raise UnsafeModelError(
                f"{path}: the tensor {tensor.name!r:.200} keeps its values in {location!r:.200}, which is not the name "
                "of a file in the model's folder; put the data file beside the model, with a relative location"
            )
    if len(set(shortest)) > 1:
        raise UnsafeModelError(
            f"{path}: the tensor {tensor.name!r:.200} names several data files, {locations!r:.400}; "
            "export the model again"
        )
    return shortest[0] or ""


def _inner_path(location: str) -> str | None:
    """Shorten a relative path that stays inside its folder on every system; ``None`` for any other."""
    if _FORBIDDEN_IN_LOCATION.search(location) or _DRIVE.match(location):
        return None
    location = location.replace("\\", "/")
    parts = [part for part in location.split("/") if part not in {"", "."}]
    if location.startswith("/") or ".." in parts or not parts:
        return None
    return "/".join(parts)


def _check_data_files(path: Path, tensors: list[ExternalTensor], required: bool) -> None:
    """Check that the data files are there, and that every tensor lies inside its own."""
    sizes: dict[str, int | None] = {}
    for tensor in tensors:
        location = _checked_location(path, tensor)
        if location not in sizes:
            sizes[location] = _file_size(path.parent / location)
            if sizes[location] is None and required:
                raise ModelError(
                    f"{path} keeps weights in {location!r:.200}, which is not in its folder; "
                    "put that file beside the model, under that name"
                )
        offset = _byte_count(path, tensor, "offset")
        length = _byte_count(path, tensor, "length")
        size = sizes[location]
        if size is not None and offset + length > size:
            raise UnsafeModelError(
                f"{path}: the tensor {tensor.name!r:.200} takes {length} bytes from byte {offset} of "
                f"{location!r:.200}, which has {size}; the data file is cut short or another model's, fetch both again"
            )


def _file_size(path: Path) -> int | None:
    try:
        return path.stat().st_size if path.is_file() else None
    except (OSError, ValueError):
        return None


def _byte_count(path: Path, tensor: ExternalTensor, key: str) -> int:
    """Read the largest value given for an offset or a length; 0 when there is none."""
    values = tensor.values(key)
    if not all(_WHOLE_NUMBER.fullmatch(value) for value in values):
        raise ModelError(
            f"{path}: the tensor {tensor.name!r:.200} has {key} {values!r:.100}, expected a number; "
            "export the model again"
        )
    if any(int(value) < 0 for value in values):
        raise UnsafeModelError(
            f"{path}: the tensor {tensor.name!r:.200} has {key} {values!r:.100}, below 0; "
            "the file is damaged or hostile, fetch it again"
        )
    return max(map(int, values), default=0)
