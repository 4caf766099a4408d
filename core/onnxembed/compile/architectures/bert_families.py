"""The families that BERT's body serves: how each names weights and settings, and where it differs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from onnxembed.compile.layers.relative_bias import BUCKETS

if TYPE_CHECKING:
    from onnxembed.formats.facts import Facts


@dataclass(frozen=True, slots=True)
class LayerNames:
    """What a family calls the parts of a layer, after the layer's own name."""

    query: str = "attention.self.query"
    key: str = "attention.self.key"
    value: str = "attention.self.value"
    attended: str = "attention.output.dense"
    attended_norm: str = "attention.output.LayerNorm"
    up: str = "intermediate.dense"
    down: str = "output.dense"
    down_norm: str = "output.LayerNorm"


@dataclass(frozen=True, slots=True)
class SettingNames:
    """What a family calls its settings; ``epsilon`` is ``None`` where it is fixed."""

    hidden: str = "hidden_size"
    layers: str = "num_hidden_layers"
    heads: str = "num_attention_heads"
    intermediate: str = "intermediate_size"
    activation: str = "hidden_act"
    epsilon: str | None = "layer_norm_eps"


@dataclass(frozen=True, slots=True)
class Family:
    """How a family differs from BERT.

    Attributes:
        layer: Names of the parts of a layer.
        keys: Names of the settings.
        layer_names: Gives the names of the layers, in the order that they are run; names may come twice.
        token_types: Whether there are vectors of token types.
        task_types: Reads the number of task types, of which every text has the first; ``None`` where there are none.
        padding_id: Reads the token id that positions count from; ``None`` where they count from 0.
        activation: Where the configuration gives none.
        embedding_size: Reads the length of the word vectors; ``None`` where it is that of all vectors.
        projection: Name of the linear layer from word vectors to layers, where their lengths may differ.
        always_projects: Whether it is there even where the lengths are equal.
        relative: Whether attention has a bias by distance.
    """

    layer: LayerNames = LayerNames()
    keys: SettingNames = SettingNames()
    layer_names: Callable[[Facts, int], Sequence[str]] = lambda _, count: [f"encoder.layer.{at}" for at in range(count)]
    token_types: bool = True
    task_types: Callable[[Facts], int] | None = None
    padding_id: Callable[[Facts], int] | None = None
    activation: str = "gelu"
    embedding_size: Callable[[Facts], int] | None = None
    projection: str = ""
    always_projects: bool = False
    relative: bool = False


def _padding_id(config: Facts) -> int:
    return config.whole("pad_token_id", 1, least=0)


def _albert_layers(config: Facts, layers: int) -> list[str]:
    """Layers of a group share their weights; a group may be several layers long."""
    groups, inner = config.whole("num_hidden_groups", 1), config.whole("inner_group_num", 1)
    if inner > layers:
        raise config.wrong("inner_group_num", inner, "no more than the layers")
    return [
        f"encoder.albert_layer_groups.{layer * groups // layers}.albert_layers.{part}"
        for layer in range(layers)
        for part in range(inner)
    ]


def _embedding_size(config: Facts) -> int:
    return config.whole("embedding_size", 128)


def _distilbert_layers(config: Facts, layers: int) -> list[str]:
    config.flag("sinusoidal_pos_embds")  # the table is among the weights either way
    return [f"transformer.layer.{layer}" for layer in range(layers)]


def _task_types(config: Facts) -> int:
    """ERNIE may have vectors of tasks; nothing that embeds or ranks says another task than the first."""
    count = config.whole("task_type_vocab_size", 3)
    return count if config.flag("use_task_id") else 0


def _mpnet_padding_id(config: Facts) -> int:
    """MPNet counts positions from 1, whatever its padding id."""
    config.expect("relative_attention_num_buckets", (BUCKETS,), BUCKETS)
    return 1


BERT = Family()
ERNIE = Family(task_types=_task_types)
ELECTRA = Family(embedding_size=_embedding_size, projection="embeddings_project")
ROBERTA = Family(padding_id=_padding_id)
DISTILBERT = Family(
    layer=LayerNames(
        query="attention.q_lin",
        key="attention.k_lin",
        value="attention.v_lin",
        attended="attention.out_lin",
        attended_norm="sa_layer_norm",
        up="ffn.lin1",
        down="ffn.lin2",
        down_norm="output_layer_norm",
    ),
    keys=SettingNames(
        hidden="dim",
        layers="n_layers",
        heads="n_heads",
        intermediate="hidden_dim",
        activation="activation",
        epsilon=None,
    ),
    layer_names=_distilbert_layers,
    token_types=False,
)
MPNET = Family(
    layer=LayerNames(
        query="attention.attn.q",
        key="attention.attn.k",
        value="attention.attn.v",
        attended="attention.attn.o",
        attended_norm="attention.LayerNorm",
    ),
    token_types=False,
    padding_id=_mpnet_padding_id,
    relative=True,
)
ALBERT = Family(
    layer=LayerNames(
        query="attention.query",
        key="attention.key",
        value="attention.value",
        attended="attention.dense",
        attended_norm="attention.LayerNorm",
        up="ffn",
        down="ffn_output",
        down_norm="full_layer_layer_norm",
    ),
    layer_names=_albert_layers,
    activation="gelu_new",
    embedding_size=_embedding_size,
    projection="encoder.embedding_hidden_mapping_in",
    always_projects=True,
)
