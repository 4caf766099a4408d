"""Memory of devices, with a stand-in for NVIDIA's management library."""

from __future__ import annotations

from typing import Any

import pytest

from onnxembed.runtime import budgets
from onnxembed.runtime.budgets import TextBudget, device_budget, least, provider_budget
from onnxembed.runtime.device_memory import DeviceMemory, device_memory, memory_of

GIB = 1 << 30
CUDA = "CUDAExecutionProvider"


class Library:
    """Answers as libnvidia-ml does: (total, free) in GiB of each device, by its number on the bus."""

    def __init__(self, *devices: tuple[int, int]) -> None:
        self.devices = devices

    def nvmlDeviceGetCount_v2(self, count: Any) -> int:
        count._obj.value = len(self.devices)
        return 0

    def nvmlDeviceGetHandleByIndex_v2(self, number: Any, handle: Any) -> int:
        handle._obj.value = number.value + 1
        return 0 if number.value < len(self.devices) else 2

    def nvmlDeviceGetHandleByUUID(self, name: bytes, handle: Any) -> int:
        handle._obj.value = int(name[-1:]) + 1
        return 0

    def nvmlDeviceGetMemoryInfo(self, handle: Any, memory: Any) -> int:
        total, free = self.devices[handle.value - 1]
        memory._obj.total, memory._obj.free = total * GIB, free * GIB
        return 0


@pytest.mark.parametrize(
    ("devices", "number", "environment", "free"),
    [
        ([(80, 70), (80, 10)], 0, {}, 70),
        ([(80, 70), (80, 10)], 1, {}, 10),
        ([(80, 70), (80, 10)], 0, {"CUDA_VISIBLE_DEVICES": "1"}, 10),
        ([(80, 70), (80, 10)], 1, {"CUDA_VISIBLE_DEVICES": "1"}, None),
        ([(80, 70), (80, 10)], 0, {"CUDA_VISIBLE_DEVICES": "GPU-uuid-1"}, 10),
        ([(16, 15), (80, 70)], 1, {}, 15),  # CUDA counts the faster one first, and which that is nobody says
        ([(16, 15), (80, 70)], 1, {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}, 70),
        ([], 0, {}, None),
    ],
)
def test_memory_of_the_device_that_a_number_means(
    devices: list[tuple[int, int]], number: int, environment: dict[str, str], free: int | None
) -> None:
    found = memory_of(Library(*devices), number, environment)
    assert (None if found is None else found.free // GIB) == free


def test_without_a_driver_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onnxembed.runtime.device_memory._LIBRARY", "libno-such-driver.so.1")
    assert device_memory(0) is None


@pytest.mark.parametrize(
    ("provider", "free", "tokens"),
    [
        (CUDA, None, 16_384),
        (CUDA, 2, 8192),
        (CUDA, 15, 61_440),
        (CUDA, 79, 65_536),  # enough for every device that there is
        ("MIGraphXExecutionProvider", None, 16_384),
        ("DmlExecutionProvider", None, 4096),
        ("CoreMLExecutionProvider", None, 4096),
    ],
)
def test_tokens_of_a_batch_follow_class_and_memory(provider: str, free: int | None, tokens: int) -> None:
    memory = None if free is None else DeviceMemory(80 * GIB, free * GIB)
    assert device_budget(provider, memory, heads=16).tokens == tokens


def test_memory_that_is_nearly_full_still_runs_something() -> None:
    assert device_budget(CUDA, DeviceMemory(GIB, 0), heads=16) == TextBudget(1024, squares=1)


def test_scores_of_attention_bound_long_texts() -> None:
    """Two texts of 8192 tokens and 16 heads, whose scores take 8.6 GB twice, are not for a card of 15 GiB."""
    bound = device_budget(CUDA, DeviceMemory(15 * GIB, 15 * GIB), heads=16)
    assert bound.squares is not None
    assert bound.squares < 2 * 8192**2
    assert bound.squares > 64 * 512**2
    more_heads = device_budget(CUDA, DeviceMemory(15 * GIB, 15 * GIB), heads=32).squares
    assert more_heads == bound.squares // 2


def test_the_processor_is_as_it_was_measured() -> None:
    assert provider_budget("CPUExecutionProvider", (), cpus=4, heads=16) == TextBudget(1024)
    assert provider_budget("OpenVINOExecutionProvider", (), cpus=4, heads=16) == TextBudget(1024)


def test_a_session_asks_for_its_own_device(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def memory(number: int) -> DeviceMemory:
        asked.append(number)
        return DeviceMemory(80 * GIB, 2 * GIB)

    monkeypatch.setattr(budgets, "device_memory", memory)
    assert provider_budget(CUDA, (("device_id", "3"),), cpus=4, heads=16).tokens == 8192
    assert provider_budget("DmlExecutionProvider", (), cpus=4, heads=16).tokens == 4096
    assert asked == [3]


def test_several_devices_take_what_the_least_has_room_for() -> None:
    assert least(TextBudget(9, 100), TextBudget(5, 400), TextBudget(7)) == TextBudget(5, 100)
    assert least(TextBudget(9)) == TextBudget(9)
