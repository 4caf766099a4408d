"""Takes fused operators apart that hold a product, so that the product can be rewritten like any other.

Graphs that were optimised ahead hold the projections of attention inside ``Attention``, the tables inside
``EmbedLayerNormalization``, and weights behind ``Transpose`` or in the half precision they are stored in. What stands
in their place computes the same numbers in single precision; what is not understood is left as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from onnxembed.compile.graph_builder import FLOAT, MICROSOFT, stored_attribute
from onnxembed.compile.rewrite.int8.patches import patches_as_rows
from onnxembed.compile.rewrite.int8.products import OWN
from onnxembed.formats.onnx_model import Constant, Made, Node

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from onnxembed.formats.onnx_model import Model

# Activations that are operators of the same name without choices.
_ACTIVATIONS = frozenset({"Relu", "Tanh", "Sigmoid"})
_ATTENTION_CHOICES = ("num_heads", "scale", "mask_filter_value", "unidirectional")
_EMBEDDING_INPUTS = 9
_OPSET_OF_AXES_AS_INPUT = 13
_MASK_AXES = 2


def unfuse(model: Model, smallest: int) -> None:
    """Take operators apart whose weight has at least so many numbers, in the model itself."""
    apart = _Unfusing(model, smallest)
    model.nodes[:] = [part for node in model.nodes for part in apart.parts(node)]


class _Unfusing:
    def __init__(self, model: Model, smallest: int) -> None:
        self._model, self._smallest = model, smallest
        self._makers = {output: node for node in model.nodes for output in node.outputs}
        self._uses: dict[str, int] = {}
        for node in model.nodes:
            for name in node.inputs:
                self._uses[name] = self._uses.get(name, 0) + 1
        for info in model.facts.outputs:
            self._uses[info.name] = self._uses.get(info.name, 0) + 1
        self._rules: Mapping[tuple[str, str], Callable[[Node], Iterable[Node] | None]] = {
            ("", "Identity"): self._folded,
            ("", "Transpose"): self._folded,
            ("", "Cast"): self._folded,
            ("", "Gemm"): self._gemm,
            ("", "Conv"): self._patches,
            (MICROSOFT, "FusedGemm"): self._fused_gemm,
            (MICROSOFT, "FusedMatMul"): self._fused_product,
            (MICROSOFT, "TransposeMatMul"): self._fused_product,
            (MICROSOFT, "Attention"): self._attention,
            (MICROSOFT, "EmbedLayerNormalization"): self._embedding,
        }

    def parts(self, node: Node) -> Iterable[Node]:
        """What stands for a node: itself where there is nothing to take apart."""
        rule = self._rules.get((node.domain, node.operator))
        parts = None if rule is None else rule(node)
        return (node,) if parts is None else parts

    def _folded(self, node: Node) -> Iterable[Node] | None:
        """A large constant turned, renamed or widened is another constant."""
        constant = self._matrix(node.inputs[0])
        if constant is None:
            return None
        shape, element_type = constant.shape, constant.element_type
        make: Callable[[], NDArray[Any]] = constant.array
        if node.operator == "Transpose":
            turn = node.wholes("perm") or tuple(range(len(shape)))[::-1]
            shape = tuple(shape[axis] for axis in turn)
            make = _turned(constant, turn)
        elif node.operator == "Cast":
            element_type = node.whole("to", 0)
            if element_type != FLOAT:
                return None
        self._model.constants[node.outputs[0]] = Constant(shape, element_type, self._made(make))
        return ()

    def _patches(self, node: Node) -> Iterable[Node] | None:
        return patches_as_rows(self._model, node, self._smallest)

    def _gemm(self, node: Node) -> Iterable[Node] | None:
        """A Gemm whose factors are in its constants, and whose activations are turned before it."""
        alpha, beta, turned = node.real("alpha", 1.0), node.real("beta", 1.0), node.whole("transA", 0)
        weight = self._weight(node.inputs[1])
        if weight is None or (alpha == 1.0 and beta == 1.0 and not turned):
            return None
        inputs = [*node.inputs, ""][:3]
        if beta != 1.0 and inputs[2]:
            bias = self._model.constants.get(inputs[2])
            if bias is None or not bias.is_float32:
                return None
            inputs[2] = self._constant(node, "bias", bias.shape, _scaled(bias, beta))
        if alpha != 1.0:
            inputs[1] = self._constant(node, "weight", weight.shape, _scaled(weight, alpha))
        before = []
        if turned:
            before = [_node("Transpose", [inputs[0]], f"{OWN}{node.outputs[0]}.turned")]
            inputs[0] = before[0].outputs[0]
        attributes = {name: value for name, value in node.attributes.items() if name == "transB"}
        kept = inputs if inputs[2] else inputs[:2]
        return (*before, Node("Gemm", "", tuple(kept), node.outputs, attributes))

    def _fused_gemm(self, node: Node) -> Iterable[Node] | None:
        """A Gemm and its activation."""
        activation = node.text("activation")
        if activation not in _ACTIVATIONS or self._weight(node.inputs[1]) is None:
            return None
        linear = f"{OWN}{node.outputs[0]}.linear"
        attributes = {name: value for name, value in node.attributes.items() if not name.startswith("activation")}
        gemm = replace(node, operator="Gemm", domain="", outputs=(linear,), attributes=attributes)
        return (*(self._gemm(gemm) or (gemm,)), _node(activation, [linear], node.outputs[0]))

    def _fused_product(self, node: Node) -> Iterable[Node] | None:
        """A product with its factor and its turn in the weight."""
        weight = self._weight(node.inputs[1])
        if weight is None or any(node.whole(name, 0) for name in ("transA", "transBatchA", "transBatchB")):
            return None
        turn = (1, 0) if node.whole("transB", 0) else (0, 1)
        shape = tuple(weight.shape[axis] for axis in turn)
        make = _scaled(weight, node.real("alpha", 1.0), turn)
        return (_node("MatMul", [node.inputs[0], self._constant(node, "weight", shape, make)], node.outputs[0]),)

    def _attention(self, node: Node) -> Iterable[Node] | None:
        """The three projections, and attention over them, which adds their biases."""
        x, name, bias, mask, past, scores, *rest = (*node.inputs, *("",) * 7)[:7]
        weight = self._weight(name)
        if weight is None or past or any(rest) or any(node.outputs[1:]) or node.whole("do_rotary", 0):
            return None
        if mask and not self._is_known_mask(mask):
            return None
        hidden, total = weight.shape
        sizes = node.wholes("qkv_hidden_sizes") or (total // 3,) * 3
        if len(sizes) != 3 or sum(sizes) != total or hidden * min(sizes) < self._smallest:
            return None
        parts, first = [], 0
        for kind, size in zip(("query", "key", "value"), sizes, strict=True):
            made = self._constant(node, kind, (hidden, size), _columns(weight, first, first + size))
            parts.append(_node("MatMul", [x, made], f"{OWN}{node.outputs[0]}.{kind}s"))
            first += size
        attributes = {name: node.attributes[name] for name in _ATTENTION_CHOICES if name in node.attributes}
        inputs = [*(part.outputs[0] for part in parts), bias, mask, scores]
        while not inputs[-1]:
            inputs.pop()
        return (*parts, Node("MultiHeadAttention", MICROSOFT, tuple(inputs), node.outputs[:1], attributes))

    def _embedding(self, node: Node) -> Iterable[Node] | None:
        """The sum of the looked up vectors, and its normalization."""
        inputs = (*node.inputs, *("",) * _EMBEDDING_INPUTS)[:_EMBEDDING_INPUTS]
        ids, types, words, positions, type_vectors, gamma, beta, mask, places = inputs
        tables = [self._model.constants.get(table) for table in (words, positions)]
        if any(table is None or not table.is_float32 for table in tables) or bool(types) != bool(type_vectors):
            return None
        own, output = f"{OWN}{node.outputs[0]}", (*node.outputs, "", "")
        lengths = bool(output[1]) and self._uses.get(output[1], 0) > 0
        if lengths and not mask:
            return None
        parts = [_node("Gather", [words, ids], f"{own}.words")]
        if places:
            parts.append(_node("Gather", [positions, places], f"{own}.positions"))
        else:
            one, zero = self._integers(node, "one", [1]), self._integers(node, "zero", [0])
            first = self._integers(node, "first", [0])
            parts.append(_node("Shape", [ids], f"{own}.shape"))
            parts.append(_node("Gather", [f"{own}.shape", one], f"{own}.length"))
            parts.append(_node("Slice", [positions, zero, f"{own}.length", first], f"{own}.positions"))
        total = output[2] if output[2] and not types else f"{own}.sum"
        parts.append(_node("Add", [f"{own}.words", f"{own}.positions"], f"{own}.placed" if types else total))
        if types:
            total = output[2] or f"{own}.sum"
            parts.append(_node("Gather", [type_vectors, types], f"{own}.types"))
            parts.append(_node("Add", [f"{own}.placed", f"{own}.types"], total))
        epsilon = node.attributes.get("epsilon", stored_attribute("epsilon", 1e-12))
        parts.append(Node("LayerNormalization", "", (total, gamma, beta), node.outputs[:1], {"epsilon": epsilon}))
        if lengths:
            parts.append(self._sum(mask, output[1]))
        return parts

    def _sum(self, mask: str, output: str) -> Node:
        """The number of tokens of each text."""
        keep = {"keepdims": stored_attribute("keepdims", 0)}
        if self._model.facts.opset < _OPSET_OF_AXES_AS_INPUT:
            return Node("ReduceSum", "", (mask,), (output,), keep | {"axes": stored_attribute("axes", [1])})
        axes = f"{OWN}{output}.axes"
        self._model.constants[axes] = Constant((1,), 7, self._made(lambda: np.array([1], np.int64)))
        return Node("ReduceSum", "", (mask, axes), (output,), keep)

    def _is_known_mask(self, name: str) -> bool:
        """Whether a mask is of tokens, (batch, tokens), or of lengths (batch,): attention alone takes these alike."""
        maker = self._makers.get(name)
        if maker is None:
            shapes = {info.name: info.shape for info in self._model.facts.inputs}
            return len(shapes.get(name) or ()) == _MASK_AXES
        if maker.operator in ("Cast", "Identity") and not maker.domain:
            return self._is_known_mask(maker.inputs[0])
        if maker.operator == "ReduceSum" and not maker.domain:
            return not maker.whole("keepdims", 1) and self._axes(maker) == [1] and self._is_known_mask(maker.inputs[0])
        return maker.operator == "EmbedLayerNormalization" and name == maker.outputs[1]

    def _axes(self, node: Node) -> list[int]:
        if len(node.inputs) == 1:
            return list(node.wholes("axes") or ())
        constant = self._model.constants.get(node.inputs[1])
        return [] if constant is None else constant.array().tolist()

    def _weight(self, name: str) -> Constant | None:
        constant = self._matrix(name)
        return constant if constant is not None and constant.is_float32 and len(constant.shape) == 2 else None

    def _matrix(self, name: str) -> Constant | None:
        """A constant that is large enough to be a weight."""
        constant = self._model.constants.get(name)
        if constant is None or len(constant.shape) < 2 or prod(constant.shape) < self._smallest:
            return None
        return constant

    def _integers(self, node: Node, part: str, values: list[int]) -> str:
        return self._constant(node, part, (len(values),), lambda: np.array(values, np.int64), 7)

    def _constant(
        self, node: Node, part: str, shape: tuple[int, ...], make: Callable[[], NDArray[Any]], element_type: int = FLOAT
    ) -> str:
        name = f"{OWN}{node.outputs[0]}.{part}"
        self._model.constants[name] = Constant(shape, element_type, self._made(make))
        return name

    def _made(self, make: Callable[[], NDArray[Any]]) -> Made:
        return Made(str(self._model.path), make)


def _node(operator: str, inputs: Iterable[str], output: str) -> Node:
    return Node(operator, "", tuple(inputs), (output,))


def _turned(constant: Constant, turn: tuple[int, ...]) -> Callable[[], NDArray[Any]]:
    return lambda: constant.array().transpose(turn)


def _columns(constant: Constant, first: int, last: int) -> Callable[[], NDArray[Any]]:
    return lambda: constant.array()[:, first:last]


def _scaled(constant: Constant, factor: float, turn: tuple[int, ...] | None = None) -> Callable[[], NDArray[Any]]:
    def make() -> NDArray[Any]:
        values = constant.array() if turn is None else constant.array().transpose(turn)
        return values if factor == 1.0 else np.asarray(values * np.float32(factor), np.float32)

    return make
