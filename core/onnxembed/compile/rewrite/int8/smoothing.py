"""Moves outlier channels of activations into the weights that read them: exact in real arithmetic, easier to round.

SmoothQuant (Xiao et al. 2023, arXiv:2211.10438), with channel maxima of random token ids.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from onnxembed.compile.rewrite.int8.products import Product
    from onnxembed.formats.onnx_model import Model, Node

# The share of the spread that the weights take; measured from 0.3 to 0.9, flat from 0.5 to 0.7.
_SHARE = 0.6
_LEAST = 1e-5
_NORMS = {
    ("", "LayerNormalization"): (1, 2),
    ("", "RMSNormalization"): (1,),
    ("", "SimplifiedLayerNormalization"): (1,),
    ("com.microsoft", "SimplifiedLayerNormalization"): (1,),
    ("com.microsoft", "SkipLayerNormalization"): (2, 3),
    ("com.microsoft", "SkipSimplifiedLayerNormalization"): (2,),
}


@dataclass(frozen=True, slots=True)
class Smoothing:
    """The channels of one value divided by a scale.

    Attributes:
        value: Name of the value.
        nodes: The operators whose constants take the division, the value's own maker last.
        places: For each, which of its inputs are those constants.
        scale: What is divided by, one number per channel.
    """

    value: str
    nodes: tuple[Node, ...]
    places: tuple[tuple[int, ...], ...]
    scale: NDArray[np.float32]


def find_smoothings(
    model: Model, products: Sequence[Product], seen: Mapping[str, NDArray[np.float32]]
) -> dict[str, Smoothing]:
    """Choose the scale of each value that products read and whose maker can take it; by the value's name."""
    if any(node.has_graphs for node in model.nodes):
        return {}
    makers = {output: node for node in model.nodes for output in node.outputs}
    uses = {info.name: 1 for info in model.facts.outputs}
    for node in model.nodes:
        for name in node.inputs:
            uses[name] = uses.get(name, 0) + 1
    readers: dict[str, list[Product]] = {}
    for product in products:
        readers.setdefault(product.x, []).append(product)
    found = {}
    for value, reading in readers.items():
        foldable = _foldable(model, makers, uses, value)
        if foldable is None:
            continue
        largest = np.max([np.abs(product.matrix(model)).max(axis=1) for product in reading], axis=0)
        scale = np.maximum(np.abs(seen[value]).max(axis=0), _LEAST) ** _SHARE
        scale /= np.maximum(largest, _LEAST) ** (1 - _SHARE)
        scale /= np.exp(np.log(scale).mean())
        found[value] = Smoothing(value, *foldable, scale.astype(np.float32))
    return found


def _foldable(
    model: Model, makers: Mapping[str, Node], uses: Mapping[str, int], value: str
) -> tuple[tuple[Node, ...], tuple[tuple[int, ...], ...]] | None:
    """The operators whose constants, one number per channel, scale a value; ``None`` where there are none."""
    maker = makers.get(value)
    if maker is None or maker.outputs[0] != value:
        return None
    places = _NORMS.get((maker.domain, maker.operator))
    if places is not None:
        there = tuple(place for place in places if place < len(maker.inputs) and maker.inputs[place])
        whole = all(_is_vector(model, maker.inputs[place]) for place in there)
        return ((maker,), (there,)) if whole and there else None
    if maker.domain or maker.operator not in ("Add", "Mul"):
        return None
    place = next((place for place in (0, 1) if _is_vector(model, maker.inputs[place])), None)
    if place is None:
        return None
    if maker.operator == "Mul":
        return ((maker,), ((place,),))
    inner = makers.get(maker.inputs[1 - place])
    if inner is None or inner.operator != "Mul" or inner.domain or uses.get(inner.outputs[0]) != 1:
        return None
    inner_place = next((place for place in (0, 1) if _is_vector(model, inner.inputs[place])), None)
    return None if inner_place is None else ((inner, maker), ((inner_place,), (place,)))


def _is_vector(model: Model, name: str) -> bool:
    constant = model.constants.get(name)
    return constant is not None and constant.is_float32 and len(constant.shape) == 1 and constant.shape[0] > 1
