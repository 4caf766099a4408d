"""What an ONNX file says about itself, and whether it may be run.

The file is mapped and stepped through without touching its weights, so that a model of any size is inspected within
milliseconds and before ONNX Runtime sees it. Files come from strangers: a graph that asks for code (operators of unknown
libraries, compiled contexts of an accelerator) or for files outside its folder is refused.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from onnxembed.errors import ModelError, UnsafeModelError
from onnxembed.models.protobuf import BYTES, VARINT, WireReader, signed64

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
_MAX_GRAPH_DEPTH = 32
"""Protobuf itself gives up at 100 nested messages, which is 33 nested graphs."""
_ORT_FORMAT_MARK = b"ORTM"
_DRIVE = re.compile(r"[A-Za-z]:")
_FORBIDDEN_IN_LOCATION = re.compile(r"[\x00-\x1f*]")
"""Control characters; and the star, with which ONNX Runtime marks addresses in its own memory."""
_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,19}", re.ASCII)

# Field numbers, by message, of the published ONNX schema.
_MODEL_GRAPH, _MODEL_OPSET_IMPORT, _MODEL_FUNCTIONS = 7, 8, 25
_OPSET_DOMAIN, _OPSET_VERSION = 1, 2
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_INPUT, _GRAPH_OUTPUT, _GRAPH_SPARSE_INITIALIZER = 1, 5, 11, 12, 15
_FUNCTION_NAME, _FUNCTION_NODE, _FUNCTION_DOMAIN, _FUNCTION_ATTRIBUTE = 1, 7, 10, 11
_NODE_OP_TYPE, _NODE_ATTRIBUTE, _NODE_DOMAIN = 4, 5, 7
_ATTRIBUTE_TENSORS, _ATTRIBUTE_GRAPHS, _ATTRIBUTE_SPARSE_TENSORS = (5, 10), (6, 11), (22, 23)
_SPARSE_TENSOR_PARTS = (1, 2)
_TENSOR_NAME, _TENSOR_EXTERNAL_DATA, _TENSOR_DATA_LOCATION = 8, 13, 14
_LOCATION_EXTERNAL = 1
_ENTRY_KEY, _ENTRY_VALUE = 1, 2
_VALUE_NAME, _VALUE_TYPE = 1, 2
_TYPE_TENSOR = 1
_TENSOR_TYPE_ELEMENT, _TENSOR_TYPE_SHAPE = 1, 2
_SHAPE_DIMENSION = 1
_DIMENSION_VALUE, _DIMENSION_NAME = 1, 2


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """An input or an output of a graph.

    Attributes:
        name: Its name.
        element_type: ONNX's number of the element type (1 is float32, 7 int64, 10 float16); 0 when it is no tensor.
        shape: Each dimension's size, its name where it varies, or ``None``; ``None`` when not even the rank is stated.
    """

    name: str
    element_type: int
    shape: tuple[int | str | None, ...] | None


@dataclass(frozen=True, slots=True)
class GraphFacts:
    """What an ONNX file says about itself.

    Attributes:
        inputs: What has to be fed; inputs that have a stored value are left out.
        outputs: What it gives, in order.
        operators: Every ``(domain, operator)`` in the graph, its subgraphs and its functions; ONNX's own domain is ``""``.
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

    Args:
        path: The ``.onnx`` file.
        require_external_data: Whether the files beside it that it names have to be there; ``False`` while they are still
            to be fetched. Those that are there are checked in any case.

    Returns:
        The facts.

    Raises:
        UnsafeModelError: It asks for code or for files outside its folder.
        ModelError: It is missing, not an ONNX file, damaged, without an output, or names a file that is not there.
    """
    with _mapped(path) as buffer:
        walk = _Walk(WireReader(buffer, str(path)), str(path))
        walk.model(len(buffer))
    if not walk.has_graph:
        raise ModelError(
            f"{path} is not a valid ONNX file: it holds no graph. Fetch the file again, or point to the .onnx file itself"
        )
    if not walk.outputs:
        raise ModelError(f"{path}: the graph has no output, so it cannot give vectors; export the model again")
    _refuse_foreign_operators(path, walk.operators, walk.functions)
    locations = dict.fromkeys(_checked_location(path, tensor) for tensor in walk.external_tensors)
    _check_data_files(path, walk.external_tensors, require_external_data)
    return GraphFacts(
        inputs=tuple(value for value in walk.inputs if value.name not in walk.initializers),
        outputs=tuple(walk.outputs),
        operators=frozenset(walk.operators),
        external_data=tuple(locations),
        opset=walk.opset,
    )


def external_data_escapes(model_path: Path, facts: GraphFacts) -> bool:
    """Tell whether links lead the external data out of the model's folder, which ONNX Runtime refuses since 1.24.

    ``inspect_graph`` compares names alone, since a Hub cache consists of links. Releases differ in what they let pass when the
    model itself is a link too; the rule here is the strictest, so that a model for which the answer is ``False`` loads in all.

    Args:
        model_path: The ``.onnx`` file, perhaps a link.
        facts: What ``inspect_graph`` said of it.

    Returns:
        Whether the real path of any data file lies outside the real path of the folder that the model was found in.
    """
    folder = model_path.parent.resolve()
    return any(not (folder / location).resolve().is_relative_to(folder) for location in facts.external_data)


@dataclass(slots=True)
class _ExternalTensor:
    """A tensor that lies in another file, as the graph describes it; every value that was given is kept."""

    name: str = ""
    entries: list[tuple[str, str]] = field(default_factory=list)

    def values(self, key: str) -> list[str]:
        return [value for name, value in self.entries if name == key]


class _Walk:
    """Steps through a model's messages and notes what matters."""

    def __init__(self, reader: WireReader, source: str) -> None:
        self._reader = reader
        self._source = source
        self.has_graph = False
        self.opset = 0
        self.inputs: list[TensorInfo] = []
        self.outputs: list[TensorInfo] = []
        self.initializers: set[str] = set()
        self.operators: set[tuple[str, str]] = set()
        self.functions: set[tuple[str, str]] = set()
        self.external_tensors: list[_ExternalTensor] = []

    def model(self, end: int) -> None:
        for number, wire_type, first, last in self._reader.fields(0, end):
            if wire_type != BYTES:
                continue
            if number == _MODEL_GRAPH:
                self.has_graph = True  # one that comes twice is merged by protobuf, hence walked twice here
                self._graph(first, last, 0)
            elif number == _MODEL_OPSET_IMPORT:
                self._opset_import(first, last)
            elif number == _MODEL_FUNCTIONS:
                self._function(first, last)

    def _opset_import(self, start: int, end: int) -> None:
        domain, version = "", 0
        for number, wire_type, first, last in self._reader.fields(start, end):
            if number == _OPSET_DOMAIN and wire_type == BYTES:
                domain = self._reader.text(first, last)
            elif number == _OPSET_VERSION and wire_type == VARINT:
                version = signed64(first)
        if _canonical(domain) == "":
            self.opset = version

    def _function(self, start: int, end: int) -> None:
        name, domain = "", ""
        for number, wire_type, first, last in self._reader.fields(start, end):
            if wire_type != BYTES:
                continue
            if number == _FUNCTION_NODE:
                self._node(first, last, 0)
            elif number == _FUNCTION_ATTRIBUTE:
                self._attribute(first, last, 0)
            elif number == _FUNCTION_NAME:
                name = self._reader.text(first, last)
            elif number == _FUNCTION_DOMAIN:
                domain = self._reader.text(first, last)
        self.functions.add((_canonical(domain), name))

    def _graph(self, start: int, end: int, depth: int) -> None:
        if depth > _MAX_GRAPH_DEPTH:
            raise self._reader.malformed(start, f"graphs nested deeper than {_MAX_GRAPH_DEPTH}")
        for number, wire_type, first, last in self._reader.fields(start, end):
            if wire_type != BYTES:
                continue
            if number == _GRAPH_NODE:
                self._node(first, last, depth)
            elif number == _GRAPH_INITIALIZER:
                name = self._tensor(first, last)
                if depth == 0:
                    self.initializers.add(name)
            elif number == _GRAPH_SPARSE_INITIALIZER:
                self._sparse_tensor(first, last)
            elif depth == 0 and number == _GRAPH_INPUT:
                self.inputs.append(self._value_info(first, last))
            elif depth == 0 and number == _GRAPH_OUTPUT:
                self.outputs.append(self._value_info(first, last))

    def _node(self, start: int, end: int, depth: int) -> None:
        domain, operator = "", ""
        for number, wire_type, first, last in self._reader.fields(start, end):
            if wire_type != BYTES:
                continue
            if number == _NODE_OP_TYPE:
                operator = self._reader.text(first, last)
            elif number == _NODE_DOMAIN:
                domain = self._reader.text(first, last)
            elif number == _NODE_ATTRIBUTE:
                self._attribute(first, last, depth)
        self.operators.add((_canonical(domain), operator))

    def _attribute(self, start: int, end: int, depth: int) -> None:
        for number, wire_type, first, last in self._reader.fields(start, end):
            if wire_type != BYTES:
                continue
            if number in _ATTRIBUTE_TENSORS:
                self._tensor(first, last)
            elif number in _ATTRIBUTE_GRAPHS:
                self._graph(first, last, depth + 1)
            elif number in _ATTRIBUTE_SPARSE_TENSORS:
                self._sparse_tensor(first, last)

    def _sparse_tensor(self, start: int, end: int) -> None:
        """Read a sparse tensor; its name is that of its values."""
        for number, wire_type, first, last in self._reader.fields(start, end):
            if wire_type == BYTES and number in _SPARSE_TENSOR_PARTS:
                self.initializers.add(self._tensor(first, last))

    def _tensor(self, start: int, end: int) -> str:
        """Read what a tensor says of itself, stepping over its values; return its name."""
        name, external = "", False
        entries: list[tuple[str, str]] = []
        for number, wire_type, first, last in self._reader.fields(start, end):
            if wire_type == BYTES:
                if number == _TENSOR_NAME:
                    name = self._reader.text(first, last)
                elif number == _TENSOR_EXTERNAL_DATA:
                    entries.append(self._entry(first, last))
            elif number == _TENSOR_DATA_LOCATION and wire_type == VARINT:
                external = external or first & 0xFFFFFFFF == _LOCATION_EXTERNAL  # enums have 32 bits
        # Either sign counts: protobuf merges a tensor that comes in two parts, and the signs may be spread over both.
        if external or entries:
            self.external_tensors.append(_ExternalTensor(name, entries))
        return name

    def _entry(self, start: int, end: int) -> tuple[str, str]:
        key, value = "", ""
        for number, wire_type, first, last in self._reader.fields(start, end):
            if wire_type == BYTES and number == _ENTRY_KEY:
                key = self._reader.text(first, last)
            elif wire_type == BYTES and number == _ENTRY_VALUE:
                value = self._reader.text(first, last)
        return key, value

    def _value_info(self, start: int, end: int) -> TensorInfo:
        name, element_type = "", 0
        shape: tuple[int | str | None, ...] | None = None
        for number, wire_type, first, last in self._reader.fields(start, end):
            if wire_type == BYTES and number == _VALUE_NAME:
                name = self._reader.text(first, last)
            elif wire_type == BYTES and number == _VALUE_TYPE:
                for type_number, type_wire, type_first, type_last in self._reader.fields(first, last):
                    if type_number == _TYPE_TENSOR and type_wire == BYTES:
                        element_type, shape = self._tensor_type(type_first, type_last)
        return TensorInfo(name, element_type, shape)

    def _tensor_type(self, start: int, end: int) -> tuple[int, tuple[int | str | None, ...] | None]:
        element_type = 0
        shape: tuple[int | str | None, ...] | None = None
        for number, wire_type, first, last in self._reader.fields(start, end):
            if number == _TENSOR_TYPE_ELEMENT and wire_type == VARINT:
                element_type = first
            elif number == _TENSOR_TYPE_SHAPE and wire_type == BYTES:
                shape = tuple(
                    self._dimension(size_first, size_last)
                    for size_number, size_wire, size_first, size_last in self._reader.fields(first, last)
                    if size_number == _SHAPE_DIMENSION and size_wire == BYTES
                )
        return element_type, shape

    def _dimension(self, start: int, end: int) -> int | str | None:
        size: int | str | None = None
        for number, wire_type, first, last in self._reader.fields(start, end):
            if number == _DIMENSION_VALUE and wire_type == VARINT:
                size = signed64(first)
            elif number == _DIMENSION_NAME and wire_type == BYTES:
                size = self._reader.text(first, last)
        return size


def _canonical(domain: str) -> str:
    """ONNX's own domain has two spellings."""
    return "" if domain == "ai.onnx" else domain


@contextmanager
def _mapped(path: Path) -> Iterator[mmap.mmap]:
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
        # ONNX Runtime tells its own format by this mark and would not read the file as protobuf at all.
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
                f"{path} uses the operator {operator!r} of the domain {domain!r}, which is not part of ONNX Runtime "
                "and would need somebody's library to be loaded; export the model with standard operators"
            )


def _checked_location(path: Path, tensor: _ExternalTensor) -> str:
    """Check the name of a tensor's data file by itself; return it in its shortest form."""
    locations = tensor.values("location") or [""]
    shortest = [_inner_path(location) for location in locations]
    for location, inner in zip(locations, shortest, strict=True):
        if inner is None:
            raise UnsafeModelError(
                f"{path}: the tensor {tensor.name!r} keeps its values in {location!r}, which is not the name of a file in "
                "the model's folder; put the data file beside the model and export it with relative locations"
            )
    if len(set(shortest)) > 1:
        raise UnsafeModelError(
            f"{path}: the tensor {tensor.name!r} names several data files, {locations!r}; export the model again"
        )
    return shortest[0] or ""


def _inner_path(location: str) -> str | None:
    """Shorten a relative path that stays inside of its folder, whatever the system; ``None`` for any other."""
    if _FORBIDDEN_IN_LOCATION.search(location) or _DRIVE.match(location):
        return None
    location = location.replace("\\", "/")
    parts = [part for part in location.split("/") if part not in {"", "."}]
    if location.startswith("/") or ".." in parts or not parts:
        return None
    return "/".join(parts)


def _check_data_files(path: Path, tensors: list[_ExternalTensor], required: bool) -> None:
    """Check that the data files are there, and that every tensor lies inside of its one."""
    sizes: dict[str, int | None] = {}
    for tensor in tensors:
        location = _checked_location(path, tensor)
        if location not in sizes:
            sizes[location] = _file_size(path.parent / location)
            if sizes[location] is None and required:
                raise ModelError(
                    f"{path} keeps weights in {location!r}, which is not in its folder; "
                    "put that file beside the model, under that name"
                )
        offset = _byte_count(path, tensor, "offset")
        length = _byte_count(path, tensor, "length")
        size = sizes[location]
        if size is not None and offset + length > size:
            raise UnsafeModelError(
                f"{path}: the tensor {tensor.name!r} takes {length} bytes from byte {offset} of {location!r}, which has "
                f"{size}; the data file is cut short or belongs to another model, fetch both again"
            )


def _file_size(path: Path) -> int | None:
    try:
        return path.stat().st_size if path.is_file() else None
    except (OSError, ValueError):
        return None


def _byte_count(path: Path, tensor: _ExternalTensor, key: str) -> int:
    """Read the largest value given for an offset or a length; 0 when there is none."""
    values = tensor.values(key)
    if not all(_WHOLE_NUMBER.fullmatch(value) for value in values):
        raise ModelError(
            f"{path}: the tensor {tensor.name!r} has {key} {values!r}, not a number; export the model again"
        )
    if any(int(value) < 0 for value in values):
        raise UnsafeModelError(
            f"{path}: the tensor {tensor.name!r} has {key} {values!r}, below 0; "
            "the file is damaged or hostile, fetch it again"
        )
    return max(map(int, values), default=0)
