"""What stands for ONNX Runtime's own operators where a provider lacks them, or takes them in another form.

Layers ask for the fused operators; with one of these, the graph gets others in their place. The formulas are those of
ONNX Runtime's documentation of its contributed operators.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, cast

from onnxembed.runtime.provider_traits import Operators

FLOAT = 1
INT64 = 7
# Providers without fused operators often compute in half precision, which ends at 65504.
_LOWEST_SCORE = -3e4
_END = 1 << 62
_QUERY, _KEY, _VALUE, _BIAS, _MASK, _SCORE_BIAS = range(6)

AttributeValue = int | float | str | Sequence[int]
Attributes = Mapping[str, AttributeValue]


class Nodes(Protocol):
    """What of a graph's builder is needed here."""

    def integers(self, name: str, values: int | Sequence[int]) -> str:
        """Add a constant, int64; return its name."""

    def floats(self, name: str, values: float | Sequence[float]) -> str:
        """Add a constant, float32; return its name."""

    def has_tensor(self, name: str) -> bool:
        """Whether a value is a constant."""

    def tensor_shape(self, name: str) -> tuple[int, ...]:
        """The shape of a constant."""

    def node(
        self,
        op_type: str,
        inputs: Sequence[str],
        output: str,
        attributes: Attributes | None = None,
        *,
        domain: str = "",
        further_outputs: Sequence[str] = (),
    ) -> str:
        """Add an operator, or what stands for it; return its output."""

    def own_node(
        self, op_type: str, inputs: Sequence[str], output: str, attributes: Attributes, domain: str = ""
    ) -> str:
        """Add an operator as it is; return its output."""

    def reduce(self, op_type: str, value: str, axes: Sequence[int], output: str, *, keepdims: bool) -> str:
        """Add a reduction over axes; return its output."""


class StandIns:
    """Adds to one graph what stands for an operator there."""

    def __init__(self, operators: Operators) -> None:
        """Take the operators that the graph may have."""
        self._made: dict[str, str] = {}
        self._table: Mapping[str, Callable[[Nodes, Sequence[str], str, Attributes], str]] = {}
        if operators is Operators.PLAIN:
            self._table = {
                "MultiHeadAttention": self._attention,
                "RotaryEmbedding": self._rotary,
                "SimplifiedLayerNormalization": self._root_mean_square,
                "ReduceL2": self._length,
                "Gelu": self._gelu,
                "BiasGelu": self._gelu,
                "FastGelu": self._fast_gelu,
                "QuickGelu": self._quick_gelu,
            }
        elif operators is Operators.LENGTHS:
            self._table = {"MultiHeadAttention": self._attention_by_lengths, "ArgMax": self._place_of_largest}
        elif operators is Operators.STANDARD_ATTENTION:
            self._table = {"MultiHeadAttention": self._standard_attention}

    def add(self, graph: Nodes, op_type: str, inputs: Sequence[str], output: str, attributes: Attributes) -> str | None:
        """Add what stands for an operator; ``None`` where it stays."""
        make = self._table.get(op_type)
        return None if make is None else make(graph, inputs, output, attributes)

    def _once(self, name: str, make: Callable[[str], str]) -> str:
        """A value that many operators share."""
        if name not in self._made:
            self._made[name] = make(name)
        return self._made[name]

    def _number(self, graph: Nodes, value: float) -> str:
        return self._once(f"number.{value!r}", lambda name: graph.floats(name, value))

    def _whole(self, graph: Nodes, *values: int) -> str:
        return self._once("whole." + "_".join(map(str, values)), lambda name: graph.integers(name, list(values)))

    def _attention_by_lengths(self, graph: Nodes, inputs: Sequence[str], output: str, attributes: Attributes) -> str:
        """The operator with one length a text, int32 (batch,); padding is on the right.

        Not the form with offsets, (3 x batch + 2,): kernels that are not fused read its offsets as first positions.
        """
        given = list(inputs)
        if len(given) > _MASK and given[_MASK]:
            given[_MASK] = self._lengths(graph, given[_MASK])
        return graph.own_node("MultiHeadAttention", given, output, attributes, "com.microsoft")

    def _lengths(self, graph: Nodes, mask: str) -> str:
        """The number of a mask's ones, (batch,)."""
        axis = self._whole(graph, 1)
        return self._once(f"{mask}.lengths", lambda name: graph.node("ReduceSum", [mask, axis], name, {"keepdims": 0}))

    def _standard_attention(self, graph: Nodes, inputs: Sequence[str], output: str, attributes: Attributes) -> str:
        """The standard's attention with one length a text; padding is on the right.

        It has no biases. That of the keys adds the same number to all scores of a query, which changes no weight; the
        weights of a query sum to 1, so that of the values is added to what they make.
        """
        given = [*inputs, *[""] * (_SCORE_BIAS + 1 - len(inputs))]
        causal = bool(attributes.get("unidirectional"))
        # Without a mask the operator has a kernel that holds no scores.
        if given[_SCORE_BIAS] or bool(given[_MASK]) is causal:
            return graph.own_node("MultiHeadAttention", inputs, output, attributes, "com.microsoft")
        rows, heads, bias = given[:_BIAS], int(str(attributes["num_heads"])), given[_BIAS]
        if bias:
            rows[_QUERY] = self._added_third(graph, rows[_QUERY], bias, _QUERY)
        if given[_MASK]:
            lengths = self._lengths(graph, given[_MASK])
            whole = self._once(f"{lengths}.whole", lambda name: graph.node("Cast", [lengths], name, {"to": INT64}))
            rows += ["", "", "", whole]
        standard: dict[str, AttributeValue] = {"q_num_heads": heads, "kv_num_heads": heads}
        if causal:
            standard["is_causal"] = 1
        if attributes.get("scale"):
            standard["scale"] = attributes["scale"]
        if not bias:
            return graph.own_node("Attention", rows, output, standard)
        attended = graph.own_node("Attention", rows, f"{output}.without_bias", standard)
        return self._added_third(graph, attended, bias, _VALUE, output)

    def _place_of_largest(self, graph: Nodes, inputs: Sequence[str], output: str, attributes: Attributes) -> str:
        """The place of the largest of some whole numbers, for which CUDA has a kernel for floats alone.

        The last of a mask's ones, which begin at the first place, is at their number less one.
        """
        (value,) = inputs
        if attributes.get("select_last_index"):
            count = graph.node("ReduceSum", [value, self._whole(graph, 1)], f"{output}.count", {"keepdims": 1})
            last = graph.node("Sub", [count, self._whole(graph, 1)], f"{output}.last")
            return graph.node("Max", [last, self._whole(graph, 0)], output)
        number = graph.node("Cast", [value], f"{output}.number", {"to": FLOAT})
        return graph.own_node("ArgMax", [number], output, attributes)

    def _attention(self, graph: Nodes, inputs: Sequence[str], output: str, attributes: Attributes) -> str:
        """``softmax(scale * q k' + bias) v`` by head, of (batch, sequence, heads x size) each."""
        given = [*inputs, *[""] * (_SCORE_BIAS + 1 - len(inputs))]
        heads = int(str(attributes["num_heads"]))
        rows = given[:_BIAS]
        if given[_BIAS]:
            rows = [self._added_third(graph, row, given[_BIAS], place) for place, row in enumerate(rows)]
        shape, orders = self._whole(graph, 0, 0, heads, -1), ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3])
        query, key, value = (
            graph.node(
                "Transpose",
                [graph.node("Reshape", [row, shape], f"{output}.{part}.split")],
                f"{output}.{part}.by_head",
                {"perm": order},
            )
            for part, row, order in zip(("query", "key", "value"), rows, orders, strict=True)
        )
        scaled = graph.node("Mul", [query, self._scale(graph, query, attributes)], f"{output}.query.scaled")
        scores = graph.node("MatMul", [scaled, key], f"{output}.products")
        lowest = max(float(str(attributes.get("mask_filter_value", _LOWEST_SCORE))), _LOWEST_SCORE)
        added = [given[_SCORE_BIAS]] if given[_SCORE_BIAS] else []
        if given[_MASK]:
            added.append(self._padding(graph, given[_MASK], lowest))
        if attributes.get("unidirectional"):
            added.append(self._later_tokens(graph, inputs[_QUERY], lowest))
        for number, bias in enumerate(added):
            scores = graph.node("Add", [scores, bias], f"{output}.scores.{number}")
        weights = graph.node("Softmax", [scores], f"{output}.weights", {"axis": -1})
        context = graph.node("MatMul", [weights, value], f"{output}.context")
        by_token = graph.node("Transpose", [context], f"{output}.by_token", {"perm": [0, 2, 1, 3]})
        return graph.node("Reshape", [by_token, self._whole(graph, 0, 0, -1)], output)

    def _scale(self, graph: Nodes, query: str, attributes: Attributes) -> str:
        """What products are multiplied by: what is stated, else one over the root of a head's size."""
        stated = float(str(attributes.get("scale", 0)))
        if stated:
            return self._number(graph, stated)

        def root(name: str) -> str:
            shape = graph.node("Shape", [query], f"{name}.shape", {"start": 3, "end": 4})
            size = graph.node("Cast", [shape], f"{name}.size", {"to": FLOAT})
            return graph.node("Reciprocal", [graph.node("Sqrt", [size], f"{name}.root")], name)

        return self._once(f"scale.{attributes['num_heads']}", root)

    def _added_third(self, graph: Nodes, row: str, bias: str, place: int, output: str = "") -> str:
        """Add the query's, the key's or the value's third of a joined bias."""
        size = graph.tensor_shape(bias)[0] // 3
        bounds = [self._whole(graph, size * end) for end in (place, place + 1)]
        third = self._once(
            f"{bias}.{place}", lambda name: graph.node("Slice", [bias, *bounds, self._whole(graph, 0)], name)
        )
        return graph.node("Add", [row, third], output or f"{row}.biased")

    def _padding(self, graph: Nodes, mask: str, lowest: float) -> str:
        """What a mask (batch, sequence) adds to scores, (batch, 1, 1, sequence)."""

        def make(name: str) -> str:
            kept = graph.node("Cast", [mask], f"{name}.kept", {"to": FLOAT})
            padding = graph.node("Sub", [self._number(graph, 1.0), kept], f"{name}.padding")
            row = graph.node("Mul", [padding, self._number(graph, lowest)], f"{name}.row")
            return graph.node("Unsqueeze", [row, self._whole(graph, 1, 2)], name)

        return self._once(f"{mask}.as_scores", make)

    def _later_tokens(self, graph: Nodes, query: str, lowest: float) -> str:
        """What hides later tokens, (sequence, sequence)."""

        def make(name: str) -> str:
            length = graph.node("Shape", [query], f"{name}.length", {"start": 1, "end": 2})
            end = graph.node("Squeeze", [length, self._whole(graph, 0)], f"{name}.end")
            first, step = (self._index(graph, value) for value in (0, 1))
            positions = graph.node("Range", [first, end, step], f"{name}.positions")
            numbers = graph.node("Cast", [positions], f"{name}.numbers", {"to": FLOAT})
            column = graph.node("Unsqueeze", [numbers, self._whole(graph, 1)], f"{name}.column")
            later = graph.node("Greater", [numbers, column], f"{name}.later")
            return graph.node("Where", [later, self._number(graph, lowest), self._number(graph, 0.0)], name)

        return self._once("later_tokens", make)

    def _rotary(self, graph: Nodes, inputs: Sequence[str], output: str, attributes: Attributes) -> str:
        """Turn pairs of each head's numbers.

        Cosines and sines are (sequence, pairs), from position 0 on, or (rows, pairs) with the row of each token.
        """
        value, positions, *angles = inputs
        heads, size = int(str(attributes["num_heads"])), int(str(attributes.get("rotary_embedding_dim", 0)))
        turned, rest = graph.node("Reshape", [value, self._whole(graph, 0, 0, heads, -1)], f"{output}.by_head"), []
        if size:
            bounds = [self._whole(graph, bound) for bound in (0, size, _END)]
            axis = self._whole(graph, 3)
            rest = [graph.node("Slice", [turned, *bounds[1:], axis], f"{output}.rest")]
            turned = graph.node("Slice", [turned, *bounds[:2], axis], f"{output}.turned")
        place = 4 if attributes.get("interleaved") else 3
        shape = self._whole(graph, 0, 0, heads, *((-1, 2) if place == 4 else (2, -1)))
        pairs = graph.node("Reshape", [turned, shape], f"{output}.pairs")
        first, second = (
            graph.node("Gather", [pairs, self._index(graph, number)], f"{output}.side{number}", {"axis": place})
            for number in (0, 1)
        )
        cosine, sine = (self._for_heads(graph, name, positions) for name in angles)
        parts = [("Mul", first, cosine), ("Mul", second, sine), ("Mul", second, cosine), ("Mul", first, sine)]
        products = [graph.node(kind, [a, b], f"{output}.part{i}") for i, (kind, a, b) in enumerate(parts)]
        sides = [
            graph.node("Sub", products[:2], f"{output}.new0"),
            graph.node("Add", products[2:], f"{output}.new1"),
        ]
        axis = self._whole(graph, place)
        stacked = [graph.node("Unsqueeze", [side, axis], f"{side}.column") for side in sides]
        joined = graph.node("Concat", stacked, f"{output}.joined", {"axis": place})
        whole = graph.node("Reshape", [joined, self._whole(graph, 0, 0, heads, -1)], f"{output}.whole")
        if rest:
            whole = graph.node("Concat", [whole, *rest], f"{output}.with_rest", {"axis": 3})
        return graph.node("Reshape", [whole, self._whole(graph, 0, 0, -1)], output)

    def _index(self, graph: Nodes, value: int) -> str:
        return self._once(f"index.{value}", lambda name: graph.integers(name, value))

    def _for_heads(self, graph: Nodes, angle: str, positions: str) -> str:
        """Cosines or sines with an axis for the heads, (1 or batch, sequence, 1, pairs)."""

        def make(name: str) -> str:
            if graph.has_tensor(positions):  # the first position alone
                return graph.node("Unsqueeze", [angle, self._whole(graph, 1)], name)
            by_token = graph.node("Gather", [angle, positions], f"{name}.by_token", {"axis": 0})
            return graph.node("Unsqueeze", [by_token, self._whole(graph, 2)], name)

        return self._once(f"{angle}.for_heads", make)

    def _root_mean_square(self, graph: Nodes, inputs: Sequence[str], output: str, attributes: Attributes) -> str:
        """Divide each vector by its root mean square, then scale it."""
        value, scale = inputs
        squares = graph.node("Mul", [value, value], f"{output}.squares")
        mean = graph.reduce("ReduceMean", squares, [-1], f"{output}.mean", keepdims=True)
        epsilon = self._number(graph, float(str(attributes["epsilon"])))
        root = graph.node("Sqrt", [graph.node("Add", [mean, epsilon], f"{output}.above_zero")], f"{output}.root")
        return graph.node("Mul", [graph.node("Div", [value, root], f"{output}.normalized"), scale], output)

    def _length(self, graph: Nodes, inputs: Sequence[str], output: str, attributes: Attributes) -> str:
        """The root of the sum of squares: a standard operator of its own, which several providers lack."""
        axes = attributes.get("axes")
        along = inputs[1] if axes is None else self._whole(graph, *cast("Sequence[int]", axes))
        squares = graph.node("Mul", [inputs[0], inputs[0]], f"{output}.squares")
        total = graph.node("ReduceSum", [squares, along], f"{output}.total", {"keepdims": attributes["keepdims"]})
        return graph.node("Sqrt", [total], output)

    def _gelu(self, graph: Nodes, inputs: Sequence[str], output: str, _: Attributes) -> str:
        """``x / 2 * (1 + erf(x / sqrt(2)))``, of the sum where there is a bias."""
        value = self._sum(graph, inputs, output)
        part = graph.node("Mul", [value, self._number(graph, math.sqrt(0.5))], f"{output}.scaled")
        return self._half_of(graph, value, graph.node("Erf", [part], f"{output}.erf"), output)

    def _fast_gelu(self, graph: Nodes, inputs: Sequence[str], output: str, _: Attributes) -> str:
        """``x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3)))``, of the sum where there is a bias."""
        value = self._sum(graph, inputs, output)
        square = graph.node("Mul", [value, value], f"{output}.square")
        bent = graph.node("Mul", [square, self._number(graph, 0.044715 * math.sqrt(2 / math.pi))], f"{output}.bent")
        slope = graph.node("Add", [bent, self._number(graph, math.sqrt(2 / math.pi))], f"{output}.slope")
        inner = graph.node("Mul", [value, slope], f"{output}.inner")
        return self._half_of(graph, value, graph.node("Tanh", [inner], f"{output}.tanh"), output)

    def _quick_gelu(self, graph: Nodes, inputs: Sequence[str], output: str, attributes: Attributes) -> str:
        """``x * sigmoid(alpha * x)``."""
        (value,), alpha = inputs, float(str(attributes["alpha"]))
        inner = value if alpha == 1 else graph.node("Mul", [value, self._number(graph, alpha)], f"{output}.inner")
        return graph.node("Mul", [value, graph.node("Sigmoid", [inner], f"{output}.share")], output)

    def _sum(self, graph: Nodes, inputs: Sequence[str], output: str) -> str:
        return inputs[0] if len(inputs) == 1 else graph.node("Add", inputs, f"{output}.sum")

    def _half_of(self, graph: Nodes, value: str, curve: str, output: str) -> str:
        share = graph.node("Add", [curve, self._number(graph, 1.0)], f"{output}.share")
        half = graph.node("Mul", [value, self._number(graph, 0.5)], f"{output}.half")
        return graph.node("Mul", [half, share], output)
