"""Builds an ONNX graph node by node, and writes it to a file.

Tensors are kept as views until the file is written: compiling takes little more memory than the largest tensor.
"""

from __future__ import annotations

import os
import secrets
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from onnxembed.formats.protobuf import MessageWriter

if TYPE_CHECKING:
    from numpy.typing import NDArray

FLOAT = 1
INT32 = 6
INT64 = 7
BOOL = 9
FLOAT16 = 10
MICROSOFT = "com.microsoft"
"""The domain of ONNX Runtime's own fused operators."""

AttributeValue = int | float | Sequence[int]
Dimension = int | str

_ELEMENT_TYPES = {"float16": FLOAT16, "float32": FLOAT, "int32": INT32, "int64": INT64}
_IR_VERSION = 8
_OPSET = 17
LARGEST_INLINE_BYTES = 1_500_000_000
"""Protobuf ends at 2 GiB; above this the tensors go to a file of their own."""
_SMALLEST_EXTERNAL_BYTES = 1024
_EXTERNAL_ALIGNMENT = 4096

# Field numbers, by message, of the published ONNX schema.
_MODEL_IR_VERSION, _MODEL_PRODUCER, _MODEL_GRAPH, _MODEL_OPSET_IMPORT = 1, 2, 7, 8
_OPSET_DOMAIN, _OPSET_VERSION = 1, 2
_GRAPH_NODE, _GRAPH_NAME, _GRAPH_INITIALIZER, _GRAPH_INPUT, _GRAPH_OUTPUT = 1, 2, 5, 11, 12
_NODE_INPUT, _NODE_OUTPUT, _NODE_NAME, _NODE_OP_TYPE, _NODE_ATTRIBUTE, _NODE_DOMAIN = 1, 2, 3, 4, 5, 7
_ATTRIBUTE_NAME, _ATTRIBUTE_F, _ATTRIBUTE_I, _ATTRIBUTE_INTS, _ATTRIBUTE_TYPE = 1, 2, 3, 8, 20
_TYPE_FLOAT, _TYPE_INT, _TYPE_INTS = 1, 2, 7
_TENSOR_DIMS, _TENSOR_DATA_TYPE, _TENSOR_NAME, _TENSOR_RAW_DATA = 1, 2, 8, 9
_TENSOR_EXTERNAL_DATA, _TENSOR_DATA_LOCATION = 13, 14
_ENTRY_KEY, _ENTRY_VALUE = 1, 2
_VALUE_NAME, _VALUE_TYPE = 1, 2


class GraphBuilder:
    """An ONNX graph under construction; values are known by name."""

    def __init__(self, name: str) -> None:
        """Begin an empty graph.

        Args:
            name: The graph's name, for tools that show it.
        """
        self._name = name
        self._inputs: list[MessageWriter] = []
        self._outputs: list[MessageWriter] = []
        self._nodes: list[MessageWriter] = []
        self._initializers: dict[str, NDArray[Any]] = {}
        self._domains: set[str] = set()

    def input(self, name: str, element_type: int, shape: Sequence[Dimension]) -> str:
        """Declare an input of the graph; return its name."""
        self._inputs.append(_value_info(name, element_type, shape))
        return name

    def output(self, name: str, element_type: int, shape: Sequence[Dimension]) -> None:
        """Declare an output of the graph, a value of that name; outputs keep the order of these calls."""
        self._outputs.append(_value_info(name, element_type, shape))

    def initializer(self, name: str, value: NDArray[Any]) -> str:
        """Add a constant tensor; return its name."""
        if name in self._initializers:
            raise ValueError(f"the graph already has a tensor {name!r}; give each its own name")
        self._initializers[name] = value
        return name

    def node(
        self,
        op_type: str,
        inputs: Sequence[str],
        output: str,
        attributes: Mapping[str, AttributeValue] | None = None,
        *,
        domain: str = "",
        further_outputs: Sequence[str] = (),
    ) -> str:
        """Add an operator.

        Args:
            op_type: The operator's name.
            inputs: Names of values; an empty one leaves an optional input out.
            output: Name of its first output, also the node's name.
            attributes: The operator's parameters.
            domain: The operator's domain, empty for the ONNX standard's own.
            further_outputs: Names of its other outputs; an empty one leaves an optional output out.

        Returns:
            The name of the first output.
        """
        node = MessageWriter()
        for name in inputs:
            node.text(_NODE_INPUT, name)
        for name in (output, *further_outputs):
            node.text(_NODE_OUTPUT, name)
        node.text(_NODE_NAME, output).text(_NODE_OP_TYPE, op_type)
        for name, value in (attributes or {}).items():
            node.message(_NODE_ATTRIBUTE, _attribute(name, value))
        if domain:
            node.text(_NODE_DOMAIN, domain)
        self._domains.add(domain)
        self._nodes.append(node)
        return output

    def write(self, target: Path, *, largest_inline_bytes: int) -> tuple[Path, ...]:
        """Write the model, whole or not at all: nobody sees a half-written file under its name.

        Args:
            target: The ``.onnx`` file; replaced when it is there.
            largest_inline_bytes: With more bytes of tensors than this, they go to a file beside it, ``<name>.data``.

        Returns:
            The files written.

        Raises:
            OSError: The folder cannot be written to.
        """
        total = sum(value.nbytes for value in self._initializers.values())
        if total <= largest_inline_bytes:
            with replacing(target) as file:
                self._model().write_to(file)
            return (target,)
        data = target.with_name(target.name + ".data")
        with replacing(data) as file:
            tensors = _write_external(file, self._initializers, data.name)
        with replacing(target) as file:
            self._model(tensors).write_to(file)
        return target, data

    def fields(self, tensors: Sequence[MessageWriter] | None = None) -> Iterator[tuple[int, MessageWriter]]:
        """Step through the fields of the graph's message, its name aside: to put them into another graph.

        Args:
            tensors: The descriptions of its tensors, where these are not to hold the values themselves.

        Yields:
            The number of the field in ONNX's schema, and the field.
        """
        if tensors is None:
            tensors = [_inline_tensor(*item) for item in self._initializers.items()]
        for number, messages in (
            (_GRAPH_NODE, self._nodes),
            (_GRAPH_INITIALIZER, tensors),
            (_GRAPH_INPUT, self._inputs),
            (_GRAPH_OUTPUT, self._outputs),
        ):
            for message in messages:
                yield number, message

    def _model(self, tensors: Sequence[MessageWriter] | None = None) -> MessageWriter:
        graph = MessageWriter()
        for number, message in self.fields(tensors):
            graph.message(number, message)
        graph.text(_GRAPH_NAME, self._name)
        model = MessageWriter().integer(_MODEL_IR_VERSION, _IR_VERSION).text(_MODEL_PRODUCER, "onnxembed")
        for domain in sorted(self._domains | {""}):
            opset = MessageWriter().text(_OPSET_DOMAIN, domain).integer(_OPSET_VERSION, 1 if domain else _OPSET)
            model.message(_MODEL_OPSET_IMPORT, opset)
        return model.message(_MODEL_GRAPH, graph)


@dataclass(frozen=True, slots=True)
class _TensorBytes:
    """A tensor as the little-endian bytes of the file; a transposed one is copied only while it is written."""

    value: NDArray[Any]

    def __len__(self) -> int:
        return self.value.nbytes

    def tobytes(self) -> memoryview:
        import numpy as np

        little = np.ascontiguousarray(self.value, dtype=self.value.dtype.newbyteorder("<"))
        return little.reshape(-1).view(np.uint8).data


def _write_external(file: IO[bytes], tensors: Mapping[str, NDArray[Any]], location: str) -> list[MessageWriter]:
    """Write the large tensors to a data file; return the descriptions of all."""
    described = []
    for name, value in tensors.items():
        if value.nbytes < _SMALLEST_EXTERNAL_BYTES:
            described.append(_inline_tensor(name, value))
            continue
        file.write(b"\0" * (-file.tell() % _EXTERNAL_ALIGNMENT))
        tensor = _tensor_head(name, value)
        for key, entry in (("location", location), ("offset", str(file.tell())), ("length", str(value.nbytes))):
            tensor.message(_TENSOR_EXTERNAL_DATA, MessageWriter().text(_ENTRY_KEY, key).text(_ENTRY_VALUE, entry))
        file.write(_TensorBytes(value).tobytes())
        described.append(tensor.integer(_TENSOR_DATA_LOCATION, 1))
    return described


def _inline_tensor(name: str, value: NDArray[Any]) -> MessageWriter:
    return _tensor_head(name, value).data(_TENSOR_RAW_DATA, _TensorBytes(value))


def _tensor_head(name: str, value: NDArray[Any]) -> MessageWriter:
    tensor = MessageWriter()
    for size in value.shape:
        tensor.integer(_TENSOR_DIMS, size)
    return tensor.integer(_TENSOR_DATA_TYPE, _ELEMENT_TYPES[value.dtype.name]).text(_TENSOR_NAME, name)


def _value_info(name: str, element_type: int, shape: Sequence[Dimension]) -> MessageWriter:
    dimensions = MessageWriter()
    for size in shape:
        dimension = MessageWriter()
        if isinstance(size, str):
            dimension.text(2, size)
        else:
            dimension.integer(1, size)
        dimensions.message(1, dimension)
    tensor_type = MessageWriter().integer(1, element_type).message(2, dimensions)
    return MessageWriter().text(_VALUE_NAME, name).message(_VALUE_TYPE, MessageWriter().message(1, tensor_type))


def _attribute(name: str, value: AttributeValue) -> MessageWriter:
    attribute = MessageWriter().text(_ATTRIBUTE_NAME, name)
    if isinstance(value, int):
        return attribute.integer(_ATTRIBUTE_I, value).integer(_ATTRIBUTE_TYPE, _TYPE_INT)
    if isinstance(value, float):
        return attribute.fixed32(_ATTRIBUTE_F, struct.pack("<f", value)).integer(_ATTRIBUTE_TYPE, _TYPE_FLOAT)
    for item in value:
        attribute.integer(_ATTRIBUTE_INTS, item)
    return attribute.integer(_ATTRIBUTE_TYPE, _TYPE_INTS)


@contextmanager
def replacing(target: Path) -> Iterator[IO[bytes]]:
    """Open a new file in the target's folder; at a good end it takes the target's place, at a bad one it goes.

    Args:
        target: The file to write.

    Yields:
        The new file.

    Raises:
        OSError: The folder cannot be written to.
    """
    temporary = target.with_name(f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}.part")
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
