"""Texts on a device whose provider compiles the graph for every shape."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
import pytest

from tests.fixtures.dense_models import TEXTS

if TYPE_CHECKING:
    from tests.core.text.conftest import OpenVariant

TENSORRT = "TensorrtExecutionProvider"


class Compiling:
    """A session of ONNX Runtime under another provider's name, which notes the shapes that it meets."""

    def __init__(self, real: Any) -> None:
        self.real = real
        self.shapes: set[tuple[int, ...]] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def get_providers(self) -> list[str]:
        return [TENSORRT, "CPUExecutionProvider"]

    def run(self, outputs: list[str], feed: dict[str, Any], *rest: Any) -> Any:
        self.shapes.add(feed["input_ids"].shape)
        return self.real.run(outputs, feed, *rest)


def test_texts_of_all_lengths_meet_few_shapes(
    open_variant: OpenVariant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [*TEXTS, *(f"hello {'world ' * number}" for number in range(40))]
    expected = open_variant("mean_norm").embed_to_array(texts)
    real, opened = onnxruntime.InferenceSession, []

    def start(path: str, providers: Any, **named: Any) -> Compiling:
        opened.append(Compiling(real(path, providers=["CPUExecutionProvider"], **named)))
        return opened[-1]

    monkeypatch.setattr(onnxruntime, "InferenceSession", start)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [TENSORRT, "CPUExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda **_: None, raising=False)
    model = open_variant("mean_norm", providers=[TENSORRT], cache_dir=tmp_path)
    for batch_size in (1, 3, 7, None):
        vectors = model.embed_to_array(texts, batch_size=batch_size)
        np.testing.assert_allclose(vectors, expected, atol=1e-6)
    (session,) = opened
    assert {rows for rows, _ in session.shapes} <= {1, 2, 4, 8, 16, 32, 64}
    assert {width for _, width in session.shapes} <= {16, 32, 48}  # the limit of this model
