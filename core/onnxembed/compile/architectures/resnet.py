"""ResNet (He et al., 2016, arXiv:1512.03385): convolutions, their batch normalizations folded into them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from onnxembed.compile.architecture import Architecture
from onnxembed.compile.body import Body, OwnVector
from onnxembed.compile.graph_builder import GraphBuilder
from onnxembed.compile.layers.activation import activation
from onnxembed.compile.layers.patches import pixel_input
from onnxembed.compile.layers.tower import merged
from onnxembed.compile.layers.weighted_graph import WeightedGraph
from onnxembed.compile.names import WeightNames
from onnxembed.errors import ModelError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from onnxembed.compile.checkpoint import Checkpoint

_EPSILON = 1e-5
_NARROWED = 4  # a bottleneck has a quarter of the channels
_STEM = "embedder.embedder"
_STEM_SIDE = 7


@dataclass(frozen=True, slots=True)
class _Convolution:
    """A convolution with batch normalization; ``padding`` keeps the size but for the stride."""

    name: str
    inputs: int
    outputs: int
    side: int
    stride: int

    def weights(self) -> dict[str, tuple[int, ...]]:
        statistics = ("weight", "bias", "running_mean", "running_var")
        return {f"{self.name}.convolution.weight": (self.outputs, self.inputs, self.side, self.side)} | {
            f"{self.name}.normalization.{kind}": (self.outputs,) for kind in statistics
        }

    def add(self, into: WeightedGraph, value: str) -> str:
        shape = (self.outputs, self.inputs, self.side, self.side)

        def scale() -> NDArray[np.float32]:
            import numpy as np

            variance = into.checkpoint.weight(f"{self.name}.normalization.running_var").astype(np.float64)
            weight = into.checkpoint.weight(f"{self.name}.normalization.weight")
            return (weight / np.sqrt(variance + _EPSILON)).astype(np.float32)

        def folded() -> NDArray[np.float32]:
            scaled: NDArray[np.float32] = (
                into.checkpoint.weight(f"{self.name}.convolution.weight") * scale()[:, None, None, None]
            )
            return scaled

        def shift() -> NDArray[np.float32]:
            mean = into.checkpoint.weight(f"{self.name}.normalization.running_mean")
            shifted: NDArray[np.float32] = into.checkpoint.weight(f"{self.name}.normalization.bias") - mean * scale()
            return shifted

        weight = into.graph.later(f"{self.name}.folded", shape, folded)
        bias = into.graph.later(f"{self.name}.shift", (self.outputs,), shift)
        attributes = {
            "kernel_shape": [self.side, self.side],
            "strides": [self.stride, self.stride],
            "pads": [self.side // 2] * 4,
        }
        return into.graph.node("Conv", [value, weight, bias], f"{self.name}.output", attributes)


@dataclass(frozen=True, slots=True)
class _Block:
    """Convolutions whose input, or a convolution of it, is added to what they give."""

    name: str
    steps: tuple[_Convolution, ...]
    shortcut: _Convolution | None

    def weights(self) -> dict[str, tuple[int, ...]]:
        return merged(*(part.weights() for part in (*self.steps, self.shortcut) if part is not None))

    def add(self, into: WeightedGraph, value: str, act: str) -> str:
        residual = value if self.shortcut is None else self.shortcut.add(into, value)
        for step in self.steps[:-1]:
            value = activation(into.graph, act, step.add(into, value), f"{step.name}.activated")
        total = into.graph.node("Add", [self.steps[-1].add(into, value), residual], f"{self.name}.sum")
        return activation(into.graph, act, total, f"{self.name}.output")


@dataclass(frozen=True, slots=True)
class _Resnet:
    into: WeightedGraph
    channels: int
    act: str
    stem: _Convolution
    blocks: tuple[_Block, ...]

    def weights(self) -> dict[str, tuple[int, ...]]:
        return merged(self.stem.weights(), *(block.weights() for block in self.blocks))

    def add_all(self) -> str:
        into, graph = self.into, self.into.graph
        value = self.stem.add(into, pixel_input(into, self.channels, None))
        value = activation(graph, self.act, value, f"{_STEM}.activated")
        pooling = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}
        value = graph.node("MaxPool", [value], "embedder.output", pooling)
        for block in self.blocks:
            value = block.add(into, value, self.act)
        return graph.node("Identity", [value], "last_hidden_state")

    def vector(self, feature_map: str) -> str:
        """The mean over all places."""
        mean = self.into.graph.node("GlobalAveragePool", [feature_map], "map_mean")
        return self.into.graph.node("Flatten", [mean], "map_vector", {"axis": 1})


def _blocks(
    sizes: tuple[int, ...], depths: tuple[int, ...], first: int, *, narrow: bool, early: bool, halves_first: bool
) -> Iterator[_Block]:
    """Lay out the blocks; ``early`` halves the size in a bottleneck's first convolution instead of its middle one."""
    inputs = first
    for stage, (outputs, depth) in enumerate(zip(sizes, depths, strict=True)):
        for number in range(depth):
            stride = 2 if number == 0 and (stage or halves_first) else 1
            name = f"encoder.stages.{stage}.layers.{number}"
            plan: tuple[tuple[int, int, int, int], ...]
            if narrow:
                inner = outputs // _NARROWED
                plan = (
                    (inputs, inner, 1, stride if early else 1),
                    (inner, inner, 3, 1 if early else stride),
                    (inner, outputs, 1, 1),
                )
            else:
                plan = ((inputs, outputs, 3, stride), (outputs, outputs, 3, 1))
            steps = tuple(_Convolution(f"{name}.layer.{place}", *numbers) for place, numbers in enumerate(plan))
            changes = inputs != outputs or stride != 1
            yield _Block(name, steps, _Convolution(f"{name}.shortcut", inputs, outputs, 1, stride) if changes else None)
            inputs = outputs


def _prepare(checkpoint: Checkpoint) -> Body:
    config = checkpoint.config
    for key in ("out_features", "out_indices", "stage_names"):
        config.value(key)  # which layers a backbone gives besides
    config.expect("layer_type", ("basic", "bottleneck"), "bottleneck")
    config.expect("hidden_act", ("relu", "gelu", "silu"), "relu")
    sizes = config.wholes("hidden_sizes") or (256, 512, 1024, 2048)
    depths = config.wholes("depths") or (3, 4, 6, 3)
    if len(sizes) != len(depths) or min(*sizes, *depths) < 1 or sum(depths) > checkpoint.most_layers:
        raise ModelError(
            f"{config.where}: hidden_sizes {list(sizes)} and depths {list(depths)} must be as many numbers above 0; "
            "fetch the file again"
        )
    first, channels = config.whole("embedding_size", 64), config.whole("num_channels", 3)
    blocks = _blocks(
        sizes,
        depths,
        first,
        narrow=config.text("layer_type", "bottleneck") == "bottleneck",
        early=config.flag("downsample_in_bottleneck"),
        halves_first=config.flag("downsample_in_first_stage"),
    )
    into = WeightedGraph(GraphBuilder("resnet"), checkpoint)
    stem = _Convolution(_STEM, channels, first, _STEM_SIDE, 2)
    resnet = _Resnet(into, channels, config.text("hidden_act", "relu"), stem, tuple(blocks))
    counts = tuple(name.replace("running_mean", "num_batches_tracked") for name in resnet.weights())
    return Body(
        into=into,
        hidden=sizes[-1],
        layers=sum(depths),
        vocabulary=0,
        weights=resnet.weights(),
        unused=("classifier.", *(name for name in counts if name.endswith("num_batches_tracked"))),
        add_all=resnet.add_all,
        own_vector=OwnVector(sizes[-1], resnet.vector),
    )


ARCHITECTURES = (
    Architecture(
        model_types=("resnet",),
        classes=("ResNetModel", "ResNetForImageClassification"),
        names=WeightNames(prefixes=("resnet.",)),
        prepare=_prepare,
        reads_pictures=True,
    ),
)
