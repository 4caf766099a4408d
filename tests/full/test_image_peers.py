"""Both halves of a CLIP, against transformers' CLIPModel with the same random weights, and against fastembed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from onnxembed.image.model import ImageEmbedding
from onnxembed.text.model import TextEmbedding
from tests.fixtures.images import picture

pytestmark = [pytest.mark.full, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
# As in tests.full.image_peers, which only the peers can import.
SIZES = ((90, 70), (70, 120), (64, 64), (33, 200), (640, 480), (320, 240), (50, 40), (400, 300), (90, 70), (257, 129))
TEXTS = (
    "hello world",
    "the quick brown fox",
    "a",
    "hello",
    "the world of the quick and the brown " * 6,
    "the quick brown fox and the hello world",
    "fox",
)
BOUND = 1e-4
Peers = tuple[Path, dict[str, np.ndarray]]


@pytest.fixture(scope="module")
def peers(tmp_path_factory: pytest.TempPathFactory) -> Peers:
    """The folder with both halves, and the vectors of each peer."""
    python = Path(os.environ.get("ONNXEMBED_PEERS") or ROOT / ".venv" / "peers" / "bin" / "python")
    if not python.is_file():
        pytest.skip(f"no peers to compare with: {python} is not there; `make test-full` sets it up")
    folder = tmp_path_factory.mktemp("peers")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [python, "-m", "tests.full.image_peers", folder],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    with np.load(folder / "vectors.npz") as vectors:
        return folder, dict(vectors)


def unit(rows: np.ndarray) -> np.ndarray:
    return np.asarray(rows / np.linalg.norm(rows, axis=-1, keepdims=True))


def image_vectors(peers: Peers, batch_size: int = 16) -> np.ndarray:
    model = ImageEmbedding("Qdrant/clip-ViT-B-32-vision", specific_model_path=peers[0] / "vision")
    images = [picture(width, height, seed=number) for number, (width, height) in enumerate(SIZES)]
    return model.embed_to_array(images, batch_size)


def text_vectors(peers: Peers, batch_size: int = 16) -> np.ndarray:
    model = TextEmbedding("Qdrant/clip-ViT-B-32-text", specific_model_path=peers[0] / "text")
    return model.embed_to_array(TEXTS, batch_size)


@pytest.mark.parametrize("batch_size", [1, 3, 16])
def test_image_half(peers: Peers, batch_size: int) -> None:
    ours = image_vectors(peers, batch_size)
    assert np.abs(ours - unit(peers[1]["images"])).max() <= BOUND
    assert np.abs(ours - peers[1]["fastembed_images"]).max() <= BOUND
    assert np.abs(ours[0] - ours[1]).max() > 100 * BOUND


@pytest.mark.parametrize("batch_size", [1, 3, 16])
def test_text_half(peers: Peers, batch_size: int) -> None:
    ours = text_vectors(peers, batch_size)
    assert np.abs(ours - peers[1]["texts"]).max() <= BOUND
    assert np.abs(ours - peers[1]["fastembed_texts"]).max() <= BOUND


def test_both_halves_lie_in_one_space(peers: Peers) -> None:
    """Cosines of a text with all pictures are the logits of the whole model, without its scale."""
    cosines = image_vectors(peers) @ unit(text_vectors(peers)[1])
    assert np.abs(cosines - peers[1]["cosines"]).max() <= BOUND
    assert np.ptp(cosines) > 0.01
