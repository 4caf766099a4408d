"""CLIP: its image half and its text half, alone or saved together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from onnxembed.compile.architecture import Architecture
from onnxembed.compile.body import ATTENTION_MASK, Body, OwnVector
from onnxembed.compile.config_keys import skip_halves
from onnxembed.compile.graph_builder import INT32, INT64, GraphBuilder
from onnxembed.compile.layers.activation import ACTIVATIONS
from onnxembed.compile.layers.linear import product
from onnxembed.compile.layers.normalization import layer_norm
from onnxembed.compile.layers.patches import patch_vectors, pixel_input, with_first
from onnxembed.compile.layers.tower import Tower, TowerNames, merged, norm_weights
from onnxembed.compile.layers.weighted_graph import WeightedGraph
from onnxembed.compile.names import WeightNames
from onnxembed.errors import UnsupportedModelError

if TYPE_CHECKING:
    from onnxembed.compile.checkpoint import Checkpoint
    from onnxembed.formats.facts import Facts

NAMES = TowerNames(
    layer="encoder.layers.{}",
    norm1="layer_norm1",
    query="self_attn.q_proj",
    key="self_attn.k_proj",
    value="self_attn.v_proj",
    output="self_attn.out_proj",
    norm2="layer_norm2",
    up="mlp.fc1",
    down="mlp.fc2",
)
"""How CLIP and SigLIP name the parts of a layer."""
# Written into early configurations instead of the end token's id, which is the largest of the vocabulary.
_WRONG_END = 2
_PATCHES, _TABLE = "embeddings.patch_embedding", "embeddings.token_embedding.weight"
_POSITIONS = "embeddings.position_embedding.weight"


def read_tower(config: Facts, checkpoint: Checkpoint, *, epsilon: float, act: str, causal: bool) -> Tower:
    """Read the numbers of one half, which CLIP and SigLIP spell alike."""
    hidden, heads = config.whole("hidden_size", 768), config.whole("num_attention_heads", 12)
    if hidden % heads:
        raise UnsupportedModelError(
            f"{config.where}: hidden_size {hidden} must be a multiple of num_attention_heads {heads}"
        )
    config.expect("hidden_act", tuple(ACTIVATIONS), act)
    return Tower(
        names=NAMES,
        hidden=hidden,
        layers=checkpoint.layers("num_hidden_layers", 12, config=config),
        heads=heads,
        intermediate=config.whole("intermediate_size", 3072),
        epsilon=config.number("layer_norm_eps", epsilon, above=0),
        activation=config.text("hidden_act", act),
        causal=causal,
    )


@dataclass(frozen=True, slots=True)
class _Vision:
    """The image half."""

    into: WeightedGraph
    tower: Tower
    channels: int
    side: int
    patch: int
    projection: int | None

    def weights(self) -> dict[str, tuple[int, ...]]:
        hidden = self.tower.hidden
        shapes: dict[str, tuple[int, ...]] = {
            "embeddings.class_embedding": (hidden,),
            f"{_PATCHES}.weight": (hidden, self.channels, self.patch, self.patch),
            _POSITIONS: ((self.side // self.patch) ** 2 + 1, hidden),
        }
        if self.projection:
            shapes["visual_projection.weight"] = (self.projection, hidden)
        # The library's own spelling.
        norms = norm_weights("pre_layrnorm", hidden) | norm_weights("post_layernorm", hidden)
        return merged(shapes, self.tower.weights(), norms)

    def add_all(self) -> str:
        into, graph, hidden = self.into, self.into.graph, self.tower.hidden
        pixels = pixel_input(into, self.channels, self.side)
        patches = patch_vectors(into, _PATCHES, pixels, self.patch, hidden, bias=False)
        token = into.weight("embeddings.class_embedding")
        first = graph.node("Reshape", [token, graph.integers("first_shape", [1, 1, hidden])], "class_vector")
        vectors = with_first(into, first, patches, hidden, "embeddings.with_first")
        vectors = graph.node("Add", [vectors, into.weight(_POSITIONS)], "embeddings.sum")
        vectors = layer_norm(into, "pre_layrnorm", vectors, "embeddings.output", self.tower.epsilon)
        return graph.node("Identity", [self.tower.add(into, vectors)], "last_hidden_state")

    def vector(self, tokens: str) -> str:
        graph = self.into.graph
        first = graph.node("Gather", [tokens, graph.integers("first_position", 0)], "first_vector", {"axis": 1})
        normalized = layer_norm(self.into, "post_layernorm", first, "first_normalized", self.tower.epsilon)
        return product(self.into, "visual_projection", normalized) if self.projection else normalized


@dataclass(frozen=True, slots=True)
class _Text:
    """The text half: causal, so that padding on the right moves nothing."""

    into: WeightedGraph
    tower: Tower
    vocabulary: int
    positions: int
    end: int
    projection: int | None

    def weights(self) -> dict[str, tuple[int, ...]]:
        hidden = self.tower.hidden
        shapes: dict[str, tuple[int, ...]] = {
            _TABLE: (self.vocabulary, hidden),
            _POSITIONS: (self.positions, hidden),
        }
        if self.projection:
            shapes["text_projection.weight"] = (self.projection, hidden)
        return merged(shapes, self.tower.weights(), norm_weights("final_layer_norm", hidden))

    def add_all(self) -> str:
        into, graph = self.into, self.into.graph
        graph.input("input_ids", INT64, ["batch", "sequence"])
        graph.input(ATTENTION_MASK, INT64, ["batch", "sequence"])
        vectors = self.tower.add(into, token_vectors(into))
        return layer_norm(into, "final_layer_norm", vectors, "last_hidden_state", self.tower.epsilon)

    def vector(self, tokens: str) -> str:
        """The first end token's."""
        graph, found = self.into.graph, "input_ids"
        if self.end != _WRONG_END:
            same = graph.node("Equal", [found, graph.integers("end_token", [self.end])], "is_end_token")
            found = graph.node("Cast", [same], "end_tokens", {"to": INT32})
        position = graph.node("ArgMax", [found], "end_position", {"axis": 1, "keepdims": 1})
        last = graph.node("GatherND", [tokens, position], "end_vector", {"batch_dims": 1})
        return product(self.into, "text_projection", last) if self.projection else last


def token_vectors(into: WeightedGraph) -> str:
    """Add the vectors of tokens and of their positions, counted from the left."""
    graph = into.graph
    words = graph.node("Gather", [into.weight(_TABLE), "input_ids"], "word_vectors")
    length = graph.node("Shape", ["input_ids"], "sequence_length", {"start": 1, "end": 2})
    zero = graph.integers("zero", [0])
    positions = graph.node("Slice", [into.weight(_POSITIONS), zero, length, zero], "position_vectors")
    return graph.node("Add", [words, positions], "embeddings.sum")


def text_weights(vocabulary: int, positions: int, hidden: int) -> dict[str, tuple[int, ...]]:
    """Name and shape of what `token_vectors` adds."""
    return {_TABLE: (vocabulary, hidden), _POSITIONS: (positions, hidden)}


def _vision(checkpoint: Checkpoint) -> Body:
    config = checkpoint.config
    half, projection = _half(config, "vision_config", "CLIPVisionModel")
    tower = read_tower(half, checkpoint, epsilon=1e-5, act="quick_gelu", causal=False)
    into = WeightedGraph(GraphBuilder("clip_vision"), checkpoint)
    vision = _Vision(
        into, tower, half.whole("num_channels", 3), half.whole("image_size", 224), half.whole("patch_size", 32),
        projection,
    )  # fmt: skip
    unused = ("text_model.", "text_projection", "logit_scale", "embeddings.position_ids")
    return Body(
        into=into,
        hidden=tower.hidden,
        layers=tower.layers,
        vocabulary=0,
        weights=vision.weights(),
        unused=unused,
        add_all=vision.add_all,
        own_vector=OwnVector(projection or tower.hidden, vision.vector),
    )


def _text(checkpoint: Checkpoint) -> Body:
    config = checkpoint.config
    half, projection = _half(config, "text_config", "CLIPTextModel")
    tower = read_tower(half, checkpoint, epsilon=1e-5, act="quick_gelu", causal=True)
    into = WeightedGraph(GraphBuilder("clip_text"), checkpoint)
    text = _Text(
        into, tower, half.whole("vocab_size", 49408), half.whole("max_position_embeddings", 77),
        half.whole("eos_token_id", 49407), projection,
    )  # fmt: skip
    unused = ("vision_model.", "visual_projection", "logit_scale", "embeddings.position_ids")
    return Body(
        into=into,
        hidden=tower.hidden,
        layers=tower.layers,
        vocabulary=text.vocabulary,
        weights=text.weights(),
        unused=unused,
        add_all=text.add_all,
        own_vector=OwnVector(projection or tower.hidden, text.vector),
    )


def _half(config: Facts, section: str, alone: str) -> tuple[Facts, int | None]:
    """The numbers of one half, and the length that its vectors are projected to, if they are."""
    skip_halves(config)
    if config.text("model_type", "clip") != "clip":
        projection = config.whole("projection_dim", 512)
        return config, None if config.texts("architectures") == (alone,) else projection
    half = config.section(section)
    half.value("projection_dim")  # stands above the halves
    return half, config.whole("projection_dim", 512)


_TOGETHER = ("CLIPModel",)
ARCHITECTURES = (
    Architecture(
        model_types=("clip", "clip_vision_model"),
        classes=(*_TOGETHER, "CLIPVisionModel", "CLIPVisionModelWithProjection"),
        names=WeightNames(prefixes=("vision_model.",)),
        prepare=_vision,
        reads_pictures=True,
    ),
    Architecture(
        model_types=("clip", "clip_text_model"),
        classes=(*_TOGETHER, "CLIPTextModel", "CLIPTextModelWithProjection"),
        names=WeightNames(prefixes=("text_model.",)),
        prepare=_text,
    ),
)
