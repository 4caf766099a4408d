"""The products of a graph that may be computed in 8 bits."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from numpy.typing import NDArray

    from onnxembed.formats.onnx_model import Model, Node

OWN = "int8/"
"""Before the names of values that are added, which must not meet those of the file."""
SMALLEST_WEIGHT = 128 * 512
"""Numbers of a weight from which 8 bits are the faster; below, at a few rows, the plain product is."""
# Operators whose output is never below this, exactly: GELU's least value is -0.16997, of its tanh form -0.17004.
_GELU = frozenset(
    {("com.microsoft", "BiasGelu"), ("com.microsoft", "FastGelu"), ("com.microsoft", "Gelu"), ("", "Gelu")}
)

# Operators that multiply by a weight, whatever the form. Convolutions are not among them: they stay by rule.
_MULTIPLYING = frozenset((
    "Attention", "DecoderAttention", "Einsum", "FusedGemm", "FusedMatMul", "GRU", "Gemm", "LSTM", "LongformerAttention",
    "MatMul", "MoE", "MultiHeadAttention", "PackedAttention", "RNN", "TransposeMatMul",
))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Product:
    """``x @ weight``, the bias aside, which stays a sum of single precision.

    Attributes:
        node: The operator, MatMul or Gemm.
        x: Name of the activations.
        weight: Name of the constant.
        transposed: Whether the constant is (outputs, inputs).
        after_gelu: Whether the activations come out of a GELU, and so are never below -0.1701.
    """

    node: Node
    x: str
    weight: str
    transposed: bool
    after_gelu: bool

    def shape(self, model: Model) -> tuple[int, int]:
        """Give the numbers of inputs and outputs."""
        first, second = model.constants[self.weight].shape
        return (second, first) if self.transposed else (first, second)

    def matrix(self, model: Model) -> NDArray[Any]:
        """Give the weights (inputs, outputs), a view of the constant."""
        stored = model.constants[self.weight].array()
        return stored.T if self.transposed else stored


def find_products(model: Model, smallest: int) -> list[Product]:
    """Find the products of activations with a constant matrix of single precision of at least so many numbers."""
    gelus = gelu_outputs(model)
    found = []
    for node in model.nodes:
        plain = node.operator == "MatMul" and node.domain == "" and len(node.inputs) == 2
        if not plain and not _is_linear(node):
            continue
        x, weight = node.inputs[:2]
        constant = model.constants.get(weight)
        if constant is None or x in model.constants or not constant.is_float32 or len(constant.shape) != 2:
            continue
        if constant.shape[0] * constant.shape[1] < smallest:
            continue
        found.append(Product(node, x, weight, not plain and bool(node.whole("transB", 0)), x in gelus))
    return found


def left_products(model: Model, products: Sequence[Product], smallest: int) -> Iterator[str]:
    """Name the operators with a large weight that are not among the products, and their outputs."""
    done = {id(product.node) for product in products}
    for node in model.nodes:
        if node.has_graphs:
            yield f"{node.operator} {node.outputs[0]}"
        elif node.operator in _MULTIPLYING and id(node) not in done:
            weights = (model.constants[name] for name in node.inputs if name in model.constants)
            if any(len(weight.shape) > 1 and prod(weight.shape) >= smallest for weight in weights):
                yield f"{node.operator} {node.outputs[0]}"


def gelu_outputs(model: Model) -> Collection[str]:
    """Name the values that a GELU makes, as one operator or spelled out by its error function."""
    makers = {output: node for node in model.nodes for output in node.outputs}
    fused = {node.outputs[0] for node in model.nodes if (node.domain, node.operator) in _GELU}
    spelled = {node.outputs[0] for node in model.nodes if _is_spelled_gelu(node, makers, model)}
    return fused | spelled


def _is_linear(node: Node) -> bool:
    """Tell whether a Gemm is a product and a bias, each taken once."""
    return (
        node.operator == "Gemm"
        and node.domain == ""
        and not node.whole("transA", 0)
        and node.real("alpha", 1.0) == 1.0
        and node.real("beta", 1.0) == 1.0
    )


def _is_spelled_gelu(node: Node, makers: dict[str, Node], model: Model) -> bool:
    """Tell whether a value is ``x * (1 + erf(x / sqrt(2))) * 0.5``, multiplied in whatever order.

    Walks up through the products to find Erf exactly once, on a quotient of the same x that is multiplied.
    """
    if node.operator != "Mul":
        return False
    factors, halves, sums = _factors(node, makers, model)
    if len(factors) != 1 or len(sums) != 1 or abs(halves - 0.5) > 1e-6:
        return False
    return _erf_of(sums[0], makers, model) == factors[0]


def _factors(node: Node, makers: dict[str, Node], model: Model) -> tuple[list[str], float, list[Node]]:
    """Take a product apart: values, the product of its constant numbers, and sums."""
    values: list[str] = []
    number = 1.0
    sums: list[Node] = []
    for name in node.inputs:
        maker = makers.get(name)
        constant = _number(model, name)
        if constant is not None:
            number *= constant
        elif maker is not None and maker.operator == "Mul" and len(values) + len(sums) < 3:
            inner, inner_number, inner_sums = _factors(maker, makers, model)
            values += inner
            number *= inner_number
            sums += inner_sums
        elif maker is not None and maker.operator == "Add" and any(_number(model, i) == 1.0 for i in maker.inputs):
            sums.append(maker)
        else:
            values.append(name)
    return values, number, sums


def _erf_of(addition: Node, makers: dict[str, Node], model: Model) -> str | None:
    """Of ``erf(x / sqrt(2)) + 1``: x."""
    for name in addition.inputs:
        erf = makers.get(name)
        if erf is None or erf.operator != "Erf":
            continue
        scaled = makers.get(erf.inputs[0])
        if scaled is None or scaled.operator not in ("Div", "Mul"):
            return None
        for value, number in (scaled.inputs, scaled.inputs[::-1]):
            factor = _number(model, number)
            root = 2**0.5 if scaled.operator == "Div" else 0.5**0.5
            if factor is not None and abs(factor - root) < 1e-4:
                return value
    return None


def _number(model: Model, name: str) -> float | None:
    """A constant of one number."""
    constant = model.constants.get(name)
    if constant is None or not constant.is_float32 or any(size != 1 for size in constant.shape):
        return None
    return float(constant.array().reshape(()))
