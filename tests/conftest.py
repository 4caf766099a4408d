"""What every test shares: a cache of its own, and an environment in which nothing calls home."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

_LONG = {"notebooks", "snapshots", "walls"}


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep compiled graphs out of the user's cache; in the environment, so that child processes inherit it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ONNXEMBED_CACHE", str(tmp_path_factory.mktemp("onnxembed-cache")))
        for name in ("FASTEMBED_CACHE_PATH", "HF_HOME", "HF_HUB_CACHE", "HF_ENDPOINT", "HF_TOKEN"):
            patch.delenv(name, raising=False)
        patch.setenv("HF_HUB_OFFLINE", "1")  # a test that has a hub of its own takes it back
        patch.setenv("ORT_DISABLE_TELEMETRY", "1")  # for the vector stores, which import ONNX Runtime on their own
        yield


@pytest.fixture(autouse=True)
def _environment_unchanged() -> Iterator[None]:
    """Hold the promise that no environment variable is written."""
    before = dict(os.environ)
    yield
    after = dict(os.environ)
    for noise in ("PYTEST_CURRENT_TEST",):
        before.pop(noise, None)
        after.pop(noise, None)
    assert after == before


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the folders of long tests, which would be waited for at the end.

    What a module's tests share is made by each worker that has some of them; at the beginning, one worker has them all.
    """
    items.sort(key=lambda item: _LONG.isdisjoint(item.path.parts))
