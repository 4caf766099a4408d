"""Builds an ONNX graph node by node, and writes it to a file.

Tensors are views of the weights' files, or are made while the file is written: compiling takes little more memory than
the largest tensor.
"""

from __future__ import annotations

import os
import secrets
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from onnxembed.compile.tensors import Part, Tensor, parts_by_rows
from onnxembed.errors import UnsupportedModelError
from onnxembed.formats import onnx_schema as schema
from onnxembed.formats.protobuf import MessageWriter
from onnxembed.runtime.onnx import import_onnxruntime, onnxruntime_version
from onnxembed.runtime.progress import Advance, progress
from onnxembed.runtime.provider_traits import ATTENTION_BY_LENGTHS_SINCE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from onnxembed.compile.operators import AttributeValue, StandIns

FLOAT = 1
UINT8 = 2
INT32 = 6
INT64 = 7
BOOL = 9
FLOAT16 = 10
BFLOAT16 = 16
MICROSOFT = "com.microsoft"
"""The domain of ONNX Runtime's own fused operators."""

Dimension = int | str

_ELEMENT_TYPES = {
    "bfloat16": BFLOAT16,
    "float16": FLOAT16,
    "float32": FLOAT,
    "float64": 11,
    "int32": INT32,
    "int64": INT64,
    "int8": 3,
    "uint8": UINT8,
    "bool": BOOL,
}
OPSET = 17
"""The version of ONNX's operators that every supported ONNX Runtime has."""
OPSET_WITH_ATTENTION = 23
"""The first version with ``Attention``, ``RotaryEmbedding`` and ``RMSNormalization``."""
OPSET_WITH_LENGTHS = 24
"""The first version whose ``Attention`` takes the lengths of texts."""
OPSET_WITH_ANTIALIAS = 18
"""The first version in which ``Resize`` smooths, ``Reduce...`` take axes as an input, and ``Split`` takes a number."""
# The version of the file's format, and the first ONNX Runtime that has all operators used here, by opset.
_IR_VERSIONS = {OPSET: 8, OPSET_WITH_ANTIALIAS: 8, OPSET_WITH_ATTENTION: 10}
_LATEST_IR_VERSION = 10
_RUNTIMES = {
    OPSET: (1, 20),
    OPSET_WITH_ANTIALIAS: (1, 20),
    OPSET_WITH_ATTENTION: (1, 23),
    OPSET_WITH_LENGTHS: ATTENTION_BY_LENGTHS_SINCE,
}
LARGEST_INLINE_BYTES = 1_500_000_000
"""Protobuf ends at 2 GiB; above this the tensors go to a file of their own."""
_SMALLEST_EXTERNAL_BYTES = 1024
_EXTERNAL_ALIGNMENT = 4096


class GraphBuilder:
    """An ONNX graph under construction; values are known by name."""

    def __init__(self, name: str, opset: int = OPSET) -> None:
        """Take the name of the graph, and the version of its operators, one of those above."""
        self._name = name
        self._opset = opset
        self._inputs: list[MessageWriter] = []
        self._outputs: list[MessageWriter] = []
        self._nodes: list[MessageWriter] = []
        self._initializers: dict[str, Tensor] = {}
        self._values: set[str] = set()
        self._domains: set[str] = set()
        self.stand_ins: StandIns | None = None

    def check_runtime(self, where: str) -> None:
        """Refuse a graph whose operators the installed ONNX Runtime lacks; ``where`` is what messages name."""
        needed = _RUNTIMES[self._opset]
        if onnxruntime_version() < needed:
            raise UnsupportedModelError(
                f"{where}: this architecture needs ONNX Runtime {needed[0]}.{needed[1]} or later, installed is "
                f"{import_onnxruntime().__version__}; upgrade onnxruntime"
            )

    def raise_opset(self, opset: int) -> None:
        """Take operators of this version, before any was added, where those at hand are older."""
        self._opset = max(self._opset, opset)

    def input(self, name: str, element_type: int, shape: Sequence[Dimension]) -> str:
        """Declare an input of the graph; return its name."""
        self._inputs.append(_value_info(name, element_type, shape))
        return name

    def output(self, name: str, element_type: int, shape: Sequence[Dimension]) -> None:
        """Declare an output of the graph, a value of that name; outputs keep the order of these calls."""
        self._outputs.append(_value_info(name, element_type, shape))

    def initializer(self, name: str, value: NDArray[Any]) -> str:
        """Add a constant tensor; return its name."""
        return self.later(name, value.shape, lambda: value, value.dtype.name)

    def later(
        self, name: str, shape: tuple[int, ...], make: Callable[[], NDArray[Any]], element_type: str = "float32"
    ) -> str:
        """Add a constant tensor that is made while the file is written; return its name."""
        return self._add(name, shape, [Part(shape, element_type, make)])

    def later_by_rows(self, name: str, shape: tuple[int, ...], make: Callable[[slice], NDArray[Any]]) -> str:
        """Add a constant float32 tensor of which some rows are made at a time; return its name."""
        return self._add(name, shape, parts_by_rows(shape, make))

    def has_tensor(self, name: str) -> bool:
        """Tell whether there is a constant tensor of that name."""
        return name in self._initializers

    def tensor_shape(self, name: str) -> tuple[int, ...]:
        """Give the shape of a constant tensor."""
        return self._initializers[name].shape

    def integers(self, name: str, values: int | Sequence[int]) -> str:
        """Add a constant number or vector, int64; return its name."""
        import numpy as np

        return self.initializer(name, np.array(values, np.int64))

    def floats(self, name: str, values: float | Sequence[float]) -> str:
        """Add a constant number or vector, float32; return its name."""
        import numpy as np

        return self.initializer(name, np.array(values, np.float32))

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
        """Add an operator, named after its first output; an empty name leaves an optional input or output out.

        An output name that is taken gets a number: layers that share weights share the beginnings of their names. Where
        the graph has stand-ins, one may take the operator's place.
        """
        if self.stand_ins is not None and not further_outputs:
            instead = self.stand_ins.add(self, op_type, inputs, output, attributes or {})
            if instead is not None:
                return instead
        return self._node(op_type, inputs, output, attributes or {}, domain, further_outputs)

    def own_node(
        self,
        op_type: str,
        inputs: Sequence[str],
        output: str,
        attributes: Mapping[str, AttributeValue],
        domain: str = "",
    ) -> str:
        """Add an operator as it is, without a stand-in."""
        return self._node(op_type, inputs, output, attributes, domain)

    def _node(
        self,
        op_type: str,
        inputs: Sequence[str],
        output: str,
        attributes: Mapping[str, AttributeValue],
        domain: str,
        further_outputs: Sequence[str] = (),
    ) -> str:
        output = self._free(output)
        node = MessageWriter()
        for name in inputs:
            node.text(schema.NODE_INPUT, name)
        for name in (output, *further_outputs):
            node.text(schema.NODE_OUTPUT, name)
        node.text(schema.NODE_NAME, output).text(schema.NODE_OP_TYPE, op_type)
        for name, value in attributes.items():
            node.message(schema.NODE_ATTRIBUTE, _attribute(name, value))
        if domain:
            node.text(schema.NODE_DOMAIN, domain)
        self._domains.add(domain)
        self._nodes.append(node)
        return output

    def copied_node(
        self,
        op_type: str,
        domain: str,
        inputs: Sequence[str],
        outputs: Sequence[str],
        attributes: Mapping[str, bytes],
    ) -> None:
        """Add an operator of another model, its attributes as they are stored there."""
        node = MessageWriter()
        for name in inputs:
            node.text(schema.NODE_INPUT, name)
        for name in outputs:
            self._values.add(name)
            node.text(schema.NODE_OUTPUT, name)
        node.text(schema.NODE_NAME, outputs[0]).text(schema.NODE_OP_TYPE, op_type)
        for message in attributes.values():
            node.data(schema.NODE_ATTRIBUTE, message)
        if domain:
            node.text(schema.NODE_DOMAIN, domain)
        self._domains.add(domain)
        self._nodes.append(node)

    def copied_input(self, message: bytes) -> None:
        """Declare an input of another model as it is stored there."""
        self._inputs.append(MessageWriter().raw(message))

    def copied_output(self, message: bytes) -> None:
        """Declare an output of another model as it is stored there."""
        self._outputs.append(MessageWriter().raw(message))

    def open_output(self, name: str) -> None:
        """Declare a float32 output whose shape is left open."""
        tensor = MessageWriter().integer(schema.TENSOR_TYPE_ELEMENT, FLOAT)
        kind = MessageWriter().message(schema.TYPE_TENSOR, tensor)
        self._outputs.append(MessageWriter().text(schema.VALUE_NAME, name).message(schema.VALUE_TYPE, kind))

    def filled(self, shape: str, value: int, output: str) -> str:
        """Make a uint8 tensor of a shape that is known when the graph runs, the same number everywhere."""
        tensor = MessageWriter().integer(schema.TENSOR_DIMS, 1).integer(schema.TENSOR_DATA_TYPE, UINT8)
        tensor.data(schema.TENSOR_RAW_DATA, bytes([value]))
        attribute = MessageWriter().text(schema.ATTRIBUTE_NAME, "value").message(schema.ATTRIBUTE_TENSOR, tensor)
        attribute.integer(schema.ATTRIBUTE_TYPE, schema.ATTRIBUTE_TYPE_TENSOR)
        output = self._free(output)
        node = MessageWriter().text(schema.NODE_INPUT, shape).text(schema.NODE_OUTPUT, output)
        node.text(schema.NODE_NAME, output).text(schema.NODE_OP_TYPE, "ConstantOfShape")
        self._nodes.append(node.message(schema.NODE_ATTRIBUTE, attribute))
        return output

    def halves(self, value: str, first: str, second: str) -> tuple[str, str]:
        """Cut the last axis in two."""
        attributes: dict[str, AttributeValue] = {"axis": -1}
        if self._opset >= OPSET_WITH_ANTIALIAS:
            attributes["num_outputs"] = 2
        return self.node("Split", [value], first, attributes, further_outputs=[second]), second

    def reduce(self, op_type: str, value: str, axes: Sequence[int], output: str, *, keepdims: bool) -> str:
        """Add ``ReduceMax``, ``ReduceMean`` or ``ReduceL2``, whose axes later versions of ONNX take as an input."""
        attributes: dict[str, AttributeValue] = {"keepdims": int(keepdims)}
        if self._opset < OPSET_WITH_ANTIALIAS:
            return self.node(op_type, [value], output, {**attributes, "axes": axes})
        along = self.integers(f"{output}.axes", axes)
        return self.node(op_type, [value, along], output, attributes)

    def write(self, target: Path, *, largest_inline_bytes: int, show_progress: bool | None = None) -> tuple[Path, ...]:
        """Write the model, whole or not at all, and return the files written.

        With more bytes of tensors than ``largest_inline_bytes`` they go to ``<name>.data`` beside it;
        ``show_progress`` shows how many of them are there.
        """
        total = sum(len(value) for value in self._initializers.values())
        if total <= largest_inline_bytes:
            with replacing(target) as file:
                self._model().write_to(file)
            return (target,)
        data = target.with_name(target.name + ".data")
        # Both are written before either takes its place: small tensors are read only now, and may be refused.
        shown = progress("Compiling", "tensor", len(self._initializers), shown=show_progress)
        with replacing(target) as graph, replacing(data) as file, shown as advance:
            self._model(_write_external(file, self._initializers, data.name, advance)).write_to(graph)
        return target, data

    def fields(self, tensors: Sequence[MessageWriter] | None = None) -> Iterator[tuple[int, MessageWriter]]:
        """The fields of the graph's message with their numbers, its name aside: to put them into another graph.

        ``tensors`` describes the constants where their values lie elsewhere.
        """
        if tensors is None:
            tensors = [_inline_tensor(*item) for item in self._initializers.items()]
        for number, messages in (
            (schema.GRAPH_NODE, self._nodes),
            (schema.GRAPH_INITIALIZER, tensors),
            (schema.GRAPH_INPUT, self._inputs),
            (schema.GRAPH_OUTPUT, self._outputs),
        ):
            for message in messages:
                yield number, message

    def _add(self, name: str, shape: tuple[int, ...], parts: Sequence[Part]) -> str:
        if name in self._initializers:
            raise ValueError(f"the graph already has a tensor {name!r}; give each its own name")
        self._initializers[name] = Tensor(shape, parts)
        return name

    def _free(self, name: str) -> str:
        free, count = name, 1
        while free in self._values:
            count += 1
            free = f"{name}.{count}"
        self._values.add(free)
        return free

    def _model(self, tensors: Sequence[MessageWriter] | None = None) -> MessageWriter:
        graph = MessageWriter()
        for number, message in self.fields(tensors):
            graph.message(number, message)
        graph.text(schema.GRAPH_NAME, self._name)
        version = _IR_VERSIONS.get(self._opset, _LATEST_IR_VERSION)
        model = MessageWriter().integer(schema.MODEL_IR_VERSION, version)
        model.text(schema.MODEL_PRODUCER, "onnxembed")
        for domain in sorted(self._domains | {""}):
            version = 1 if domain else self._opset
            opset = MessageWriter().text(schema.OPSET_DOMAIN, domain).integer(schema.OPSET_VERSION, version)
            model.message(schema.MODEL_OPSET_IMPORT, opset)
        return model.message(schema.MODEL_GRAPH, graph)


def _write_external(
    file: IO[bytes], tensors: Mapping[str, Tensor], location: str, advance: Advance
) -> list[MessageWriter]:
    """Write the large tensors to a data file; return the descriptions of all."""
    described = []
    for name, value in tensors.items():
        advance(1)
        if len(value) < _SMALLEST_EXTERNAL_BYTES:
            described.append(_inline_tensor(name, value))
            continue
        file.write(b"\0" * (-file.tell() % _EXTERNAL_ALIGNMENT))
        tensor = _tensor_head(name, value)
        for key, entry in (("location", location), ("offset", str(file.tell())), ("length", str(len(value)))):
            tensor.message(
                schema.TENSOR_EXTERNAL_DATA, MessageWriter().text(schema.ENTRY_KEY, key).text(schema.ENTRY_VALUE, entry)
            )
        for part in value.parts:
            file.write(part.tobytes())
        described.append(tensor.integer(schema.TENSOR_DATA_LOCATION, schema.DATA_LOCATION_EXTERNAL))
    return described


def _inline_tensor(name: str, value: Tensor) -> MessageWriter:
    return _tensor_head(name, value).data(schema.TENSOR_RAW_DATA, *value.parts)


def _tensor_head(name: str, value: Tensor) -> MessageWriter:
    tensor = MessageWriter()
    for size in value.shape:
        tensor.integer(schema.TENSOR_DIMS, size)
    return tensor.integer(schema.TENSOR_DATA_TYPE, _ELEMENT_TYPES[value.element_type]).text(schema.TENSOR_NAME, name)


def _value_info(name: str, element_type: int, shape: Sequence[Dimension]) -> MessageWriter:
    dimensions = MessageWriter()
    for size in shape:
        dimension = MessageWriter()
        if isinstance(size, str):
            dimension.text(schema.DIMENSION_NAME, size)
        else:
            dimension.integer(schema.DIMENSION_VALUE, size)
        dimensions.message(schema.SHAPE_DIMENSION, dimension)
    tensor = (
        MessageWriter().integer(schema.TENSOR_TYPE_ELEMENT, element_type).message(schema.TENSOR_TYPE_SHAPE, dimensions)
    )
    kind = MessageWriter().message(schema.TYPE_TENSOR, tensor)
    return MessageWriter().text(schema.VALUE_NAME, name).message(schema.VALUE_TYPE, kind)


def stored_attribute(name: str, value: AttributeValue) -> bytes:
    """Give the message of an attribute."""
    return _attribute(name, value).tobytes()


def _attribute(name: str, value: AttributeValue) -> MessageWriter:
    attribute = MessageWriter().text(schema.ATTRIBUTE_NAME, name)
    if isinstance(value, int):
        return attribute.integer(schema.ATTRIBUTE_I, value).integer(schema.ATTRIBUTE_TYPE, schema.ATTRIBUTE_TYPE_INT)
    if isinstance(value, float):
        return attribute.fixed32(schema.ATTRIBUTE_F, struct.pack("<f", value)).integer(
            schema.ATTRIBUTE_TYPE, schema.ATTRIBUTE_TYPE_FLOAT
        )
    if isinstance(value, str):
        return attribute.text(schema.ATTRIBUTE_S, value).integer(schema.ATTRIBUTE_TYPE, schema.ATTRIBUTE_TYPE_STRING)
    for item in value:
        attribute.integer(schema.ATTRIBUTE_INTS, item)
    return attribute.integer(schema.ATTRIBUTE_TYPE, schema.ATTRIBUTE_TYPE_INTS)


@contextmanager
def replacing(target: Path) -> Iterator[IO[bytes]]:
    """Open a new file beside the target; at a good end it takes the target's place, at a bad one it goes."""
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
