"""Vision transformers: ViT, and DINOv2 with and without registers."""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt
from typing import TYPE_CHECKING

from onnxembed.compile.architecture import Architecture
from onnxembed.compile.body import Body, OwnVector
from onnxembed.compile.graph_builder import OPSET, OPSET_WITH_ANTIALIAS, GraphBuilder
from onnxembed.compile.layers.activation import ACTIVATIONS
from onnxembed.compile.layers.linear import linear
from onnxembed.compile.layers.normalization import layer_norm
from onnxembed.compile.layers.patches import for_each_item, patch_vectors, pixel_input, with_first
from onnxembed.compile.layers.positions_of_pictures import resized_positions
from onnxembed.compile.layers.tower import Tower, TowerNames, merged, norm_weights
from onnxembed.compile.layers.weighted_graph import WeightedGraph
from onnxembed.compile.names import WeightNames
from onnxembed.errors import UnsupportedModelError

if TYPE_CHECKING:
    from onnxembed.compile.checkpoint import Checkpoint

_ATTENTION = {
    "layer": "encoder.layer.{}",
    "query": "attention.attention.query",
    "key": "attention.attention.key",
    "value": "attention.attention.value",
    "output": "attention.output.dense",
}
_VIT = TowerNames(
    **_ATTENTION, norm1="layernorm_before", norm2="layernorm_after", up="intermediate.dense", down="output.dense"
)
_SCALES = {"norm1": "norm1", "norm2": "norm2", "scale1": "layer_scale1.lambda1", "scale2": "layer_scale2.lambda1"}
_DINO = TowerNames(**_ATTENTION, **_SCALES, up="mlp.fc1", down="mlp.fc2")
_DINO_GATED = TowerNames(**_ATTENTION, **_SCALES, up="mlp.weights_in", down="mlp.weights_out")
# SwiGLU has two thirds of the width, rounded up to a multiple of eight.
_GATED_MULTIPLE = 8
_PROJECTION = "embeddings.patch_embeddings.projection"


@dataclass(frozen=True, slots=True)
class _Vit:
    """Adds a vision transformer to a graph."""

    into: WeightedGraph
    tower: Tower
    channels: int
    side: int  # height and width of the pictures that it was trained with
    patch: int
    resizes: bool  # it takes pictures of other sizes, its positions scaled to them
    registers: int  # vectors that stand behind the first and come out unused
    pooler: bool  # a further layer makes the vector of the first position

    def weights(self) -> dict[str, tuple[int, ...]]:
        hidden = self.tower.hidden
        shapes: dict[str, tuple[int, ...]] = {
            "embeddings.cls_token": (1, 1, hidden),
            "embeddings.position_embeddings": (1, (self.side // self.patch) ** 2 + 1, hidden),
            f"{_PROJECTION}.weight": (hidden, self.channels, self.patch, self.patch),
            f"{_PROJECTION}.bias": (hidden,),
        }
        if self.registers:
            shapes["embeddings.register_tokens"] = (1, self.registers, hidden)
        if self.pooler:
            shapes |= {"pooler.dense.weight": (hidden, hidden), "pooler.dense.bias": (hidden,)}
        return merged(shapes, self.tower.weights(), norm_weights("layernorm", hidden))

    def add_all(self) -> str:
        into, hidden = self.into, self.tower.hidden
        pixels = pixel_input(into, self.channels, None if self.resizes else self.side)
        patches = patch_vectors(into, _PROJECTION, pixels, self.patch, hidden, bias=True)
        vectors = with_first(into, into.weight("embeddings.cls_token"), patches, hidden, "embeddings.with_first")
        positions = into.weight("embeddings.position_embeddings")
        if self.resizes:
            grid = isqrt((self.side // self.patch) ** 2)
            positions = resized_positions(
                into, positions, f"{_PROJECTION}.grid", grid, hidden, antialias=bool(self.registers)
            )
        vectors = into.graph.node("Add", [vectors, positions], "embeddings.sum")
        if self.registers:
            vectors = self._with_registers(vectors)
        vectors = self.tower.add(into, vectors)
        return layer_norm(into, "layernorm", vectors, "last_hidden_state", self.tower.epsilon)

    def _with_registers(self, vectors: str) -> str:
        into, graph = self.into, self.into.graph
        tokens = into.weight("embeddings.register_tokens")
        registers = for_each_item(into, tokens, vectors, (self.registers, self.tower.hidden), "registers")
        one, axis, end = (graph.integers(f"registers.{n}", [v]) for n, v in (("one", 1), ("axis", 1), ("end", 1 << 31)))
        zero = graph.integers("registers.zero", [0])
        first = graph.node("Slice", [vectors, zero, one, axis], "registers.before")
        rest = graph.node("Slice", [vectors, one, end, axis], "registers.behind")
        return graph.node("Concat", [first, registers, rest], "embeddings.with_registers", {"axis": 1})

    def vector(self, tokens: str) -> str:
        """The first position, through the pooler where there is one."""
        graph = self.into.graph
        first = graph.node("Gather", [tokens, graph.integers("first_position", 0)], "first_vector", {"axis": 1})
        if not self.pooler:
            return first
        return graph.node("Tanh", [linear(self.into, "pooler.dense", first)], "pooler.output")


def _prepare(checkpoint: Checkpoint) -> Body:
    config = checkpoint.config
    model_type = config.text("model_type", "vit")
    dino, registers = model_type != "vit", model_type == "dinov2_with_registers"
    hidden, heads = config.whole("hidden_size", 768), config.whole("num_attention_heads", 12)
    config.expect("hidden_act", tuple(ACTIVATIONS), "gelu")
    act, gated = config.text("hidden_act", "gelu"), False
    if dino:
        intermediate = int(hidden * config.number("mlp_ratio", 4, above=0))
        gated = config.flag("use_swiglu_ffn")
        if gated:
            intermediate = (int(intermediate * 2 / 3) + _GATED_MULTIPLE - 1) // _GATED_MULTIPLE * _GATED_MULTIPLE
            act = "silu"
        for key in ("apply_layernorm", "reshape_hidden_states", "use_mask_token", "layerscale_value", "drop_path_rate"):
            config.value(key)  # of other outputs, of training, and what the layer scales began with
        config.value("intermediate_size")  # written by later versions, which do not read it
    else:
        intermediate = config.whole("intermediate_size", 4 * hidden)
        config.expect("pooler_act", ("tanh",), "tanh")
        config.expect("pooler_output_size", (hidden,), hidden)
        config.value("encoder_stride")  # of the head that paints pictures
    for key in ("out_features", "out_indices", "stage_names"):
        config.value(key)  # which layers a backbone gives besides
    side, patch = config.whole("image_size", 224), config.whole("patch_size", 14 if dino else 16)
    if hidden % heads or side % patch:
        raise UnsupportedModelError(
            f"{config.where}: hidden_size {hidden} must be a multiple of num_attention_heads {heads}, and image_size "
            f"{side} of patch_size {patch}"
        )
    tower = Tower(
        names=(_DINO_GATED if gated else _DINO) if dino else _VIT,
        hidden=hidden,
        layers=checkpoint.layers("num_hidden_layers"),
        heads=heads,
        intermediate=intermediate,
        epsilon=config.number("layer_norm_eps", 1e-6 if dino else 1e-12, above=0),
        activation=act,
        gated=gated,
        bias=config.flag("qkv_bias", default=True),
    )
    into = WeightedGraph(GraphBuilder(model_type, OPSET_WITH_ANTIALIAS if registers else OPSET), checkpoint)
    vit = _Vit(
        into=into,
        tower=tower,
        channels=config.whole("num_channels", 3),
        side=side,
        patch=patch,
        resizes=dino,
        registers=config.whole("num_register_tokens", 4) if registers else 0,
        pooler=not dino and checkpoint.has_weight("pooler.dense.weight"),
    )
    return Body(
        into=into,
        hidden=hidden,
        layers=tower.layers,
        vocabulary=0,
        weights=vit.weights(),
        unused=("classifier.", "decoder.", "embeddings.mask_token", *(() if vit.pooler else ("pooler.",))),
        add_all=vit.add_all,
        own_vector=OwnVector(hidden, vit.vector),
    )


ARCHITECTURES = (
    Architecture(
        model_types=("vit",),
        classes=("ViTModel", "ViTForImageClassification", "ViTForMaskedImageModeling"),
        names=WeightNames(prefixes=("vit.",)),
        prepare=_prepare,
        reads_pictures=True,
    ),
    Architecture(
        model_types=("dinov2",),
        classes=("Dinov2Model", "Dinov2ForImageClassification"),
        names=WeightNames(prefixes=("dinov2.",)),
        prepare=_prepare,
        reads_pictures=True,
    ),
    Architecture(
        model_types=("dinov2_with_registers",),
        classes=("Dinov2WithRegistersModel", "Dinov2WithRegistersForImageClassification"),
        names=WeightNames(prefixes=("dinov2_with_registers.",)),
        prepare=_prepare,
        reads_pictures=True,
    ),
)
