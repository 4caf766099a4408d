"""Rotary positions: pairs of a head's numbers are turned by an angle that grows with the position (arXiv:2104.09864).

The angles' cosines and sines are made in the graph, for as many positions as a batch has. As a table for every position
of a model they would take 67 MB at 131,072 positions and a head size of 128.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from onnxembed.compile.graph_builder import FLOAT, MICROSOFT
from onnxembed.errors import UnsupportedModelError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from onnxembed.compile.graph_builder import GraphBuilder
    from onnxembed.formats.facts import Facts

_PARAMETERS = "rope_parameters"  # transformers 5; `rope_theta` and `rope_scaling` before
_SCALING = "rope_scaling"
_MOST_POSITIONS = 1 << 31
_FEWEST_TURNS = 1e-6
_PLAIN, _DYNAMIC = "default", "dynamic"  # dynamic scaling begins beyond the model's positions, which no text exceeds


@dataclass(frozen=True, slots=True)
class Rotary:
    """The turns of a model.

    Attributes:
        frequencies: What each pair is turned by per position, in radians.
        scale: What cosines and sines are multiplied by.
        head_size: Numbers of a head.
        interleaved: Whether neighbours make a pair; otherwise a number of the first half and one of the second.
    """

    frequencies: tuple[float, ...]
    scale: float
    head_size: int
    interleaved: bool = False

    @property
    def size(self) -> int:
        """Numbers at the head's beginning that are turned."""
        return 2 * len(self.frequencies)


@dataclass(frozen=True, slots=True)
class Angles:
    """Turns in a graph: the names of the first position, and of cosines and sines, (sequence, pairs) each."""

    rotary: Rotary
    first: str
    cosines: str
    sines: str


def plain_rotary(theta: float, head_size: int, *, size: int | None = None, interleaved: bool = False) -> Rotary:
    """Make turns with the frequencies ``theta ** (-2 i / size)``."""
    frequencies = _plain(theta, head_size if size is None else size)
    return Rotary(tuple(frequencies.tolist()), 1.0, head_size, interleaved)


def read_rotary(config: Facts, head_size: int, *, theta: float, part: str | None = None) -> Rotary:
    """Read the turns of ``config.json``, in the spelling of transformers 4 or 5.

    Args:
        config: The configuration.
        head_size: Numbers of a head.
        theta: The base of the frequencies where nothing says it.
        part: The kind of layers, in models that have turns of their own for each.

    Returns:
        The turns.

    Raises:
        UnsupportedModelError: The frequencies are scaled in a way that is not known here.
        ModelError: A value is missing or wrong.
    """
    positions = config.optional_whole("max_position_embeddings") or 0
    # Before version 5 the base stood by itself, and so it still serves where the newer object does not state it.
    theta = config.number("rope_theta", theta, above=1)
    _turns_whole_heads(config)
    older, newer = config.section(_SCALING), config.section(_PARAMETERS)
    stated = older if older.keys() else newer
    if part is not None and stated.has(part):
        stated = stated.section(part)
    return scaled_rotary(
        stated,
        head_size,
        theta=stated.number("rope_theta", theta, above=1),
        positions=config.optional_whole("original_max_position_embeddings") or positions,
    )


def scaled_rotary(scaling: Facts, head_size: int, *, theta: float, positions: int) -> Rotary:
    """Make turns whose frequencies are scaled as an object of ``config.json`` says: ``rope_type`` and its numbers.

    ``positions`` are those the model was first trained for, where the object does not state them.
    """
    kind = scaling.text("rope_type", scaling.text("type", "default"))
    _turns_whole_heads(scaling)
    base = _Base(theta, head_size, positions)
    scale = 1.0
    if kind in _SCALINGS:
        frequencies, scale = _SCALINGS[kind](scaling, base)
    elif kind in (_PLAIN, _DYNAMIC):
        frequencies = base.frequencies()
        if kind == _DYNAMIC:
            scaling.number("factor", above=0)
    else:
        raise UnsupportedModelError(
            f"{scaling.where}: the rotary frequencies are scaled by rope_type {kind!r}; known here: "
            f"{', '.join(sorted((*_SCALINGS, _PLAIN, _DYNAMIC)))}"
        )
    return Rotary(tuple(frequencies.tolist()), scale, head_size)


def _turns_whole_heads(facts: Facts) -> None:
    """Refuse heads that are turned in part: transformers turns them whole or fails, by the kind of scaling."""
    facts.expect("partial_rotary_factor", (1, 1.0), 1)


def add_angles(graph: GraphBuilder, rotary: Rotary, positions: str, name: str) -> Angles:
    """Add cosines and sines.

    Args:
        graph: The graph.
        rotary: The turns.
        positions: The positions, int64 (sequence,), which begin at 0.
        name: What the names of the values begin with.

    Returns:
        Their names.
    """
    column = graph.node("Unsqueeze", [positions, graph.integers(f"{name}.axis", [1])], f"{name}.column")
    number = graph.node("Cast", [column], f"{name}.number", {"to": FLOAT})
    # In float32, since torch rounds the angle there: at position 10,000 that is half a thousandth of a radian.
    frequencies = graph.floats(f"{name}.frequencies", rotary.frequencies)
    angle = graph.node("Mul", [number, frequencies], f"{name}.angle")
    cosines, sines = (graph.node(kind, [angle], f"{name}.{kind.lower()}") for kind in ("Cos", "Sin"))
    if rotary.scale != 1:
        scale = graph.floats(f"{name}.scale", rotary.scale)
        cosines, sines = (graph.node("Mul", [value, scale], f"{value}.scaled") for value in (cosines, sines))
    return Angles(rotary, graph.integers(f"{name}.first", [0]), cosines, sines)


def rotated(graph: GraphBuilder, value: str, angles: Angles, heads: int, output: str) -> str:
    """Turn the vectors of all heads side by side, (batch, sequence, heads x head size), from position 0 on."""
    attributes = {"interleaved": int(angles.rotary.interleaved), "num_heads": heads}
    if angles.rotary.size != angles.rotary.head_size:
        attributes["rotary_embedding_dim"] = angles.rotary.size
    inputs = [value, angles.first, angles.cosines, angles.sines]
    return graph.node("RotaryEmbedding", inputs, output, attributes, domain=MICROSOFT)


def _plain(theta: float, size: int) -> NDArray[np.float32]:
    """The frequencies ``theta ** (-2 i / size)``, rounded where torch rounds."""
    import numpy as np

    exponents = np.arange(0, size, 2, dtype=np.float32) / np.float32(size)
    return np.float32(1) / np.power(float(theta), exponents.astype(np.float64)).astype(np.float32)


@dataclass(frozen=True, slots=True)
class _Base:
    """What is scaled: frequencies, and the positions of the model's first training."""

    theta: float
    size: int
    positions: int

    def frequencies(self) -> NDArray[np.float32]:
        return _plain(self.theta, self.size)

    def trained(self, scaling: Facts) -> int:
        key = "original_max_position_embeddings"
        trained = scaling.whole(key, self.positions or None)
        if trained > _MOST_POSITIONS:
            raise scaling.wrong(key, trained, f"at most {_MOST_POSITIONS}")
        return trained


def _linear(scaling: Facts, base: _Base) -> tuple[NDArray[np.float32], float]:
    import numpy as np

    return base.frequencies() / np.float32(scaling.number("factor", above=0)), 1.0


def _llama3(scaling: Facts, base: _Base) -> tuple[NDArray[np.float32], float]:
    """Slow turns are slowed by a factor, fast ones stay, and those between pass from one to the other (Llama 3.1)."""
    import numpy as np

    factor = scaling.number("factor", above=0)
    low, high = scaling.number("low_freq_factor", above=0), scaling.number("high_freq_factor", above=0)
    if high <= low:
        raise scaling.wrong("high_freq_factor", high, f"a number above low_freq_factor, {low:g}")
    plain = base.frequencies().astype(np.float64)
    turns = base.trained(scaling) * plain / (2 * math.pi)  # full ones within the positions of the training
    kept = np.clip((turns - low) / (high - low), 0, 1)
    return (plain * (kept + (1 - kept) / factor)).astype(np.float32), 1.0


def _yarn(scaling: Facts, base: _Base) -> tuple[NDArray[np.float32], float]:
    """YaRN (arXiv:2309.00071, section 3): by pair, between slowed and unchanged turns; cosines and sines are scaled."""
    import numpy as np

    factor, trained = scaling.number("factor", above=0), base.trained(scaling)
    turns = [scaling.number(key, usual, above=_FEWEST_TURNS) for key, usual in (("beta_fast", 32), ("beta_slow", 1))]
    # The pair, counted from the first, that turns so often within the positions of the training.
    bounds = [base.size * math.log(trained / (2 * math.pi * often)) / (2 * math.log(base.theta)) for often in turns]
    if scaling.flag("truncate", True):
        bounds = [math.floor(bounds[0]), math.ceil(bounds[1])]
    first, last = max(bounds[0], 0), min(bounds[1], base.size - 1)
    last = last if last != first else last + 0.001
    slowed = np.clip((np.arange(base.size // 2) - first) / (last - first), 0, 1)
    plain = base.frequencies().astype(np.float64)
    return (plain * (slowed / factor + 1 - slowed)).astype(np.float32), _yarn_scale(scaling, factor)


def _yarn_scale(scaling: Facts, factor: float) -> float:
    """The scale that is stated, or that of the paper's equation 22, or DeepSeek's ratio of two."""
    stated = scaling.number("attention_factor", 0)
    over, under = scaling.number("mscale", 0), scaling.number("mscale_all_dim", 0)
    if stated:
        return stated
    growth = 0.1 * math.log(factor) if factor > 1 else 0.0
    return (over * growth + 1) / (under * growth + 1) if over and under else growth + 1


def _ntk(scaling: Facts, base: _Base) -> tuple[NDArray[np.float32], float]:
    """Fixed and mixed NTK scaling (https://kexue.fm/archives/9706), as GTE has it: for texts of every length."""
    import numpy as np

    factor, pairs = scaling.number("factor", above=0), base.size // 2
    if factor <= 1:
        return base.frequencies(), 1.0
    if not scaling.has("mixed_b"):
        slowed = _plain(base.theta * factor, base.size) / np.float32(factor ** (2 / base.size))
        return slowed, 1.0
    exponent = scaling.number("mixed_b")
    slower = np.exp(math.log(factor) * (np.arange(1, pairs + 1) / pairs) ** exponent)
    return (base.frequencies() / slower).astype(np.float32), 1.0


_SCALINGS = {"linear": _linear, "llama3": _llama3, "ntk": _ntk, "yarn": _yarn}
