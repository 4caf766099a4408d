"""Decides what of a graph goes into 8 bits: by the form of its products, and by what that costs on random input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from onnxembed.compile.rewrite.int8.products import Product, find_products, left_products
from onnxembed.compile.rewrite.int8.rounding import column_error, row_error
from onnxembed.compile.rewrite.int8.smoothing import Smoothing, find_smoothings
from onnxembed.compile.rewrite.probe import inputs_of_products
from onnxembed.errors import UnsupportedModelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from onnxembed.formats.onnx_model import Model, Node

_LARGEST_ERROR = 0.06
"""Mean relative error of a product's rows, or of a table's columns, from which it stays in single precision."""
_SMALLEST_TABLE = 1 << 20
_ROWS_MEASURED = 4096
# Operators of graphs whose weights or activations are in few bits already.
_ROUNDING = frozenset((
    "ConvInteger", "DequantizeLinear", "DynamicQuantizeLSTM", "DynamicQuantizeLinear", "DynamicQuantizeMatMul",
    "GatherBlockQuantized", "MatMulBnb4", "MatMulInteger", "MatMulInteger16", "MatMulIntegerToFloat", "MatMulNBits",
    "QAttention", "QEmbedLayerNormalization", "QGemm", "QLinearAdd", "QLinearConv", "QLinearMatMul", "QuantizeLinear",
))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Plan:
    """What is done.

    Attributes:
        products: The products that go into 8 bits, by the name of their output.
        smoothings: The values whose channels are divided by a scale, by name.
        tables: Names of the constants that are looked up in 8 bits.
        kept: Outputs of the products, and names of the tables, that 8 bits would spoil, and by how much.
        left: Operators with a large weight whose form is not known here.
        spaces: For each value that products read its shape on random input, channels aside: values of one shape there
            have one number of rows always.
    """

    products: Mapping[str, Product]
    smoothings: Mapping[str, Smoothing]
    tables: frozenset[str]
    kept: tuple[tuple[str, float], ...]
    left: tuple[str, ...]
    spaces: Mapping[str, tuple[int, ...]]


def require_single_precision(model: Model) -> None:
    """Refuse a graph whose numbers are in few bits already."""
    there = sorted({operator for _, operator in model.facts.operators} & _ROUNDING)
    if there:
        raise UnsupportedModelError(
            f"{model.path} is quantised already (it has the operators {', '.join(there)}); precision='int8' is made "
            "from a graph of single precision: name that file with model_file=, or use precision='fp32', which "
            "computes this one as it is"
        )


def make_plan(model: Model, smallest: int, most: int) -> Plan:
    """Decide by measuring: what each product is fed with on random input, and what 8 bits would cost it."""
    found = find_products(model, smallest)
    values = inputs_of_products(model, [product.x for product in found]) if found else {}
    products = [product for product in found if values[product.x].ndim > 1]  # blocked rounding needs rows
    left = tuple(left_products(model, products, smallest))
    if not products:
        raise UnsupportedModelError(f"{model.path} {_why_none(model, left, smallest)}; use precision='fp32'")
    seen = {name: value.reshape(-1, value.shape[-1]) for name, value in values.items() if value.ndim > 1}
    for value, rows in seen.items():
        if not np.isfinite(rows).all():
            raise UnsupportedModelError(
                f"{model.path}: the value {value!r} holds numbers that are not finite for random tokens; the weights "
                "are damaged, fetch the model again"
            )
    smoothings = find_smoothings(model, products, seen)
    errors = {product.node.outputs[0]: _error(model, product, smoothings, seen, most) for product in products}
    chosen = {product.node.outputs[0]: product for product in products if _is_small(errors, product)}
    reading, tables = {product.x for product in chosen.values()}, _tables(model)
    return Plan(
        chosen,
        {value: smoothing for value, smoothing in smoothings.items() if value in reading},
        frozenset(name for name, error in tables.items() if error <= _LARGEST_ERROR),
        (
            *((name, error) for name, error in errors.items() if name not in chosen),
            *((name, error) for name, error in tables.items() if not error <= _LARGEST_ERROR),
        ),
        left,
        {name: value.shape[:-1] for name, value in values.items()},
    )


def smoothed_weight(model: Model, product: Product, smoothing: Smoothing | None) -> NDArray[np.float32]:
    """Give the weights (inputs, outputs) as they are rounded."""
    matrix: NDArray[np.float32] = product.matrix(model)
    if smoothing is not None:
        matrix = np.asarray(matrix * smoothing.scale[:, None], np.float32)
    return matrix


def _is_small(errors: Mapping[str, float], product: Product) -> bool:
    return errors[product.node.outputs[0]] <= _LARGEST_ERROR


def _error(
    model: Model,
    product: Product,
    smoothings: Mapping[str, Smoothing],
    seen: Mapping[str, NDArray[np.float32]],
    most: int,
) -> float:
    smoothing, rows = smoothings.get(product.x), seen[product.x]
    if smoothing is not None:
        rows = np.asarray(rows / smoothing.scale, np.float32)
    return row_error(rows, smoothed_weight(model, product, smoothing), most, after_gelu=product.after_gelu)


def _why_none(model: Model, left: Sequence[str], smallest: int) -> str:
    if any(constant.is_half and len(constant.shape) > 1 for constant in model.constants.values()):
        return "is of half precision, which 8 bits are not made from: name a file of single precision with model_file="
    if left:
        return f"has large weights only in operators that stay in single precision ({', '.join(left)})"
    convolved = [model.constants.get(node.inputs[1]) for node in model.nodes if node.operator == "Conv"]
    if any(weight is not None and prod(weight.shape) >= smallest for weight in convolved):
        return "has no product that is worth 8 bits: its large weights are those of convolutions, slower in 8 bits"
    return "has no product of single precision that is worth 8 bits"


def is_lookup(node: Node) -> bool:
    """Tell whether an operator takes whole rows of its first input."""
    return node.operator == "Gather" and node.domain == "" and node.whole("axis", 0) == 0


def _tables(model: Model) -> dict[str, float]:
    """Name the large constants whose rows are looked up, and what 8 bits would cost each."""
    found = {}
    for node in model.nodes:
        table = model.constants.get(node.inputs[0]) if is_lookup(node) else None
        if (
            table is not None
            and table.is_float32
            and len(table.shape) == 2
            and prod(table.shape) >= _SMALLEST_TABLE
            and node.inputs[0] not in found
        ):
            found[node.inputs[0]] = column_error(table.array()[:: max(1, table.shape[0] // _ROWS_MEASURED)])
    return found
