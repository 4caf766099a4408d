"""How many tokens a device takes at once: by its class, and by the memory that it has free.

The numbers for processors are measured. Those for devices are reckoned, and no device has been tried: a batch that is
too large for one is halved (`room`).
"""

from __future__ import annotations

from dataclasses import dataclass

from onnxembed.runtime.cuda import CUDA_PROVIDERS
from onnxembed.runtime.device_memory import DeviceMemory, device_memory
from onnxembed.runtime.provider_traits import on_processor
from onnxembed.runtime.providers import OptionPairs

# 256 tokens for each processor keep its matrix units busy, and more only grow the intermediate results.
_TOKENS_PER_CPU = 256
# Without knowledge of its memory: a graphics processor, and those that share a notebook's memory or are made for one
# item at a time.
_TOKENS_ON_GPU = 16_384
_TOKENS_ON_SMALL = 4096
_SMALL = frozenset(
    {
        *("CoreMLExecutionProvider", "DmlExecutionProvider", "WebGpuExecutionProvider", "QNNExecutionProvider"),
        *("OpenVINOExecutionProvider", "VitisAIExecutionProvider"),
    }
)
_FEWEST_TOKENS, _MOST_TOKENS = 1024, 65_536
# A quarter of the free memory is for the intermediate results of one run: two are under way, and other models may come.
_SHARE = 4
# Of a large BERT's layer, all that is alive at once for a token: 14 rows of 1024 float32 numbers.
_BYTES_PER_TOKEN = 64 * 1024
# Attention that is not fused holds its scores, and once more as weights.
_BYTES_PER_SCORE = 8
_UNKNOWN_MEMORY = 8 << 30
_CHARACTERS_PER_TOKEN = 6
_BATCHES_IN_A_WINDOW = 4


@dataclass(frozen=True, slots=True)
class TextBudget:
    """What one batch of texts may take.

    Attributes:
        tokens: Positions of the padded batch.
        squares: Squares of the padded length, summed over its texts; ``None`` for no bound.
    """

    tokens: int
    squares: int | None = None

    @property
    def least_window(self) -> int:
        """Characters of a window of several batches."""
        return _BATCHES_IN_A_WINDOW * self.tokens * _CHARACTERS_PER_TOKEN


def processor_budget(cpus: int) -> TextBudget:
    """The budget of so many processors."""
    return TextBudget(_TOKENS_PER_CPU * cpus)


def provider_budget(provider: str, options: OptionPairs, *, cpus: int, heads: int) -> TextBudget:
    """The budget of a session by its first provider; ``heads`` are those of a layer's attention."""
    if on_processor(provider, options):
        return processor_budget(cpus)
    number = dict(options).get("device_id", "0")
    known = device_memory(int(number)) if provider in CUDA_PROVIDERS and number.isdigit() else None
    return device_budget(provider, known, heads)


def device_budget(provider: str, memory: DeviceMemory | None, heads: int) -> TextBudget:
    """The budget of a device with so much memory."""
    if provider in _SMALL:
        tokens = _TOKENS_ON_SMALL
    elif memory is None:
        tokens = _TOKENS_ON_GPU
    else:
        tokens = min(max(memory.free // _SHARE // _BYTES_PER_TOKEN, _FEWEST_TOKENS), _MOST_TOKENS)
    free = _UNKNOWN_MEMORY if memory is None else memory.free
    return TextBudget(tokens, squares=max(1, free // _SHARE // (_BYTES_PER_SCORE * heads)))


def least(*budgets: TextBudget) -> TextBudget:
    """The budget that suits several devices."""
    squares = [budget.squares for budget in budgets if budget.squares is not None]
    return TextBudget(min(budget.tokens for budget in budgets), min(squares) if squares else None)
