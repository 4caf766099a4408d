"""Providers in libraries of their own, with a stand-in for ONNX Runtime."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from onnxembed.errors import ProviderError
from onnxembed.runtime.plugins import available_providers
from onnxembed.runtime.providers import ProviderRequest, parse_request

CPU, WEBGPU = "CPUExecutionProvider", "WebGpuExecutionProvider"


class Runtime:
    """ONNX Runtime that loads libraries; ``said`` is what it answers instead."""

    __version__ = "1.32.0"

    def __init__(self, offered: str | None = None, said: str = "") -> None:
        self.loaded: list[tuple[str, str]] = []
        self.offered = offered
        self.said = said

    def get_available_providers(self) -> list[str]:
        return [CPU, *(name for name, _ in self.loaded)]

    def get_ep_devices(self) -> list[SimpleNamespace]:
        names = [self.offered] if self.offered is not None else [name for name, _ in self.loaded]
        return [SimpleNamespace(ep_name=name) for name in (CPU, *filter(None, names))]

    def register_execution_provider_library(self, name: str, path: str) -> None:
        if self.said:
            raise RuntimeError(self.said)
        self.loaded.append((name, path))


@pytest.fixture
def library(tmp_path: Path) -> Path:
    (tmp_path / "libplugin.so").write_bytes(b"")
    return tmp_path / "libplugin.so"


def named(name: str, library: Path | None = None) -> ProviderRequest:
    options = {} if library is None else {"library_path": library}
    return parse_request([(name, options), CPU], "auto", None)


def test_a_library_is_loaded_by_its_path_once(library: Path) -> None:
    runtime = Runtime()
    for _ in range(2):
        assert available_providers(runtime, named("mine", library)) == [CPU, "mine"]
    assert runtime.loaded == [("mine", str(library))]


def test_an_installed_plugin_is_found_by_its_provider(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("onnxruntime_ep_webgpu")
    module.get_library_path = lambda: str(library)  # type: ignore[attr-defined]
    module.__spec__ = SimpleNamespace(name=module.__name__)  # type: ignore[assignment]
    monkeypatch.setitem(sys.modules, "onnxruntime_ep_webgpu", module)
    runtime = Runtime()
    assert available_providers(runtime, named(WEBGPU)) == [CPU, WEBGPU]
    assert runtime.loaded == [(WEBGPU, str(library))]


def test_what_is_not_asked_for_is_not_loaded() -> None:
    runtime = Runtime()
    assert available_providers(runtime, named("no plugin")) == [CPU]
    assert available_providers(runtime, parse_request(None, "auto", None)) == [CPU]
    assert runtime.loaded == []


@pytest.mark.parametrize(
    ("runtime", "there", "message"),
    [
        (Runtime(), False, r"the library .*libplugin\.so is not there"),
        (Runtime(said="undefined symbol: CreateEpFactories"), True, r"cannot load .*undefined symbol"),
        (Runtime(offered=""), True, "was loaded, but it offers no device here"),
        (Runtime(offered="theirs"), True, "no device here under that name; there are theirs"),
        (SimpleNamespace(get_available_providers=lambda: [CPU], __version__="1.22.0"), True, r"onnxruntime>=1\.23"),
    ],
)
def test_what_cannot_be_loaded_is_an_error(runtime: object, there: bool, message: str, library: Path) -> None:
    if not there:
        library.unlink()
    with pytest.raises(ProviderError, match=message):
        available_providers(runtime, named("mine", library))


def test_a_library_that_is_there_already_is_no_error(library: Path) -> None:
    runtime = Runtime(offered="mine", said="library is already registered")
    assert available_providers(runtime, named("mine", library)) == [CPU]
