"""Llama, Mistral, Ministral, Qwen2 and Qwen3: one decoder, with biases, norms and windows of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from onnxembed.compile.architectures.decoder import (
    Decoder,
    LayerKind,
    decoder_body,
    decoder_family,
    read_attention,
    read_direction,
    usual_classes,
)
from onnxembed.compile.layers.activation import ACTIVATIONS
from onnxembed.compile.layers.rotary import read_rotary
from onnxembed.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable

    from onnxembed.compile.body import Body
    from onnxembed.compile.checkpoint import Checkpoint
    from onnxembed.formats.facts import Facts

_THETA, _WINDOW = 10_000.0, 4096
FULL, SLIDING = "full_attention", "sliding_attention"


@dataclass(frozen=True, slots=True)
class LlamaLike:
    """What differs between the families.

    Attributes:
        windows: Reads the window of each of so many layers, ``None`` for any distance.
        projection_bias: Whether queries, keys and values always have a bias.
        attention_bias: Whether ``attention_bias`` gives all of attention one.
        inner_bias: Whether ``mlp_bias`` gives the feed-forward one.
        head_norms: Whether the queries and keys of a head are normalized.
        head_size: Of configurations that state none; ``None`` for hidden size by heads.
        epsilon: Of the norms, where the configuration states none.
    """

    windows: Callable[[Facts, int], tuple[int | None, ...]]
    projection_bias: bool = False
    attention_bias: bool = False
    inner_bias: bool = False
    head_norms: bool = False
    head_size: int | None = None
    epsilon: float = 1e-6

    def prepare(self, checkpoint: Checkpoint) -> Body:
        """Read the configuration and describe the body."""
        return decoder_body(checkpoint, self.facts(checkpoint, causal=read_direction(checkpoint.config)))

    def facts(self, checkpoint: Checkpoint, *, causal: bool) -> Decoder:
        """Read what makes the body."""
        config = checkpoint.config
        config.expect("hidden_act", tuple(ACTIVATIONS), "silu")
        config.expect("use_mrope", (False,), False)  # of Qwen 2.5's files; positions in pictures
        attention = read_attention(config, head_size=self.head_size, causal=causal)
        rotary = read_rotary(config, attention.head_size, theta=_THETA)
        windows = self.windows(config, checkpoint.layers("num_hidden_layers"))
        biased = self.attention_bias and config.flag("attention_bias")
        # A causal window counts the token itself; one that looks both ways does not (transformers 5).
        itself = 1 if causal else 0
        layers = tuple(LayerKind(rotary, None if window is None else window - itself) for window in windows)
        return Decoder(
            hidden=config.whole("hidden_size"),
            intermediate=config.whole("intermediate_size"),
            vocabulary=config.whole("vocab_size"),
            epsilon=config.number("rms_norm_eps", self.epsilon, above=0),
            activation=config.text("hidden_act", "silu"),
            attention=attention,
            layers=layers,
            projection_bias=self.projection_bias or biased,
            output_bias=biased,
            inner_bias=self.inner_bias and config.flag("mlp_bias"),
            head_norms=self.head_norms,
        )


def read_layer_types(config: Facts, layers: int) -> tuple[str, ...]:
    """Read the kind of each layer, `FULL` or `SLIDING`; empty where nothing says it."""
    kinds = config.texts("layer_types")
    if kinds and (len(kinds) != layers or not set(kinds) <= {FULL, SLIDING}):
        raise config.wrong("layer_types", list(kinds), f"{layers} of {FULL!r} and {SLIDING!r}")
    return kinds


def no_windows(config: Facts, layers: int) -> tuple[None, ...]:
    """Llama's: none. ``pretraining_tp`` cuts its products into parts, whose sum is the same."""
    config.value("pretraining_tp")
    return (None,) * layers


def _one_window(config: Facts, layers: int) -> tuple[int | None, ...]:
    """Mistral's: every layer has the same, or none."""
    window = _window(config)
    kinds = [FULL if window is None else SLIDING] * layers
    config.expect("layer_types", (kinds,), kinds)
    return (window,) * layers


def _window_by_layer(config: Facts, layers: int) -> tuple[int | None, ...]:
    """Ministral's: the layers that ``layer_types`` names, or all."""
    window = _window(config)
    kinds = read_layer_types(config, layers) or (SLIDING,) * layers
    return tuple(window if kind == SLIDING else None for kind in kinds)


def _later_windows(config: Facts, layers: int) -> tuple[int | None, ...]:
    """Qwen's: the layers that ``layer_types`` names, or in older files those from ``max_window_layers`` on."""
    window, first = _window(config), config.whole("max_window_layers", 28, least=0)
    if not config.flag("use_sliding_window"):
        window = None
    later = tuple(FULL if window is None or layer < first else SLIDING for layer in range(layers))
    kinds = read_layer_types(config, layers) or later
    if SLIDING in kinds and window is None:
        raise ModelError(
            f"{config.where}: layer_types has {SLIDING!r}, but use_sliding_window and sliding_window give no window; "
            "fetch the file again"
        )
    return tuple(window if kind == SLIDING else None for kind in kinds)


def _window(config: Facts) -> int | None:
    """Read a window; where the key is missing it is the default of the library's classes, ``null`` is none."""
    stated = config.optional_whole("sliding_window")
    return stated if "sliding_window" in set(config.keys()) else _WINDOW


_FAMILIES = {
    "llama": ("Llama", LlamaLike(no_windows, attention_bias=True, inner_bias=True)),
    "mistral": ("Mistral", LlamaLike(_one_window)),
    "ministral": ("Ministral", LlamaLike(_window_by_layer)),
    "qwen2": ("Qwen2", LlamaLike(_later_windows, projection_bias=True)),
    "qwen3": ("Qwen3", LlamaLike(_later_windows, attention_bias=True, head_norms=True, head_size=128)),
}

ARCHITECTURES = tuple(
    decoder_family(model_type, usual_classes(name), family.prepare) for model_type, (name, family) in _FAMILIES.items()
)
"""Each family by itself."""
