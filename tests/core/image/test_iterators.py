"""What an iterator hands over may change the moment after: any iterator equals the list of what it showed."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageSequence

from onnxembed.api.inputs import stays
from onnxembed.errors import InputError
from onnxembed.image.inputs import check_images
from onnxembed.image.limits import ImageLimits
from onnxembed.image.loading import load_image
from tests.fixtures.images import encoded, levels, oriented, picture

if TYPE_CHECKING:
    from tests.core.image.conftest import OpenImageVariant

LIMITS = ImageLimits()
Frames = list[Image.Image]


def _frames(count: int, mode: str = "RGB") -> Frames:
    return [picture(20 + number % 3, 16, mode, seed=number) for number in range(count)]


def _refilled_array(frames: Frames, channels: int) -> Iterator[Any]:
    buffer = np.zeros((16, 22, channels), np.uint8)
    for frame in frames:
        view = buffer[:, : frame.width]
        mode = {1: "L", 3: "RGB", 4: "RGBA"}[channels]
        view[...] = np.asarray(frame.convert(mode)).reshape(view.shape)
        yield view
    buffer[...] = 0


def _refilled_bytes(frames: Frames, kind: Callable[[bytearray], Any]) -> Iterator[Any]:
    buffer = bytearray()
    for frame in frames:
        data = encoded(frame, "BMP")  # all about as long
        buffer = buffer if len(buffer) == len(data) else bytearray(len(data))
        buffer[:] = data
        yield kind(buffer)
        buffer[:] = bytes(len(buffer))


def _repainted_image(frames: Frames, mode: str) -> Iterator[Any]:
    canvas = Image.new(mode, (22, 16))
    for frame in frames:
        canvas.paste(frame.convert(mode))
        yield canvas
        ImageDraw.Draw(canvas).rectangle((0, 0, 22, 16), fill=0)


def _pages_of_a_file(frames: Frames, form: str) -> Iterator[Any]:
    first, *rest = (frame.crop((0, 0, 20, 16)) for frame in frames)
    data = encoded(first, form, save_all=True, append_images=rest, **({"lossless": True} if form == "WEBP" else {}))
    return iter(ImageSequence.Iterator(Image.open(io.BytesIO(data))))


def _files_closed_at_once(frames: Frames, form: str) -> Iterator[Any]:
    for frame in frames:
        with Image.open(io.BytesIO(encoded(frame, form))) as opened:
            yield opened
        opened.close()


def _one_file_object(frames: Frames) -> Iterator[Any]:
    file = io.BytesIO()
    for frame in frames:
        file.seek(0)
        file.truncate()
        file.write(encoded(frame))
        yield file


KINDS: dict[str, Callable[[Frames], Iterator[Any]]] = {
    **{f"array {channels}": partial(_refilled_array, channels=channels) for channels in (1, 3, 4)},
    "bytearray": partial(_refilled_bytes, kind=lambda buffer: buffer),
    "memoryview": partial(_refilled_bytes, kind=memoryview),
    **{f"image {mode}": partial(_repainted_image, mode=mode) for mode in ("RGB", "L", "RGBA", "P", "F")},
    **{f"pages {form}": partial(_pages_of_a_file, form=form) for form in ("TIFF", "GIF", "PNG", "WEBP")},
    **{f"closed {form}": partial(_files_closed_at_once, form=form) for form in ("PNG", "BMP", "TIFF", "ICO")},
    "file object": _one_file_object,
}


def _snapshot(shown: Any) -> Image.Image:
    """What is shown at this moment, in memory of its own."""
    return load_image(shown, 0, LIMITS).copy()


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(count=st.integers(1, 7), held=st.integers(1, 9))
def test_any_iterator_equals_the_list_of_what_it_showed(kind: str, count: int, held: int) -> None:
    """Read ahead of the use by any number of items, as windows are."""
    shown = [_snapshot(image) for image in KINDS[kind](_frames(count))]
    taken = iter(check_images(KINDS[kind](_frames(count)), "images", LIMITS).items)
    got: list[Image.Image] = []
    while window := list(islice(taken, held)):
        got += [load_image(one.source, one.index, LIMITS) for one in window]
    assert [image.tobytes() for image in got] == [image.tobytes() for image in shown]
    assert all(image.mode == "RGB" for image in got)


def test_pages_of_a_tiff_have_vectors_of_their_own(open_image_variant: OpenImageVariant, tmp_path: Path) -> None:
    frames = [picture(30, 20, seed=number) for number in range(20)]
    path = tmp_path / "pages.tif"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    model = open_image_variant("clip")
    expected = model.embed_to_array(frames)
    with Image.open(path) as opened:
        got = model.embed_to_array(ImageSequence.Iterator(opened))
    np.testing.assert_allclose(got, expected, atol=1e-6)
    assert len(np.unique(got.round(4), axis=0)) == 20


def test_a_refilled_array_through_the_model(open_image_variant: OpenImageVariant) -> None:
    model = open_image_variant("clip")
    frames = [levels(30, 20, seed=number) for number in range(40)]

    def refilled() -> Iterator[np.ndarray]:
        buffer = np.empty_like(frames[0])
        for frame in frames:
            buffer[:] = frame
            yield buffer

    np.testing.assert_allclose(model.embed_to_array(refilled()), model.embed_to_array(frames), atol=1e-6)


class _Lazy(list):  # type: ignore[type-arg]
    """A list by type that makes its items as it is read."""

    def __iter__(self) -> Iterator[Any]:
        return _refilled_array(_frames(len(self)), 3)


def test_lists_stay_and_what_only_looks_like_one_does_not() -> None:
    assert stays([1])
    assert stays((1,))
    assert not stays(iter([1]))
    assert not stays(_Lazy([1]))
    assert not stays({1: 2})
    images = [one.source for one in check_images(_Lazy([None] * 3), "images", LIMITS).items]
    arrays = [np.asarray(load_image(image, 0, LIMITS)) for image in images]
    assert all((array == np.asarray(frame)).all() for array, frame in zip(arrays, _frames(3), strict=True))


def test_lists_are_not_copied() -> None:
    array, image = levels(20, 10), picture(20, 10)
    sources = [one.source for one in check_images([array, image], "images", LIMITS).items]
    assert sources[0] is array
    assert sources[1] is image


def test_orientation_survives_the_copy() -> None:
    for form in ("JPEG", "PNG", "TIFF", "WEBP"):
        data = oriented(picture(30, 20), 6, form)
        expected = load_image(data, 0, LIMITS)
        (one,) = check_images(iter([Image.open(io.BytesIO(data))]), "images", LIMITS).items
        got = load_image(one.source, 0, LIMITS)
        assert got.size == (20, 30)
        assert got.tobytes() == expected.tobytes()
    edited = picture(30, 20)
    edited.getexif()[0x0112] = 6
    (one,) = check_images(iter([edited]), "images", LIMITS).items
    assert load_image(one.source, 0, LIMITS).size == (20, 30)


def test_what_is_too_large_is_refused_before_it_is_copied() -> None:
    huge = np.broadcast_to(np.zeros((1, 1, 3), np.uint8), (100_000, 100_000, 3))
    (one,) = check_images(iter([huge]), "images", LIMITS).items
    with pytest.raises(InputError, match=r"image 0 .* has 100000 x 100000 pixels"):
        load_image(one.source, 0, LIMITS)
    (one,) = check_images(iter([bytearray(101)]), "images", ImageLimits(max_bytes=100)).items
    with pytest.raises(InputError, match=r"image 0 \(bytes\) has more than 100 bytes"):
        load_image(one.source, 0, LIMITS)
