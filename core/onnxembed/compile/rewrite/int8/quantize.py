"""Rewrites a graph of single precision so that its large products run in 8-bit integers.

A value that products read is rounded in one pass by a blocked ``QuantizeLinear`` whose scales, one per row, are
computed when the graph runs. The product is ``MatMulIntegerToFloat`` with one scale per column, then multiplied by the
scales of the rows; a bias comes last. The order matters: with the rows' scales inside the operator, or a bias as its
input, ONNX Runtime multiplies the bias by them without a word.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from onnxembed.compile.graph_builder import FLOAT, LARGEST_INLINE_BYTES, MICROSOFT, GraphBuilder
from onnxembed.compile.rewrite.copying import Copy, require_free_names
from onnxembed.compile.rewrite.int8.planning import (
    Plan,
    is_lookup,
    make_plan,
    require_single_precision,
    smoothed_weight,
)
from onnxembed.compile.rewrite.int8.products import OWN, SMALLEST_WEIGHT, Product
from onnxembed.compile.rewrite.int8.rounding import GELU_LEAST, GELU_ZERO, ZERO, column_scales, rounded_weight
from onnxembed.compile.rewrite.int8.unfusing import unfuse
from onnxembed.compile.rewrite.opsets import require_known
from onnxembed.formats.onnx_model import Constant, Model, Node, read_model

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from onnxembed.compile.rewrite.int8.smoothing import Smoothing

logger = logging.getLogger("onnxembed.models")

_MOST = {8: 127, 7: 63}
"""Largest rounded weight, by its bits. Without 8-bit dot products two products are added in 16 bits, too few for 8."""


@dataclass(frozen=True, slots=True)
class Quantized:
    """What was rewritten.

    Attributes:
        products: Number of products in 8 bits.
        kept: Names of the outputs of products, and of tables, that stayed in single precision, and the error that 8
            bits would have.
        tables: Number of tables of vectors in 8 bits.
        left: Operators that hold a large weight in a form that is not rewritten, each with the name of its output.
    """

    products: int
    kept: tuple[tuple[str, float], ...]
    tables: int
    left: tuple[str, ...] = ()


def quantize_graph(
    source: Path, target: Path, *, weight_bits: int = 8, single_file: bool = False, smallest: int = SMALLEST_WEIGHT
) -> Quantized:
    """Write a graph whose large products and tables are in 8-bit integers.

    Args:
        source: An ONNX file of single precision, compiled here or exported by others.
        target: The ``.onnx`` file to write; large constants go to ``<target>.data`` beside it.
        weight_bits: Bits that weights are rounded to: 8, or 7 for processors without 8-bit dot products.
        single_file: Whether the constants go into the file itself, where its format has room.
        smallest: Numbers of a weight from which its product is rewritten.

    Returns:
        What was done.

    Raises:
        UnsupportedModelError: The graph is quantised already, or has no large product of single precision, an operator
            that is not known in the version of ONNX that has blocked rounding, or an input that cannot be made up.
        ModelError: The file is damaged.
    """
    most = _MOST[weight_bits]
    with read_model(source) as model:
        require_single_precision(model)
        require_known(model)
        require_free_names(model, OWN)
        unfuse(model, smallest)
        plan = make_plan(model, smallest, most)
        graph = _Rewriting(model, plan, most).run()
        graph.write(target, largest_inline_bytes=LARGEST_INLINE_BYTES if single_file else 0)
        return Quantized(len(plan.products), plan.kept, len(plan.tables), plan.left)


class _Rewriting:
    """Writes the new graph, node by node in the order of the old one."""

    def __init__(self, model: Model, plan: Plan, most: int) -> None:
        self._model, self._plan, self._most = model, plan, most
        self._copy = Copy(model, OWN)
        self._graph = self._copy.graph
        self._rounded: dict[str, tuple[str, str]] = {}  # by value: its 8 bits, and the scales of its rows
        self._zero_points: dict[tuple[tuple[int, ...], int], str] = {}  # by the rows' shape, and the number
        self._groups = self._grouped()
        self._folded = {
            id(node): (smoothing, places)
            for smoothing in plan.smoothings.values()
            for node, places in zip(smoothing.nodes, smoothing.places, strict=True)
        }

    def run(self) -> GraphBuilder:
        for node in self._model.nodes:
            product = self._plan.products.get(node.outputs[0])
            if product is not None and product.node is node:
                if product.node.outputs[0] in self._groups:
                    self._add_products(self._groups[product.node.outputs[0]])
            elif id(node) in self._folded:
                self._add_smoothed(node, *self._folded[id(node)])
            elif is_lookup(node) and node.inputs[0] in self._plan.tables:
                self._add_lookup(node)
            else:
                self._copy.node(node)
        self._copy.outputs()
        return self._graph

    def _grouped(self) -> dict[str, list[Product]]:
        """Products of one value, by the output of the first; one whose bias is computed stays by itself."""
        groups: dict[str, list[Product]] = {}
        for product in self._plan.products.values():
            bias = self._bias(product)
            alone = bias is not None and bias not in self._model.constants
            groups.setdefault(product.node.outputs[0] if alone else f"of {product.x}", []).append(product)
        return {group[0].node.outputs[0]: group for group in groups.values()}

    def _add_smoothed(self, node: Node, smoothing: Smoothing, places: tuple[int, ...]) -> None:
        """Divide the constants of a node by the scale, and give other readers the value as it was."""
        inputs = list(node.inputs)
        for place in places:
            constant = self._model.constants[inputs[place]]
            name = f"{OWN}{node.outputs[0]}.constant{place}"
            inputs[place] = self._graph.later(name, constant.shape, partial(_divided, constant, smoothing.scale))
        if node is not smoothing.nodes[-1]:
            self._copy.node(node, inputs)
            return
        smoothed = self._smoothed(smoothing.value)
        self._copy.node(node, inputs, (smoothed, *node.outputs[1:]))
        scale = self._graph.initializer(f"{OWN}{smoothing.value}.scale", smoothing.scale)
        self._graph.node("Mul", [smoothed, scale], smoothing.value)

    def _smoothed(self, value: str) -> str:
        return f"{OWN}{value}.smoothed"

    def _add_products(self, products: Sequence[Product]) -> None:
        """Multiply a value by the weights of all that read it at once, and split what comes out."""
        graph, first = self._graph, products[0]
        name = f"{OWN}{first.node.outputs[0]}"
        rounded, scales = self._round(first, self._plan.smoothings.get(first.x))
        sizes = [product.shape(self._model)[1] for product in products]

        def joined(make: Callable[[NDArray[np.float32]], NDArray[Any]]) -> NDArray[Any]:
            smoothing = self._plan.smoothings.get(first.x)
            matrices = (smoothed_weight(self._model, product, smoothing) for product in products)
            return np.concatenate([make(matrix) for matrix in matrices], axis=-1)

        shape = (first.shape(self._model)[0], sum(sizes))
        stored = graph.later(f"{name}.weight", shape, partial(joined, self._rounded_weight), "int8")
        columns = graph.later(f"{name}.columns", shape[1:], partial(joined, partial(column_scales, most=self._most)))
        one = self._shared("one", np.array(1, np.float32))
        zero = self._shared(f"zero{self._zero(first)}", np.array(self._zero(first), np.uint8))
        inputs = [rounded, stored, one, columns, zero]
        whole = graph.node("MatMulIntegerToFloat", inputs, f"{name}.product", domain=MICROSOFT)
        biases = [self._bias(product) for product in products]
        parts = [
            product.node.outputs[0] if bias is None else f"{OWN}{product.node.outputs[0]}.scaled"
            for product, bias in zip(products, biases, strict=True)
        ]
        if len(products) == 1:
            graph.node("Mul", [whole, scales], parts[0])
        else:
            scaled = graph.node("Mul", [whole, scales], f"{name}.scaled_rows")
            ends = graph.integers(f"{name}.sizes", sizes)
            graph.node("Split", [scaled, ends], parts[0], {"axis": -1}, further_outputs=parts[1:])
        for product, bias, part in zip(products, biases, parts, strict=True):
            if bias is not None:
                self._copy.constant(bias)
                graph.node("Add", [part, bias], product.node.outputs[0])

    def _bias(self, product: Product) -> str | None:
        return product.node.inputs[2] if len(product.node.inputs) > 2 and product.node.inputs[2] else None

    def _rounded_weight(self, matrix: NDArray[np.float32]) -> NDArray[np.int8]:
        return rounded_weight(matrix, column_scales(matrix, self._most), self._most)

    def _round(self, product: Product, smoothing: Smoothing | None) -> tuple[str, str]:
        """Round a value once for all products that read it."""
        if product.x in self._rounded:
            return self._rounded[product.x]
        graph, name = self._graph, f"{OWN}{product.x}"
        value = product.x if smoothing is None else self._smoothed(product.x)
        last = self._shared("last_axis", np.array([-1], np.int64))
        largest = graph.node("ReduceMax", [value, last], f"{name}.largest", {"keepdims": 1})
        if product.after_gelu:
            up = self._shared("gelu_up", np.array(1 / (255 - GELU_ZERO), np.float32))
            least = self._shared("gelu_least", np.array(GELU_LEAST / GELU_ZERO, np.float32))
            above = graph.node("Mul", [largest, up], f"{name}.above")
            scales = graph.node("Max", [above, least], f"{name}.scales")
        else:
            smallest = graph.node("ReduceMin", [value, last], f"{name}.smallest", {"keepdims": 1})
            up = self._shared("up", np.array(1 / 127, np.float32))
            down = self._shared("down", np.array(-1 / 127, np.float32))
            tiny = self._shared("tiny", np.array(1e-12, np.float32))
            above = graph.node("Mul", [largest, up], f"{name}.above")
            below = graph.node("Mul", [smallest, down], f"{name}.below")
            scales = graph.node("Max", [above, below, tiny], f"{name}.scales")
            if smoothing is None:
                scales = self._with_not_a_number(value, scales, name)
        zeros = self._zeros(product, scales)
        attributes = {"axis": -1, "block_size": product.shape(self._model)[0]}
        rounded = graph.node("QuantizeLinear", [value, scales, zeros], f"{name}.rounded", attributes)
        self._rounded[product.x] = rounded, scales
        return rounded, scales

    def _zeros(self, product: Product, scales: str) -> str:
        """The zero points of the rows, one tensor for all values with such rows."""
        value = self._zero(product)
        key = (self._plan.spaces[product.x], value)
        if key not in self._zero_points:
            name = f"{OWN}{product.x}"
            shape = self._graph.node("Shape", [scales], f"{name}.shape")
            self._zero_points[key] = self._graph.filled(shape, value, f"{name}.zeros")
        return self._zero_points[key]

    def _with_not_a_number(self, value: str, scales: str, name: str) -> str:
        """Make the scale of a row with a number that is none no number either: the largest passes over NaN.

        Normalizations and GELUs of products need it not: one NaN there is a whole row of them, and its largest is NaN.
        """
        last, nothing = (
            self._shared("last_axis", np.array([-1], np.int64)),
            self._shared("nothing", np.array(0, np.float32)),
        )
        total = self._graph.node("ReduceSum", [value, last], f"{name}.total", {"keepdims": 1})
        wrong = self._graph.node("Mul", [total, nothing], f"{name}.zero_or_not_a_number")
        return self._graph.node("Add", [scales, wrong], f"{name}.checked_scales")

    def _zero(self, product: Product) -> int:
        return GELU_ZERO if product.after_gelu else ZERO

    def _add_lookup(self, node: Node) -> None:
        """Look up rows of 8 bits and their scales."""
        graph, table = self._graph, node.inputs[0]
        name = f"{OWN}{table}"
        rows, numbers = self._model.constants[table].shape
        if not graph.has_tensor(f"{name}.rows"):
            graph.later(f"{name}.rows", (rows, numbers), partial(_rounded_rows, self._model, table), "int8")
            graph.later(f"{name}.scales", (rows, 1), partial(_row_scales, self._model, table))
        self._copy.constant(node.inputs[1])
        output = f"{OWN}{node.outputs[0]}"
        found = graph.node("Gather", [f"{name}.rows", node.inputs[1]], f"{output}.rows")
        scale = graph.node("Gather", [f"{name}.scales", node.inputs[1]], f"{output}.scale")
        numbers_of = graph.node("Cast", [found], f"{output}.numbers", {"to": FLOAT})
        graph.node("Mul", [numbers_of, scale], node.outputs[0])

    def _shared(self, name: str, value: NDArray[np.generic]) -> str:
        """A constant that all products share."""
        if not self._graph.has_tensor(f"{OWN}{name}"):
            self._graph.initializer(f"{OWN}{name}", value)
        return f"{OWN}{name}"


def _divided(constant: Constant, scale: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(constant.array() / scale, np.float32)


def _row_scales(model: Model, table: str) -> NDArray[np.float32]:
    return column_scales(model.constants[table].array().T, _MOST[8])[:, None]


def _rounded_rows(model: Model, table: str) -> NDArray[np.int8]:
    rows = model.constants[table].array()
    return rounded_weight(rows, _row_scales(model, table), _MOST[8])
