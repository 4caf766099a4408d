"""One bad picture need not end a stream: its place stays, and its index and the reason are told."""

from __future__ import annotations

import gc
import io
import logging
import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from onnxembed import SkippedImage
from onnxembed.errors import InputError, InputTypeError
from onnxembed.image.failures import attempted
from onnxembed.image.model import ImageEmbedding
from onnxembed.runtime.session import Session
from tests.fixtures.images import encoded, picture

if TYPE_CHECKING:
    from tests.core.image.conftest import OpenImageVariant

GOOD = encoded(picture(40, 30))
CUT = GOOD[:60]
# Position: what is wrong there, in order.
BAD: dict[int, Any] = {
    0: CUT,
    3: "absent.png",
    4: float("nan"),  # a hole in a column of a table
    5: np.zeros((4, 4)),
    9: b"",
    12: Image.open(io.BytesIO(CUT)),
    16: None,
}


@pytest.fixture
def model(open_image_variant: OpenImageVariant) -> ImageEmbedding:
    return open_image_variant("clip")


def given() -> list[Any]:
    images = [encoded(picture(40, 30, seed=number)) for number in range(17)]
    return [BAD.get(number, image) for number, image in enumerate(images)]


@pytest.mark.parametrize("batch_size", [1, 4, 16])
@pytest.mark.parametrize("kind", [list, tuple, iter])
def test_results_stay_aligned(
    model: ImageEmbedding, batch_size: int, kind: Any, caplog: pytest.LogCaptureFixture
) -> None:
    expected = model.embed_to_array([image for number, image in enumerate(given()) if number not in BAD])
    with caplog.at_level(logging.WARNING, "onnxembed"):
        got = list(model.embed(kind(given()), batch_size, on_error="skip"))
    assert [number for number, vector in enumerate(got) if vector is None] == list(BAD)
    np.testing.assert_allclose([vector for vector in got if vector is not None], expected, atol=1e-6)
    told = [record.getMessage() for record in caplog.records if record.name == "onnxembed.image"]
    assert [message.split(" (")[0].split(" is ")[0] for message in told] == [
        f"skipped: image {number}" for number in BAD
    ]


def test_a_function_is_told_in_place_of_the_log(model: ImageEmbedding, caplog: pytest.LogCaptureFixture) -> None:
    failures: list[SkippedImage] = []
    vectors = model.embed(given(), on_error=failures.append)
    assert next(vectors) is None
    assert [failure.index for failure in failures] == [0]  # each when its turn comes
    assert len(list(vectors)) == 16
    assert [failure.index for failure in failures] == list(BAD)
    assert "cannot be decoded as PNG" in str(failures[0].error)
    assert isinstance(failures[2].error, InputTypeError)
    assert not caplog.records


def test_failures_that_are_kept_keep_no_pictures(model: ImageEmbedding) -> None:
    class Marked(io.BytesIO):
        pass

    failures: list[SkippedImage] = []
    file = Marked(CUT)
    seen = weakref.ref(file)
    images: list[Any] = [file, GOOD]
    del file
    list(model.embed(iter(images), on_error=failures.append))
    images.clear()
    gc.collect()
    assert seen() is None
    assert failures[0].error.__traceback__ is None
    assert failures[0].error.__cause__ is None


def test_an_array_has_rows_of_nan(model: ImageEmbedding) -> None:
    got = model.embed_to_array([GOOD, CUT, GOOD], on_error="skip")
    assert np.isnan(got[1]).all()
    np.testing.assert_allclose(got[[0, 2]], model.embed_to_array([GOOD, GOOD]), atol=1e-6)
    assert np.isnan(model.embed_to_array([CUT], on_error="skip")).all()


async def test_twins(model: ImageEmbedding) -> None:
    got = [vector async for vector in model.aembed([GOOD, CUT, GOOD], on_error="skip")]
    assert [vector is None for vector in got] == [False, True, False]
    assert np.isnan((await model.aembed_to_array([CUT, GOOD], on_error="skip"))[0]).all()


def test_a_stream_goes_on(model: ImageEmbedding) -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield GOOD
            yield CUT

    vectors = model.embed(endless(), batch_size=4, on_error="skip")
    assert [next(vectors) is None for _ in range(200)] == [False, True] * 100
    vectors.close()  # type: ignore[attr-defined]


def test_pictures_of_varying_size(open_image_variant: OpenImageVariant) -> None:
    for name in ("open_size", "one_by_one", "resnet50"):
        got = list(open_image_variant(name).embed([CUT, GOOD, b"", CUT, GOOD], on_error="skip"))
        assert [vector is None for vector in got] == [True, False, True, True, False]


def test_by_default_it_raises_and_keeps_the_cause(model: ImageEmbedding) -> None:
    with pytest.raises(InputError, match=r"^image 1 ") as caught:
        list(model.embed([GOOD, CUT, GOOD]))
    assert caught.value.__cause__ is not None


def test_what_is_no_picture_s_fault_is_raised(model: ImageEmbedding, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputTypeError, match="images is None"):
        model.embed(None, on_error="skip")  # type: ignore[call-overload]

    def broken() -> Iterator[bytes]:
        yield GOOD
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(model.embed(broken(), on_error="skip"))
    with pytest.raises(KeyError):
        list(model.embed([CUT], on_error=lambda failure: dict[int, int]()[failure.index]))

    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Session, "run", fail)
    with pytest.raises(MemoryError):
        list(model.embed([GOOD], on_error="skip"))


@pytest.mark.parametrize(
    ("on_error", "error", "message"),
    [
        ("skp", InputError, r"on_error='skp'; expected \"raise\", \"skip\", or a function .*Did you mean 'skip'"),
        ("ignore", InputError, "on_error='ignore'"),
        (None, InputTypeError, "on_error=None is None"),
        (True, InputTypeError, "on_error=True is a bool"),
    ],
)
def test_bad_choices(model: ImageEmbedding, on_error: Any, error: type[Exception], message: str) -> None:
    for method in (model.embed, model.aembed, model.embed_to_array):
        with pytest.raises(error, match=message):
            method([GOOD], on_error=on_error)


def test_errors_of_transforms_name_the_image() -> None:
    def thin() -> None:
        raise InputError("an image of 30000 x 1 pixels would be scaled")

    with pytest.raises(InputError, match=r"^image 1: an image of 30000 x 1 pixels"):
        attempted(thin, 1, skips=False)
    skipped = attempted(thin, 1, skips=True)
    assert isinstance(skipped, SkippedImage)
    assert str(skipped.error).startswith("image 1: ")
