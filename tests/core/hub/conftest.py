"""A hub, an empty cache, and an environment in which nothing of the machine's own shows through."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from onnxembed.hub.settings import StoreSettings
from tests.core.hub.small import QUICK, REPOSITORY, files
from tests.fixtures.hub_server import hub_server

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fixtures.hub_server import HubServer

__all__ = ["hub_server"]

VARIABLES = (
    "ONNXEMBED_CACHE",
    "FASTEMBED_CACHE_PATH",
    "HF_HUB_CACHE",
    "HUGGINGFACE_HUB_CACHE",
    "HF_HOME",
    "XDG_CACHE_HOME",
    "HF_HUB_OFFLINE",
    "TRANSFORMERS_OFFLINE",
    "HF_ENDPOINT",
    "HF_TOKEN",
    "HUGGING_FACE_HUB_TOKEN",
    "HF_HUB_DOWNLOAD_TIMEOUT",
)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of the machine's settings, caches and logins."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A cache that does not exist yet."""
    return tmp_path / "cache"


@pytest.fixture
def settings(cache: Path) -> StoreSettings:
    """Short waits and the empty cache."""
    return StoreSettings(cache_dir=str(cache), limits=QUICK)


@pytest.fixture
def hub(hub_server: HubServer, monkeypatch: pytest.MonkeyPatch) -> HubServer:
    """The hub that ``HF_ENDPOINT`` names, with the small model."""
    monkeypatch.setenv("HF_ENDPOINT", hub_server.url)
    hub_server.add_repo(REPOSITORY, files())
    return hub_server
