"""SigLIP and the versions of SigLIP 2 with pictures of one size: image half and text half, alone or saved together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from onnxembed.compile.architecture import Architecture
from onnxembed.compile.architectures.clip import read_tower, text_weights, token_vectors
from onnxembed.compile.body import Body, OwnVector
from onnxembed.compile.config_keys import skip_halves
from onnxembed.compile.graph_builder import INT64, MICROSOFT, GraphBuilder
from onnxembed.compile.layers.linear import activated, linear
from onnxembed.compile.layers.normalization import layer_norm
from onnxembed.compile.layers.patches import for_each_item, patch_vectors, pixel_input
from onnxembed.compile.layers.tower import Tower, merged, norm_weights
from onnxembed.compile.layers.weighted_graph import WeightedGraph
from onnxembed.compile.names import WeightNames

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from onnxembed.compile.checkpoint import Checkpoint
    from onnxembed.formats.facts import Facts

_PATCHES, _POSITIONS = "embeddings.patch_embedding", "embeddings.position_embedding.weight"
_ATTENTION = "head.attention"


@dataclass(frozen=True, slots=True)
class _Vision:
    """The image half; a learnt query attends to all patches and becomes the vector."""

    into: WeightedGraph
    tower: Tower
    channels: int
    side: int
    patch: int

    def weights(self) -> dict[str, tuple[int, ...]]:
        hidden, inner = self.tower.hidden, self.tower.intermediate
        shapes: dict[str, tuple[int, ...]] = {
            f"{_PATCHES}.weight": (hidden, self.channels, self.patch, self.patch),
            f"{_PATCHES}.bias": (hidden,),
            _POSITIONS: ((self.side // self.patch) ** 2, hidden),
            "head.probe": (1, 1, hidden),
            f"{_ATTENTION}.in_proj_weight": (3 * hidden, hidden),
            f"{_ATTENTION}.in_proj_bias": (3 * hidden,),
            f"{_ATTENTION}.out_proj.weight": (hidden, hidden),
            f"{_ATTENTION}.out_proj.bias": (hidden,),
            "head.mlp.fc1.weight": (inner, hidden),
            "head.mlp.fc1.bias": (inner,),
            "head.mlp.fc2.weight": (hidden, inner),
            "head.mlp.fc2.bias": (hidden,),
        }
        norms = norm_weights("post_layernorm", hidden) | norm_weights("head.layernorm", hidden)
        return merged(shapes, self.tower.weights(), norms)

    def add_all(self) -> str:
        into, hidden = self.into, self.tower.hidden
        pixels = pixel_input(into, self.channels, self.side)
        patches = patch_vectors(into, _PATCHES, pixels, self.patch, hidden, bias=True)
        vectors = into.graph.node("Add", [patches, into.weight(_POSITIONS)], "embeddings.sum")
        return layer_norm(
            into, "post_layernorm", self.tower.add(into, vectors), "last_hidden_state", self.tower.epsilon
        )

    def vector(self, tokens: str) -> str:
        into, graph, hidden = self.into, self.into.graph, self.tower.hidden
        query = for_each_item(into, self._query(), tokens, (1, hidden), "head.queries")
        key, value = (self._projected(tokens, role, place) for place, role in ((1, "key"), (2, "value")))
        attributes = {"num_heads": self.tower.heads}
        context = graph.node("MultiHeadAttention", [query, key, value], "head.context", attributes, domain=MICROSOFT)
        attended = linear(into, f"{_ATTENTION}.out_proj", context)
        normalized = layer_norm(into, "head.layernorm", attended, "head.normalized", self.tower.epsilon)
        inner = activated(into, "head.mlp.fc1", normalized, self.tower.activation)
        total = graph.node("Add", [linear(into, "head.mlp.fc2", inner), attended], "head.sum")
        return graph.node("Squeeze", [total, graph.integers("head.query_axis", [1])], "head.vector")

    def _query(self) -> str:
        """The learnt query, projected: the same for every picture."""
        checkpoint, hidden = self.into.checkpoint, self.tower.hidden

        def project() -> NDArray[np.float32]:
            weight, bias = self._part("in_proj_weight", 0), self._part("in_proj_bias", 0)
            projected: NDArray[np.float32] = checkpoint.weight("head.probe") @ weight.T + bias
            return projected

        return self.into.graph.later("head.query", (1, 1, hidden), project)

    def _projected(self, tokens: str, role: str, place: int) -> str:
        graph, hidden = self.into.graph, self.tower.hidden
        weight = graph.later(f"head.{role}.weight", (hidden, hidden), lambda: self._part("in_proj_weight", place).T)
        bias = graph.later(f"head.{role}.bias", (hidden,), lambda: self._part("in_proj_bias", place))
        multiplied = graph.node("MatMul", [tokens, weight], f"head.{role}.product")
        return graph.node("Add", [multiplied, bias], f"head.{role}")

    def _part(self, name: str, place: int) -> NDArray[np.float32]:
        """One of the three thirds: query, key, value."""
        hidden = self.tower.hidden
        return self.into.checkpoint.weight(f"{_ATTENTION}.{name}")[place * hidden : (place + 1) * hidden]


@dataclass(frozen=True, slots=True)
class _Text:
    """The text half; texts are padded to one length, and the last position becomes the vector."""

    into: WeightedGraph
    tower: Tower
    vocabulary: int
    positions: int
    projection: int

    def weights(self) -> dict[str, tuple[int, ...]]:
        hidden = self.tower.hidden
        head = {"head.weight": (self.projection, hidden), "head.bias": (self.projection,)}
        norms = norm_weights("final_layer_norm", hidden)
        return merged(text_weights(self.vocabulary, self.positions, hidden), self.tower.weights(), norms, head)

    def add_all(self) -> str:
        into = self.into
        into.graph.input("input_ids", INT64, ["batch", "sequence"])
        vectors = self.tower.add(into, token_vectors(into))
        return layer_norm(into, "final_layer_norm", vectors, "last_hidden_state", self.tower.epsilon)

    def vector(self, tokens: str) -> str:
        graph = self.into.graph
        last = graph.node("Gather", [tokens, graph.integers("last_position", -1)], "last_vector", {"axis": 1})
        return linear(self.into, "head", last)


def _vision(checkpoint: Checkpoint) -> Body:
    half = _half(checkpoint.config, "vision_config")
    half.expect("vision_use_head", (True,), True)
    tower = read_tower(half, checkpoint, epsilon=1e-6, act="gelu_pytorch_tanh", causal=False)
    into = WeightedGraph(GraphBuilder("siglip_vision"), checkpoint)
    vision = _Vision(
        into, tower, half.whole("num_channels", 3), half.whole("image_size", 224), half.whole("patch_size", 16)
    )
    return Body(
        into=into,
        hidden=tower.hidden,
        layers=tower.layers,
        vocabulary=0,
        weights=vision.weights(),
        unused=("text_model.", "logit_scale", "logit_bias", "embeddings.position_ids"),
        add_all=vision.add_all,
        own_vector=OwnVector(tower.hidden, vision.vector),
    )


def _text(checkpoint: Checkpoint) -> Body:
    half = _half(checkpoint.config, "text_config")
    tower = read_tower(half, checkpoint, epsilon=1e-6, act="gelu_pytorch_tanh", causal=False)
    into = WeightedGraph(GraphBuilder("siglip_text"), checkpoint)
    text = _Text(
        into=into,
        tower=tower,
        vocabulary=half.whole("vocab_size", 32000),
        positions=half.whole("max_position_embeddings", 64),
        projection=half.whole("projection_size", tower.hidden),
    )
    return Body(
        into=into,
        hidden=tower.hidden,
        layers=tower.layers,
        vocabulary=text.vocabulary,
        weights=text.weights(),
        unused=("vision_model.", "logit_scale", "logit_bias", "embeddings.position_ids"),
        add_all=text.add_all,
        own_vector=OwnVector(text.projection, text.vector),
    )


def _half(config: Facts, section: str) -> Facts:
    skip_halves(config)
    return config.section(section) if config.text("model_type", "siglip") == "siglip" else config


_TOGETHER = ("SiglipModel",)
ARCHITECTURES = (
    Architecture(
        model_types=("siglip", "siglip_vision_model"),
        classes=(*_TOGETHER, "SiglipVisionModel"),
        names=WeightNames(prefixes=("vision_model.",)),
        prepare=_vision,
        reads_pictures=True,
    ),
    Architecture(
        model_types=("siglip", "siglip_text_model"),
        classes=(*_TOGETHER, "SiglipTextModel"),
        names=WeightNames(prefixes=("text_model.",)),
        prepare=_text,
    ),
)
