"""Attention biases of DeBERTa: products of queries and keys with vectors of the distance between two tokens.

He et al., 2021, call them content to position and position to content. The vectors of distances are the same for every
text, so they are projected when the graph is written. A graph multiplies by one row per distance that a text has, and
then shears the products: row i of (T, 2 T) numbers moves by i places, which reshaping does without an index per number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from onnxembed.compile.graph_builder import GraphBuilder


def distance_rows(span: int, largest: int, buckets: int) -> NDArray[np.int64]:
    """Give the row in a table of 2 ``span`` rows for each distance from ``-largest`` to ``largest``, query minus key.

    With ``buckets`` above 0, distances beyond half of them share rows, by the distance's logarithm.
    """
    import numpy as np

    distances = np.arange(-largest, largest + 1)
    if buckets:
        middle = buckets // 2
        away = np.where(np.abs(distances) < middle, middle - 1, np.abs(distances))
        # In float32, as the library computes it: rounding decides at the borders.
        ratio = (away / middle).astype(np.float32)
        whole = np.log(np.float32((largest - 1) / middle))
        far = np.ceil(np.log(ratio) / whole * np.float32(middle - 1)) + middle
        distances = np.where(away <= middle, distances, far.astype(np.int64) * np.sign(distances))
    rows: NDArray[np.int64] = np.clip(distances + span, 0, 2 * span - 1)
    return rows


@dataclass(frozen=True, slots=True)
class Distances:
    """The distances of a batch's tokens in a graph, each with its row of a table.

    Attributes:
        graph: The graph.
        rising: Rows for distances from 1 - T to T, of T tokens.
        falling: The same from T - 1 to -T.
        tokens: The number of tokens T, one number.
    """

    graph: GraphBuilder
    rising: str
    falling: str
    tokens: str

    @classmethod
    def add(cls, graph: GraphBuilder, input_ids: str, span: int, largest: int, buckets: int) -> Distances:
        """Add them; the last three arguments are those of `distance_rows`."""
        name = "distances"
        rows = graph.later(f"{name}.rows", (2 * largest + 1,), lambda: distance_rows(span, largest, buckets), "int64")
        one = graph.integers(f"{name}.one", 1)
        lowest, highest = (graph.integers(f"{name}.{end}", at) for end, at in (("low", -largest), ("high", largest)))
        tokens = graph.node("Shape", [input_ids], f"{name}.tokens", {"start": 1, "end": 2})
        count = graph.node("Squeeze", [tokens], f"{name}.count")
        begin = graph.node("Sub", [one, count], f"{name}.begin")
        end = graph.node("Add", [count, one], f"{name}.end")
        rising = graph.node("Range", [begin, end, one], f"{name}.rising")

        def rows_of(value: str) -> str:
            clipped = graph.node("Clip", [value, lowest, highest], f"{value}.clipped")
            places = graph.node("Add", [clipped, highest], f"{value}.places")
            return graph.node("Gather", [rows, places], f"{value}.rows")

        return cls(graph, rows_of(rising), rows_of(graph.node("Neg", [rising], f"{name}.falling")), tokens)

    def products(self, heads: str, table: str, rows: str, output: str) -> str:
        """Multiply vectors by the table's rows of their distances to every token.

        Args:
            heads: Vectors (batch, heads, T, size).
            table: Vectors of distances (2 span, heads, size).
            rows: `rising` for keys, `falling` for queries.
            output: The name of the result.

        Returns:
            The name of the products (batch, heads, T, T).
        """
        graph, name = self.graph, output
        vectors = graph.node("Gather", [table, rows], f"{name}.vectors")
        columns = graph.node("Transpose", [vectors], f"{name}.columns", {"perm": [1, 2, 0]})
        products = graph.node("MatMul", [heads, columns], f"{name}.products")
        return self._sheared(products, output)

    def _sheared(self, value: str, output: str) -> str:
        """Give (.., i, j) of the value (.., T, 2 T) at j + T - 1 - i."""
        graph, tokens, name = self.graph, self.tokens, output
        zero, one, flat_axis, last_axis = (
            self._constant(label, [at]) for label, at in (("zero", 0), ("one_more", 1), ("flat_axis", 2), ("axis", 3))
        )
        begin = graph.node("Sub", [tokens, one], f"{name}.begin")
        width = graph.node("Add", [begin, tokens], f"{name}.width")
        end = graph.node("Add", [begin, graph.node("Mul", [width, tokens], f"{name}.size")], f"{name}.end")
        flat = graph.node("Reshape", [value, self._constant("flat_shape", [0, 0, -1])], f"{name}.flat")
        cut = graph.node("Slice", [flat, begin, end, flat_axis], f"{name}.cut")
        shape = graph.node("Concat", [self._constant("kept_axes", [0, 0]), tokens, width], f"{name}.shape", {"axis": 0})
        return graph.node(
            "Slice", [graph.node("Reshape", [cut, shape], f"{name}.rows"), zero, tokens, last_axis], output
        )

    def _constant(self, label: str, values: list[int]) -> str:
        name = f"distances.{label}"
        return name if self.graph.has_tensor(name) else self.graph.integers(name, values)
