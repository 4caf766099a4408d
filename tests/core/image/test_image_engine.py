"""What the engine makes of graphs of every form, and how a call runs: order, threads, memory, errors in the middle."""

from __future__ import annotations

import gc
import io
import threading
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from onnxembed.api.engine import LoadedGraph
from onnxembed.api.graph_file import GraphFile
from onnxembed.errors import InputError, ModelError
from onnxembed.formats.onnx_graph import TensorInfo
from onnxembed.image import work as work_module
from onnxembed.image.graph import ImageGraph, image_graph, pool
from onnxembed.image.loading import load_image
from onnxembed.image.spec import ImageModel
from onnxembed.image.work import image_limits
from onnxembed.runtime.batching import RunPlan
from onnxembed.runtime.cpu import usable_cpus
from onnxembed.runtime.sessions import Sessions
from onnxembed.spec import PoolingType
from tests.fixtures.image_models import HIDDEN, SIZES, pictures
from tests.fixtures.images import encoded, levels, picture
from tests.fixtures.spies import spied

if TYPE_CHECKING:
    from tests.core.image.conftest import OpenImageVariant


def unit(rows: np.ndarray) -> np.ndarray:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def test_pooling() -> None:
    tokens = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    np.testing.assert_array_equal(pool(tokens, PoolingType.CLS), [[0, 1, 2, 3], [12, 13, 14, 15]])
    np.testing.assert_array_equal(pool(tokens, PoolingType.MEAN), [[4, 5, 6, 7], [16, 17, 18, 19]])
    np.testing.assert_array_equal(pool(tokens.reshape(2, 3, 2, 2), PoolingType.MEAN)[0], [1.5, 5.5, 9.5])
    np.testing.assert_array_equal(pool(tokens.reshape(2, 12, 1, 1), PoolingType.DISABLED), tokens.reshape(2, 12))
    np.testing.assert_array_equal(pool(tokens.reshape(2, 1, 12), PoolingType.DISABLED), tokens.reshape(2, 12))
    np.testing.assert_array_equal(pool(tokens.reshape(2, 12), PoolingType.CLS), tokens.reshape(2, 12))


@pytest.mark.parametrize(
    ("shape", "pooling"),
    [((2, 3, 4), PoolingType.DISABLED), ((2, 12), PoolingType.MEAN), ((2, 3, 2, 2), PoolingType.CLS), ((2,), "CLS")],
)
def test_pooling_that_does_not_fit(shape: tuple[int, ...], pooling: PoolingType) -> None:
    with pytest.raises(ModelError, match=r"does not fit the graph's output of shape \[2"):
        pool(np.zeros(shape, np.float32), PoolingType(pooling))


@pytest.mark.parametrize(
    ("taken", "message"),
    [
        (TensorInfo("x", 1, ("batch", 4, 24, 24)), "takes 4 channels"),
        (TensorInfo("x", 1, ("batch", 3, 24)), "'x' has 3 axes"),
        (TensorInfo("x", 7, ("batch", 3, 24, 24)), r"takes x \(element type 7\)"),
    ],
)
def test_graphs_that_take_no_pictures(taken: TensorInfo, message: str) -> None:
    file = GraphFile(
        Path("model.onnx"), (taken,), (TensorInfo("y", 1, None),), compiled=False, dynamically_quantized=False
    )
    with pytest.raises(ModelError, match=message):
        image_graph(LoadedGraph(Sessions(()), file, 1), ImageModel("m", (), 1), (24, 24))


def test_graph_that_states_no_shapes_is_taken_at_its_word() -> None:
    outputs = (TensorInfo("y", 1, None),)
    file = GraphFile(
        Path("model.onnx"), (TensorInfo("x", 11, None),), outputs, compiled=False, dynamically_quantized=False
    )
    graph = image_graph(LoadedGraph(Sessions(()), file, 1), ImageModel("m", (), 1), (24, 24))
    assert (graph.input, graph.output, graph.precision, graph.one_by_one) == ("x", "y", np.float64, False)


def test_pictures_of_varying_size_run_with_their_like(open_image_variant: OpenImageVariant) -> None:
    model = open_image_variant("open_size")
    given = [*pictures(), *reversed(pictures())]
    together = model.embed_to_array(given)
    alone = np.stack([next(model.embed(image)) for image in given])
    np.testing.assert_allclose(together, alone, atol=1e-6)
    assert np.abs(together[0] - together[1]).max() > 1e-3


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pictures each run takes."""
    sizes: list[int] = []
    noted = spied(ImageGraph.run, lambda graph, pixels, worker, **named: sizes.append(len(pixels)))
    monkeypatch.setattr(ImageGraph, "run", noted)
    return sizes


def test_graph_that_takes_one_picture_at_a_time(open_image_variant: OpenImageVariant, batches: list[int]) -> None:
    vectors = open_image_variant("one_by_one").embed_to_array(pictures())
    assert set(batches) == {1}
    np.testing.assert_allclose(vectors[[0]], vectors[[6]], atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_float16_in_and_out(open_image_variant: OpenImageVariant) -> None:
    vectors = open_image_variant("float16", normalize=False).embed_to_array(pictures())
    assert vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors, vectors.astype(np.float16).astype(np.float32))
    scaled = open_image_variant("float16").embed_to_array(pictures())
    np.testing.assert_allclose(scaled, unit(vectors), atol=1e-3)


def test_feature_map_is_averaged(open_image_variant: OpenImageVariant) -> None:
    vectors = open_image_variant("map").embed_to_array(pictures())
    assert vectors.shape == (len(SIZES), HIDDEN)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_quantised_graph_runs_alone(open_image_variant: OpenImageVariant, batches: list[int]) -> None:
    open_image_variant("nomic_q").embed_to_array(pictures())
    assert set(batches) == {1}
    open_image_variant("nomic").embed_to_array(pictures())
    assert max(batches) > 1


def test_normalize_overrides_the_catalogue(open_image_variant: OpenImageVariant) -> None:
    raw = open_image_variant("clip", normalize=False).embed_to_array(pictures())
    assert np.abs(np.linalg.norm(raw, axis=1) - 1).min() > 0.01
    np.testing.assert_allclose(open_image_variant("clip").embed_to_array(pictures()), unit(raw), atol=1e-6)


def test_stream_reads_few_images_ahead(open_image_variant: OpenImageVariant) -> None:
    model = open_image_variant("clip")
    read = 0

    def endless() -> Iterator[Image.Image]:
        nonlocal read
        while True:
            read += 1
            yield picture(30, 30, seed=read % 5)

    vectors = model.embed(endless(), batch_size=4)
    for _ in range(8):
        next(vectors)
    assert isinstance(vectors, Generator)
    vectors.close()
    assert read <= 32


@pytest.mark.parametrize(("batch_size", "at_once", "window"), [(1, 1, 2), (16, 1, 32), (16, 3, 64), (500, 2, 1500)])
def test_windows_hold_a_batch_for_each_thread(batch_size: int, at_once: int, window: int) -> None:
    """One thread prepares a batch while the others run theirs, so there are always two batches at least."""
    limits = image_limits(RunPlan(budget=9), batch_size, at_once)
    assert (limits.window_items, limits.max_items, limits.workers, limits.budget) == (
        window,
        batch_size,
        at_once + 1,
        9,
    )
    assert image_limits(RunPlan(budget=9, one_by_one=True), batch_size, at_once).max_items == 1


def test_window_ends_where_arrays_fill_the_memory(
    open_image_variant: OpenImageVariant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("onnxembed.image.work.WINDOW_BYTES", 30_000)
    array = levels(100, 100)
    read = 0

    def arrays() -> Iterator[np.ndarray]:
        nonlocal read
        for _ in range(40):
            read += 1
            yield array

    vectors = open_image_variant("clip").embed(arrays())
    next(vectors)
    assert read <= 4
    assert len(list(vectors)) == 39


def test_next_batch_is_prepared_while_one_runs(
    open_image_variant: OpenImageVariant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that waits until a picture of the next batch is loaded ends, for another thread loads it."""
    model = open_image_variant("clip")
    loaded: list[int] = []
    third = threading.Event()

    def noting(source: Any, index: int, *rest: Any, **named: Any) -> Any:
        loaded.append(index)
        if index >= 2:
            third.set()
        return load_image(source, index, *rest, **named)

    monkeypatch.setattr(work_module, "load_image", noting)
    run = ImageGraph.run

    def waiting(*arguments: Any, **named: Any) -> Any:
        assert third.wait(20)
        return run(*arguments, **named)

    monkeypatch.setattr(ImageGraph, "run", waiting)
    assert len(list(model.embed(pictures()[:4], batch_size=2))) == 4
    assert sorted(loaded) == [0, 1, 2, 3]


def test_bad_picture_in_the_middle_names_itself_and_leaves_all_sound(
    open_image_variant: OpenImageVariant, tmp_path: Path
) -> None:
    model = open_image_variant("clip")
    good = encoded(picture(40, 30))
    (tmp_path / "broken.png").write_bytes(good[:60])
    given: list[Any] = [good] * 9 + [tmp_path / "broken.png"] + [good] * 9
    before = threading.active_count()
    vectors = model.embed(iter(given), batch_size=2)
    got = [next(vectors) for _ in range(8)]
    with pytest.raises(InputError, match=r"image 9 \('.*broken\.png'\) cannot be decoded as PNG"):
        list(vectors)
    gc.collect()
    assert threading.active_count() <= max(before, 1) + usable_cpus()
    np.testing.assert_allclose(next(model.embed(good)), got[0], atol=1e-6)


def test_the_first_of_several_bad_pictures_is_told(open_image_variant: OpenImageVariant) -> None:
    given = [encoded(picture(40, 30)), b"GIF89a?", b"no picture", b"BM"]
    for _ in range(5):
        with pytest.raises(InputError, match=r"^image 1 \(bytes\)"):
            list(open_image_variant("clip").embed(given))


def test_file_objects_are_read_before_their_owner_closes_them(
    open_image_variant: OpenImageVariant, tmp_path: Path
) -> None:
    model = open_image_variant("clip")
    for number in range(5):
        (tmp_path / f"{number}.png").write_bytes(encoded(picture(40, 30, seed=number)))

    def opened() -> Iterator[io.BufferedReader]:
        for number in range(5):
            with (tmp_path / f"{number}.png").open("rb") as file:
                yield file

    expected = model.embed_to_array([tmp_path / f"{number}.png" for number in range(5)])
    np.testing.assert_allclose(model.embed_to_array(opened()), expected, atol=1e-6)


def test_file_object_keeps_its_name_in_messages(open_image_variant: OpenImageVariant, tmp_path: Path) -> None:
    (tmp_path / "odd.png").write_bytes(encoded(picture(40, 30))[:50])
    with (
        (tmp_path / "odd.png").open("rb") as file,
        pytest.raises(InputError, match=r"image 1 \(a BufferedReader of '.*odd\.png'\) cannot be decoded"),
    ):
        list(open_image_variant("clip").embed([encoded(picture(40, 30)), file]))
