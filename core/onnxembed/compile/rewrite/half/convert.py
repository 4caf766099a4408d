"""Rewrites a graph of single precision so that its products run in 16-bit floats."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from onnxembed.compile.graph_builder import FLOAT, LARGEST_INLINE_BYTES, MICROSOFT, GraphBuilder, stored_attribute
from onnxembed.compile.rewrite.copying import Copy, require_free_names
from onnxembed.compile.rewrite.half.formats import PLACE_OF_BIAS
from onnxembed.compile.rewrite.half.plan import SMALLEST_WEIGHT, Plan, make_plan
from onnxembed.compile.rewrite.opsets import OPSET, require_known
from onnxembed.errors import UnsupportedModelError
from onnxembed.formats.onnx_model import read_model

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from onnxembed.compile.rewrite.half.formats import HalfFormat
    from onnxembed.formats.onnx_model import Constant, Model, Node

OWN = "half/"
"""Before the names of values that are added, which must not meet those of the file."""
_OLDEST = 13
"""The first version of ONNX whose operators take bfloat16; what is older is brought to a later one."""
MASKED = 30_000.0
"""The most that is taken from or added to a score: its exponential is 0 beside any other, and a sum with a score still
has room in float16."""
_MASK_VALUE = "mask_filter_value"
_ATTENTIONS = frozenset({(MICROSOFT, "Attention"), (MICROSOFT, "MultiHeadAttention")})


@dataclass(frozen=True, slots=True)
class Halved:
    """What was rewritten.

    Attributes:
        products: Number of products, convolutions and attentions in 16 bits.
        tables: Number of look-ups in tables of 16 bits.
        kept: Names of the outputs of those that stayed in single precision, and the number that is too large.
    """

    products: int
    tables: int
    kept: tuple[tuple[str, float], ...]


def halve_graph(
    source: Path, target: Path, form: HalfFormat, *, single_file: bool = False, smallest: int = SMALLEST_WEIGHT
) -> Halved:
    """Write a graph whose products run in 16 bits; inputs and outputs keep their types.

    Args:
        source: An ONNX file of single precision, compiled here or exported by others.
        target: The ``.onnx`` file to write; large constants go to ``<target>.data`` beside it.
        form: `FLOAT16` or `BFLOAT16`.
        single_file: Whether the constants go into the file itself, where its format has room.
        smallest: Numbers of a weight from which its product is rewritten.

    Returns:
        What was done.

    Raises:
        UnsupportedModelError: The graph has no product of single precision, graphs inside, or operators of a version
            that is too old.
        ModelError: The file is damaged.
    """
    with read_model(source) as model:
        inside = sorted({node.operator for node in model.nodes if node.has_graphs})
        if inside:
            raise UnsupportedModelError(
                f"{source}: the operators {', '.join(inside)} hold graphs, which are not brought to 16 bits; use "
                "precision='fp32'"
            )
        if model.facts.opset < _OLDEST:
            require_known(model)
        require_free_names(model, OWN)
        plan = make_plan(model, form, smallest)
        if not plan.computed:
            raise UnsupportedModelError(
                f"{source} has no product of single precision that is worth 16 bits; use precision='fp32'"
            )
        graph = _Halving(model, form, plan).run()
        graph.write(target, largest_inline_bytes=LARGEST_INLINE_BYTES if single_file else 0)
        return Halved(len(plan.computed), len(plan.tables), plan.kept)


class _Halving:
    """Writes the new graph, node by node in the order of the old one.

    A value that is made in 16 bits is widened where an operator of single precision reads it first, and the other way
    round; both ways once.
    """

    def __init__(self, model: Model, form: HalfFormat, plan: Plan) -> None:
        self._model, self._form, self._plan = model, form, plan
        self._copy = Copy(model, OWN, OPSET if model.facts.opset < _OLDEST else model.facts.opset)
        self._graph = self._copy.graph
        self._half: dict[str, str] = {}  # values of 16 bits, by the name of the value in single precision
        self._made: set[str] = set()  # those that are made in 16 bits, not narrowed for one reader
        self._only_half: set[str] = set()

    def run(self) -> GraphBuilder:
        for node in self._model.nodes:
            places = self._places(node)
            if places is None:
                for name in node.inputs:
                    self._widened(name)
                self._copy.node(node)
            else:
                self._add(node, places)
        for info in self._model.facts.outputs:
            self._widened(info.name)
        self._copy.outputs()
        return self._graph

    def _places(self, node: Node) -> tuple[int, ...] | None:
        """The inputs that an operator takes in 16 bits; ``None`` where it stays as it is."""
        output, key = node.outputs[0], (node.domain, node.operator)
        if output in self._plan.computed:
            return self._plan.computed[output]
        if output in self._plan.tables:
            return (0,)
        if output in self._plan.averaged:
            return None
        if key in self._form.carried and node.inputs[0] in self._made:
            return self._form.carried[key] if self._constants_fit(node.inputs) else None
        if key == ("", "Concat") and all(name in self._made for name in node.inputs):
            return tuple(range(len(node.inputs)))
        if node.domain == "" and node.operator in self._form.scaled and self._is_scaled(node):
            return (0, 1)
        return None

    def _is_scaled(self, node: Node) -> bool:
        """Whether one input is in 16 bits, and the other a bias or a scale; of products, both may be in 16 bits.

        Sums of two values stay: they may be a residual path, which grows from layer to layer.
        """
        halves = [name for name in node.inputs if name in self._made]
        constants = [self._model.constants[name] for name in node.inputs if name in self._model.constants]
        if len(halves) == len(node.inputs):
            return node.operator == "Mul"
        one_axis = [constant for constant in constants if len(constant.shape) <= 1 and constant.is_float32]
        return len(halves) == len(one_axis) == 1 and self._constants_fit(node.inputs)

    def _constants_fit(self, names: tuple[str, ...]) -> bool:
        constants = (self._model.constants[name] for name in names if name in self._model.constants)
        numbers = (constant.array() for constant in constants if constant.is_float32)
        return all(np.abs(some).max(initial=0) <= self._form.largest for some in numbers)

    def _add(self, node: Node, places: tuple[int, ...]) -> None:
        """Add an operator that runs in 16 bits."""
        attention = (node.domain, node.operator) in _ATTENTIONS
        inputs = [
            self._narrowed(name, bounded=attention and place == PLACE_OF_BIAS) if name and place in places else name
            for place, name in enumerate(node.inputs)
        ]
        for name in inputs:
            self._widened(name)
        outputs = [OWN + name if name else "" for name in node.outputs]
        self._copy.node(_with_small_mask(node) if attention else node, inputs, outputs)
        for name, half in zip(node.outputs, outputs, strict=True):
            if name:
                self._half[name] = half
                self._made.add(name)
                self._only_half.add(name)

    def _narrowed(self, name: str, *, bounded: bool = False) -> str:
        """Give a value in 16 bits; ``bounded`` keeps a mask's far away numbers within what they hold."""
        if name in self._half:
            return self._half[name]
        half = OWN + name
        constant = self._model.constants.get(name)
        if constant is not None:
            if not self._graph.has_tensor(half):
                self._graph.later(
                    half, constant.shape, partial(_narrow, self._form, constant, bounded=bounded), self._form.name
                )
            return half
        value = name
        if bounded and self._form.largest < np.finfo(np.float32).max:
            least, most = (self._shared(f"{sign}masked", sign * MASKED) for sign in (-1, 1))
            value = self._graph.node("Clip", [name, least, most], f"{half}.bounded")
        self._graph.node("Cast", [value], half, {"to": self._form.number})
        self._half[name] = half
        return half

    def _widened(self, name: str) -> None:
        """Make sure that a value is there in single precision."""
        if name in self._only_half:
            self._only_half.remove(name)
            self._graph.node("Cast", [self._half[name]], name, {"to": FLOAT})

    def _shared(self, name: str, value: float) -> str:
        """A constant that several operators share."""
        if not self._graph.has_tensor(OWN + name):
            self._graph.initializer(OWN + name, np.array(value, np.float32))
        return OWN + name


def _narrow(form: HalfFormat, constant: Constant, *, bounded: bool) -> NDArray[np.generic]:
    numbers = constant.array()
    return form.narrow(np.clip(numbers, -MASKED, MASKED) if bounded else numbers)


def _with_small_mask(node: Node) -> Node:
    """Give attention a number for masked scores that 16 bits hold."""
    if node.real(_MASK_VALUE, 0.0) >= -MASKED:
        return node
    return replace(node, attributes={**node.attributes, _MASK_VALUE: stored_attribute(_MASK_VALUE, -MASKED)})
