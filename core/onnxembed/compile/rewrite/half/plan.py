"""Which operators of a graph run in 16 bits: those that cost the time, on values that bear it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from onnxembed.compile.rewrite.half.formats import PLACE_OF_BIAS
from onnxembed.compile.rewrite.probe import inputs_of_products
from onnxembed.errors import UnsupportedModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onnxembed.compile.rewrite.half.formats import HalfFormat
    from onnxembed.formats.onnx_model import Constant, Model, Node

logger = logging.getLogger("onnxembed.models")

SMALLEST_WEIGHT = 128 * 128
"""Numbers of a constant from which its product is worth it; a classifier's last layer costs nothing as it is."""
_MARGIN = 8
"""How far below the largest number the values must stay that are seen on random tokens: texts may have larger ones."""
_SINGLE = 1
# Operators that give the type of their first input.
_SAME_TYPE = frozenset((
    "Abs", "Add", "AveragePool", "Ceil", "Clip", "Concat", "Conv", "Cos", "CumSum", "Div", "Elu", "Erf", "Exp",
    "Expand", "Flatten", "Floor", "Gather", "GatherElements", "GatherND", "Gelu", "Gemm", "GlobalAveragePool",
    "HardSigmoid", "HardSwish", "Identity", "LayerNormalization", "LeakyRelu", "Log", "MatMul", "Max", "MaxPool",
    "Min", "Mish", "Mul", "Neg", "Pad", "Pow", "RMSNormalization", "Reciprocal", "ReduceL1", "ReduceL2",
    "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare", "Relu",
    "Reshape", "Resize", "RotaryEmbedding", "ScatterElements", "ScatterND", "Selu", "Sigmoid", "Sign",
    "SimplifiedLayerNormalization", "Sin", "Slice", "Softmax", "Softplus", "Split", "Sqrt", "Squeeze", "Sub", "Sum",
    "Swish", "Tanh", "Tile", "Transpose", "Trilu", "Unsqueeze",
    "Attention", "BiasGelu", "FastGelu", "FusedMatMul", "MultiHeadAttention", "QuickGelu", "SkipLayerNormalization",
    "SkipSimplifiedLayerNormalization",
))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do with each operator.

    Attributes:
        computed: Outputs of the operators that run in 16 bits, with the places of their inputs of that type.
        tables: Outputs of look-ups in tables that are stored in 16 bits.
        kept: What stays although its like runs in 16 bits, and the number that speaks against it.
        averaged: Values that must be made in single precision, see `averaged_values`.
    """

    computed: Mapping[str, tuple[int, ...]]
    tables: frozenset[str]
    kept: tuple[tuple[str, float], ...]
    averaged: frozenset[str]


_LEAST = 2.0**-14
"""float16 holds smaller numbers with fewer bits; a matrix without any larger one would lose what it says."""


def make_plan(model: Model, form: HalfFormat, smallest: int) -> Plan:
    """Choose by operator, by where values come from, and by the largest numbers, seen on random input."""
    averaged = averaged_values(model)
    found = _candidates(model, form, smallest)
    candidates = {node.outputs[0]: node for node in found if node.outputs[0] not in averaged}
    kept = {
        name: number for name, node in candidates.items() if (number := _largest_constant(model, node)) > form.largest
    }
    if form.largest < np.finfo(np.float32).max:
        kept |= {
            name: number for name, node in candidates.items() if 0 < (number := _largest_matrix(model, node)) < _LEAST
        }
        kept |= _too_large(model, form, {name: node for name, node in candidates.items() if name not in kept})
    computed, tables = {}, []
    for name, node in candidates.items():
        if name in kept:
            continue
        if node.operator == "Gather":
            tables.append(name)
        else:
            computed[name] = form.computed[node.domain, node.operator]
    return Plan(computed, frozenset(tables), tuple(kept.items()), averaged)


def averaged_values(model: Model) -> frozenset[str]:
    """Name the values that a spelled-out normalization averages.

    Where such a value is widened just before, ONNX Runtime makes one operator of both and leaves the widening out, and
    then refuses the operator for its two types.
    """
    makers = {output: node for node in model.nodes for output in node.outputs}
    means = {(node.inputs[0], node.outputs[0]) for node in model.nodes if node.operator == "ReduceMean"}
    averaged = set()
    for node in model.nodes:
        name = node.inputs[0] if node.operator == "Sub" and node.inputs in means else ""
        while name:
            averaged.add(name)
            maker = makers.get(name)
            name = maker.inputs[0] if maker is not None and maker.operator in ("Cast", "Identity") else ""
    return frozenset(averaged)


def _candidates(model: Model, form: HalfFormat, smallest: int) -> Iterator[Node]:
    """Products of features, and look-ups in large tables.

    A value is a feature if it comes from a table, a picture or large weights. The product of positions and
    frequencies, of which rotary embeddings are made, has none: in 16 bits positions above 2048 would be others.
    """
    single = {info.name for info in model.facts.inputs if info.element_type == _SINGLE}
    features = set(single)
    for node in model.nodes:
        found = None
        if _is_lookup(model, node):
            found = node if _numbers(model.constants[node.inputs[0]]) >= smallest else None
            features.update(node.outputs)
        elif (node.domain, node.operator) in form.computed:
            found = node if _is_worth_it(model, form, node, single, features, smallest) else None
        if found is not None:
            yield found
        if _gives_single(model, node, single):
            single.update(node.outputs)
        if any(name in features or _is_large(model, name) for name in node.inputs):
            features.update(node.outputs)


def _is_worth_it(
    model: Model, form: HalfFormat, node: Node, single: set[str], features: set[str], smallest: int
) -> bool:
    places = form.computed[node.domain, node.operator]
    inputs = [node.inputs[place] for place in places if place < len(node.inputs) and node.inputs[place]]
    if node.operator == "Attention" and len(node.inputs) > 4 and node.inputs[4]:
        return False  # what earlier tokens left has a type of its own
    constants = [model.constants[name] for name in inputs if name in model.constants]
    others = [name for name in inputs if name not in model.constants]
    if not others or not all(constant.is_float32 for constant in constants) or not single.issuperset(others):
        return False
    if node.operator in ("Attention", "MultiHeadAttention"):
        return True
    weights = [constant for constant in constants if len(constant.shape) > 1]
    return features.issuperset(others) and all(_numbers(weight) >= smallest for weight in weights)


def _is_lookup(model: Model, node: Node) -> bool:
    table = model.constants.get(node.inputs[0]) if node.operator == "Gather" and node.domain == "" else None
    return table is not None and table.is_float32 and len(table.shape) == 2 and node.whole("axis", 0) == 0


def _is_large(model: Model, name: str) -> bool:
    """Whether a value is a stored matrix; frequencies have one row."""
    constant = model.constants.get(name)
    return constant is not None and constant.is_float32 and len([size for size in constant.shape if size > 1]) > 1


def _gives_single(model: Model, node: Node, single: set[str]) -> bool:
    if node.operator == "Cast":
        return node.whole("to", 0) == _SINGLE
    place = 1 if node.operator == "Where" else 0
    if node.operator not in _SAME_TYPE and node.operator != "Where":
        return False
    name = node.inputs[place] if len(node.inputs) > place else ""
    constant = model.constants.get(name)
    return name in single or (constant is not None and constant.is_float32)


def _numbers(constant: Constant) -> int:
    return int(np.prod(constant.shape, dtype=np.int64))


def _largest_constant(model: Model, node: Node) -> float:
    """The largest finite number of the constants of an operator, by its amount; masks are no products' constants."""
    largest = 0.0
    for name in node.inputs:
        constant = model.constants.get(name)
        if constant is not None and constant.is_float32 and _numbers(constant):
            numbers = constant.array()
            largest = max(largest, float(numbers.max()), -float(numbers.min()))
    return largest


def _largest_matrix(model: Model, node: Node) -> float:
    """The largest number of the smallest matrix of an operator, by its amount; 0 where one is of zeros, or none."""
    constants = (model.constants[name] for name in node.inputs if name in model.constants)
    matrices = [one.array() for one in constants if one.is_float32 and len(one.shape) > 1 and _numbers(one)]
    return min((max(float(numbers.max()), -float(numbers.min())) for numbers in matrices), default=0.0)


def _too_large(model: Model, form: HalfFormat, nodes: Mapping[str, Node]) -> dict[str, float]:
    """The products whose inputs or outputs come near the largest number on random input, with what was seen.

    Nothing is known of inputs that cannot be made up here: then a number that is too large is found when the results
    are not finite.
    """
    places = {name: [] if node.operator == "Gather" else _values(model, form, node) for name, node in nodes.items()}
    names = [value for values in places.values() for value in values]
    if not names:
        return {}
    try:
        seen = inputs_of_products(model, names)
    except UnsupportedModelError as error:
        logger.warning("how large the numbers become in 16 bits is not known before the first run: %s", error)
        return {}
    largest = {value: float(np.abs(rows).max(initial=0)) for value, rows in seen.items()}
    for value, number in largest.items():
        if not np.isfinite(number):
            raise UnsupportedModelError(
                f"{model.path}: the value {value!r} holds numbers that are not finite for random tokens; the weights "
                "are damaged, fetch the model again"
            )
    most = {name: max((largest[value] for value in values), default=0.0) for name, values in places.items()}
    return {name: number for name, number in most.items() if number > form.largest / _MARGIN}


def _values(model: Model, form: HalfFormat, node: Node) -> list[str]:
    """What an operator reads and gives; the masks of attention are bounded where they are read."""
    places = form.computed[node.domain, node.operator]
    read = [node.inputs[place] for place in places if place < min(len(node.inputs), PLACE_OF_BIAS)]
    return [name for name in (*read, node.outputs[0]) if name and name not in model.constants]
