"""What a calibration recommends."""

from __future__ import annotations

import pytest

from onnxembed.api.output_precision import OutputPrecision
from onnxembed.text.calibration import Row, recommend


def row(
    precision: str, output: OutputPrecision, overlap: float, speed: float, size: int, memory: float | None = None
) -> Row:
    return Row(precision, output, overlap, overlap, overlap, None, speed, memory, size)


ROWS = [
    row("fp32", "float32", 1.0, 100, 400),
    row("fp32", "int8", 0.99, 100, 100),
    row("fp32", "ubinary", 0.7, 100, 13),
    row("int8", "float32", 0.97, 220, 400),
    row("int8", "int8", 0.96, 220, 100),
    row("int8", "ubinary", 0.69, 220, 13),
]


@pytest.mark.parametrize(
    ("least", "rows", "expected", "said"),
    [
        (0.95, ROWS, ("int8", "int8"), "2.2 times the texts per second of fp32"),
        (0.98, ROWS, ("fp32", "int8"), "no precision that keeps the order is 1.1 times as fast"),
        (0.6, ROWS, ("int8", "ubinary"), "13 bytes a vector instead of 400, the smallest with 0.690 >= 0.6"),
        (0.95, ROWS[:3], ("fp32", "int8"), "there is no other precision here"),
        (0.95, [*ROWS[:3], row("int8", "float32", 1.0, 105, 400)], ("fp32", "int8"), "is 1.1 times as fast"),
    ],
)
def test_the_choice(least: float, rows: list[Row], expected: tuple[str, str], said: str) -> None:
    best = recommend(rows, least)
    assert (best.precision, best.output_precision) == expected
    assert said in best.reason
