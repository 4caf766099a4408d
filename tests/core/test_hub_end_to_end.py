"""From a model's name to its vectors through a hub: every way that ends well ends in the right vectors."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from onnxembed import ModelSource, TextEmbedding
from onnxembed.errors import IntegrityError, ModelNotFoundError
from onnxembed.text.known import dense_registry
from tests.fixtures.dense_graphs import HIDDEN as DIM
from tests.fixtures.dense_models import variant, write_variant
from tests.fixtures.hub_server import Fault, HubServer, hub_server

__all__ = ["hub_server"]

REPOSITORY = "org/small"
NAME = "custom/small"
TEXTS = ["hello world", "a second text, which is longer", ""]


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(params=["mean_norm", "external"])
def published(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """What the hub publishes: a model with its weights inside the graph, and one with weights beside it."""
    folder = write_variant(tmp_path / "published", variant(request.param))
    if not (folder / "onnx").is_dir():
        (folder / "onnx").mkdir()
        for path in folder.glob("model.onnx*"):
            path.rename(folder / "onnx" / path.name)
    return folder


@pytest.fixture
def hub(hub_server: HubServer, published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    hub_server.add_repo(REPOSITORY, files(published))
    monkeypatch.setenv("HF_ENDPOINT", hub_server.url)
    monkeypatch.setenv("ONNXEMBED_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_DOWNLOAD_TIMEOUT", "1")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    TextEmbedding.add_custom_model(NAME, "MEAN", True, ModelSource(hf=REPOSITORY), dim=DIM)
    yield hub_server
    dense_registry.remove(NAME)


@pytest.fixture
def expected(published: Path) -> np.ndarray:
    return TextEmbedding(published, pooling="MEAN", normalize=True).embed_to_array(TEXTS)


def test_a_fresh_download_then_no_request_at_all(hub: HubServer, expected: np.ndarray) -> None:
    np.testing.assert_allclose(TextEmbedding(NAME).embed_to_array(TEXTS), expected, atol=1e-6)
    hub.forget_requests()
    again = TextEmbedding(NAME, threads=1)
    np.testing.assert_allclose(again.embed_to_array(TEXTS), expected, atol=1e-6)
    offline = TextEmbedding(NAME, local_files_only=True, threads=2)
    np.testing.assert_allclose(offline.embed_to_array(TEXTS), expected, atol=1e-6)
    assert hub.requests == []


@pytest.mark.parametrize(
    "fault", [Fault(truncate_at=300, times=1), Fault(status=500, times=1), Fault(reset=True, times=1)], ids=str
)
def test_a_passing_fault(hub: HubServer, expected: np.ndarray, fault: Fault) -> None:
    hub.fail("*/resolve/*/model.onnx", fault)
    np.testing.assert_allclose(TextEmbedding(NAME).embed_to_array(TEXTS), expected, atol=1e-6)


def test_wrong_bytes_are_never_loaded(hub: HubServer, expected: np.ndarray) -> None:
    hub.fail("*/resolve/*/model.onnx", Fault(corrupt=True))
    with pytest.raises(IntegrityError, match=REPOSITORY):
        TextEmbedding(NAME)
    hub.heal()
    np.testing.assert_allclose(TextEmbedding(NAME).embed_to_array(TEXTS), expected, atol=1e-6)


@pytest.mark.parametrize(("status", "reason"), [(401, "401|token|gated"), (404, "404|not")])
def test_a_refusal_says_why(hub: HubServer, status: int, reason: str) -> None:
    hub.fail("*", Fault(status=status))
    begin = time.monotonic()
    with pytest.raises(ModelNotFoundError, match=reason):
        TextEmbedding(NAME)
    assert time.monotonic() - begin < 10


def test_offline_without_a_copy(hub: HubServer) -> None:
    with pytest.raises(ModelNotFoundError, match=r"offline|local_files_only|forbidden"):
        TextEmbedding(NAME, local_files_only=True)
    assert hub.requests == []


def test_lazy_loading_asks_for_nothing(hub: HubServer) -> None:
    model = TextEmbedding(NAME, lazy_load=True)
    assert model.embedding_size == DIM
    assert hub.requests == []
    assert model.token_count("hello world") > 0
    assert hub.requests != []


def test_processes_that_start_at_once_download_once(hub: HubServer, expected: np.ndarray, tmp_path: Path) -> None:
    program = f"""
import numpy as np
from onnxembed import ModelSource, TextEmbedding
TextEmbedding.add_custom_model({NAME!r}, "MEAN", True, ModelSource(hf={REPOSITORY!r}), dim={DIM})
np.save(__import__("sys").argv[1], TextEmbedding({NAME!r}).embed_to_array({TEXTS!r}))
"""
    outputs = [tmp_path / f"{number}.npy" for number in range(4)]
    running = [subprocess.Popen([sys.executable, "-c", program, str(output)]) for output in outputs]
    assert [process.wait(60) for process in running] == [0] * 4
    for output in outputs:
        np.testing.assert_allclose(np.load(output), expected, atol=1e-6)
    fetched = hub.fetched(REPOSITORY)
    assert len(fetched) == len(set(fetched))


@pytest.mark.parametrize("size", [100, None])
def test_a_cached_file_that_changes_under_a_living_model_is_fetched_again(
    hub: HubServer, expected: np.ndarray, size: int | None, tmp_path: Path
) -> None:
    """As another program that opens the cache's files for writing leaves them; cut short, or with other bytes."""
    model = TextEmbedding(NAME)
    model.embed_to_array(TEXTS)
    for path in (tmp_path / "cache").rglob("*.onnx_data"):
        with path.open("r+b") as file:
            file.write(bytes(1000))
            if size is not None:
                file.truncate(size)
    np.testing.assert_allclose(model.embed_to_array(TEXTS), expected, atol=1e-6)
    np.testing.assert_allclose(TextEmbedding(NAME, threads=1).embed_to_array(TEXTS), expected, atol=1e-6)
