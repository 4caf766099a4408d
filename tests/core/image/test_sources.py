"""What an image may come from, and what is said when it cannot: neighbours of a path."""

from __future__ import annotations

import array
import base64
import collections
import io
import tempfile
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_from_bytes

import numpy as np
import pytest
from PIL import Image

from onnxembed.errors import InputError, InputTypeError
from onnxembed.image.inputs import check_images
from onnxembed.image.limits import ImageLimits
from onnxembed.image.loading import load_image
from tests.fixtures.images import encoded, levels, picture

if TYPE_CHECKING:
    from onnxembed.image.model import ImageEmbedding
    from tests.core.image.conftest import OpenImageVariant

LIMITS = ImageLimits()
PNG = encoded(picture(30, 20))
PIXELS = levels(30, 20)


@pytest.fixture
def model(open_image_variant: OpenImageVariant) -> ImageEmbedding:
    return open_image_variant("clip")


def load(source: object) -> np.ndarray[Any, Any]:
    return np.asarray(load_image(source, 0, LIMITS))


def refusal(source: object, limits: ImageLimits = LIMITS) -> str:
    with pytest.raises((InputError, InputTypeError)) as caught:
        load_image(source, 3, limits)
    return str(caught.value)


# file objects


def test_a_file_object_at_its_end_is_rewound(tmp_path: Path) -> None:
    written = io.BytesIO()
    picture(30, 20).save(written, "PNG")
    np.testing.assert_array_equal(load(written), PIXELS)
    np.testing.assert_array_equal(load(written), PIXELS)
    with tempfile.SpooledTemporaryFile() as spooled:  # what frameworks keep uploads in
        spooled.write(PNG)
        np.testing.assert_array_equal(load(spooled), PIXELS)
        np.testing.assert_array_equal(load(spooled), PIXELS)
    with (tmp_path / "a.png").open("w+b") as file:
        file.write(PNG)
        np.testing.assert_array_equal(load(file), PIXELS)


def test_what_cannot_be_rewound_is_empty() -> None:
    class Pipe(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:  # the form
            return b""

    assert "is empty, 0 bytes" in refusal(Pipe())
    assert "is empty, 0 bytes" in refusal(io.BytesIO())


class Upload:
    """As web frameworks hand over uploads."""

    def __init__(self, file: object) -> None:
        if file is not None:
            self.file = file

    async def read(self, size: int = -1) -> bytes:  # the form
        return b""


def test_uploads_of_web_frameworks() -> None:
    file = io.BytesIO(PNG)
    file.read()
    np.testing.assert_array_equal(load(Upload(file)), PIXELS)
    assert "is read with await; pass the bytes, as in await upload.read()" in refusal(Upload(None))


def test_file_objects_fail_in_our_words() -> None:
    class Broken:
        def read(self, size: int) -> bytes:
            raise EOFError(f"no {size}")

    assert "(a Broken) cannot be read: no 1048576; open it anew" in refusal(Broken())
    view = memoryview(PNG)
    view.release()
    assert "(bytes) cannot be read" in refusal(view)


def test_a_released_view_among_others(model: ImageEmbedding) -> None:
    view = memoryview(PNG)
    view.release()
    with pytest.raises(InputError, match="image 1 "):
        list(model.embed([PNG, view]))  # type: ignore[list-item]


# file: URIs


def test_file_uris(tmp_path: Path) -> None:
    path = tmp_path / "a cat #1 50% ä.png"
    path.write_bytes(PNG)
    for uri in (
        path.as_uri(),
        path.as_uri().replace("file://", "file://localhost"),
        path.as_uri().replace("file://", "file:"),
        path.as_uri().replace("file:", "FILE:"),
    ):
        np.testing.assert_array_equal(load(uri), PIXELS)
    assert "does not exist" in refusal((tmp_path / "absent.png").as_uri())
    assert "only file: URIs of this machine are read" in refusal("file://server/share/cat.png")
    assert "cannot be read" in refusal("file:///a%00b.png")


def test_names_that_begin_like_a_uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file:cat.png").write_bytes(PNG)
    np.testing.assert_array_equal(load("file:cat.png"), PIXELS)


# data: URIs and base64


def test_a_percent_encoded_uri_takes_little_memory() -> None:
    uri = "data:image/png," + quote_from_bytes(bytes(400_000))
    tracemalloc.start()
    message = refusal(uri)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "is no picture of a known format" in message
    assert peak < 8_000_000


def test_base64_with_a_space_after_each_letter_takes_little_memory() -> None:
    uri = "data:image/png;base64," + " ".join(base64.b64encode(bytes(300_000)).decode())
    tracemalloc.start()
    refusal(uri)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8_000_000


@pytest.mark.parametrize("cut", [1, 2, 3, 5, 7, 16])
def test_percent_encoding_is_undone_at_every_border(monkeypatch: pytest.MonkeyPatch, cut: int) -> None:
    monkeypatch.setattr("onnxembed.image.sources._CHUNK_CHARACTERS", max(cut, 3))
    np.testing.assert_array_equal(load("data:image/png," + quote_from_bytes(PNG)), PIXELS)
    np.testing.assert_array_equal(
        load("data:;base64," + base64.b64encode(PNG).decode().replace("+", "%2B").replace("=", "%3d")), PIXELS
    )
    np.testing.assert_array_equal(load("data:," + "".join(f"%{byte:02x}" for byte in PNG)), PIXELS)


def test_the_limit_holds_for_percent_encoding() -> None:
    uri = "data:," + quote_from_bytes(PNG)
    assert load_image(uri, 0, ImageLimits(max_bytes=len(PNG))).size == (30, 20)
    assert "has more than" in refusal(uri, ImageLimits(max_bytes=len(PNG) - 1))


def test_a_uri_with_characters_that_no_uri_has() -> None:
    assert "holds a character that no URI can, at position 3" in refusal("data:,abc\ud800")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WebP", "GIF"])
def test_base64_without_data_is_recognised(kind: str, model: ImageEmbedding) -> None:
    data = encoded(picture(60, 60), kind.upper())
    for part in (data, data[:60]):
        text = base64.b64encode(part).decode()
        assert refusal(text) == (
            f"image 3 (a string) is a {kind} picture in base64 and was taken for a path; put "
            f"'data:image/{kind.lower()};base64,' in front, or pass base64.b64decode(...) of it"
        )
        with pytest.raises(InputError, match="in base64"):
            list(model.embed([text]))
    assert f"is a {kind} picture in base64" in refusal(base64.b64encode(data))
    assert "is a data URI in bytes" in refusal(b"data:image/png;base64,iVBORw0K")


def test_long_paths_are_no_base64(tmp_path: Path) -> None:
    assert "does not exist" in refusal("/" + "abcdefgh/" * 20 + "cat")
    assert "in base64" not in refusal("Qk" + "a" * 100)


# PIL images and containers


def closed_images(folder: Path) -> dict[str, Image.Image]:
    path = folder / "a.png"
    path.write_bytes(PNG)
    images = {}
    images["in memory"] = picture(30, 20)
    images["in memory"].close()
    with Image.open(path) as images["of a path"]:
        pass
    images["loaded"] = Image.open(path)
    images["loaded"].load()
    images["loaded"].close()
    with path.open("rb") as file:
        images["of a file"] = Image.open(file)
    with Image.open(io.BytesIO(encoded(picture(30, 20).quantize(), "GIF", save_all=True))) as images["of frames"]:
        pass
    images["of frames"].close()
    return images


@pytest.mark.parametrize("kind", ["in memory", "of a path", "loaded", "of a file", "of frames"])
def test_a_closed_image_is_said_to_be_closed(tmp_path: Path, kind: str) -> None:
    message = refusal(closed_images(tmp_path)[kind])
    assert message.startswith("image 3 (a PIL image) is closed; ")
    assert "damaged" not in message


def test_arrays_that_wrap_one_value(model: ImageEmbedding) -> None:
    for value in ("a.png", 5, PNG):
        with pytest.raises(InputTypeError, match=r"images is an array of no dimensions .*array\.item\(\)"):
            model.embed(np.array(value))
        with pytest.raises(InputTypeError, match=r"image 1 is an array of no dimensions"):
            model.embed([PNG, np.array(value)])


def test_arrays_of_paths_are_collections(model: ImageEmbedding, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    name = str(tmp_path / "a.png")
    expected = model.embed_to_array([PNG, PNG])
    for given in (np.array([name, name]), np.array([name, PNG], dtype=object)):
        np.testing.assert_allclose(model.embed_to_array(given), expected, atol=1e-6)
    assert "pass array.tobytes()" in refusal(np.frombuffer(PNG, np.uint8))


class Table:
    """As data frames are: iterating gives the names of columns."""

    columns = ("image", "text")

    def __iter__(self) -> Any:
        return iter(self.columns)


@pytest.mark.parametrize(
    "table",
    [{"image": PNG}, collections.UserDict(image=PNG), collections.ChainMap({"image": PNG}), Table()],
    ids=["dict", "UserDict", "ChainMap", "DataFrame"],
)
@pytest.mark.parametrize("on_error", ["raise", "skip"])
def test_mappings_and_tables(model: ImageEmbedding, table: Any, on_error: Any) -> None:
    for method in (model.embed, model.aembed, model.embed_to_array):
        with pytest.raises(InputTypeError, match=r"Pass one column of it, such as images\['image'\]"):
            method(table, on_error=on_error)


def test_series_are_taken(model: ImageEmbedding) -> None:
    pandas = pytest.importorskip("pandas")
    np.testing.assert_allclose(
        model.embed_to_array(pandas.Series([PNG, PNG])), model.embed_to_array([PNG, PNG]), atol=1e-6
    )
    with pytest.raises(InputTypeError, match=r"images is a DataFrame; .*images\['image'\]"):
        model.embed(pandas.DataFrame({"image": [PNG]}))


def test_other_buffers_are_refused(model: ImageEmbedding) -> None:
    with pytest.raises(InputTypeError, match="image 0 is an int"):
        list(model.embed(array.array("B", PNG)))  # type: ignore[arg-type]
    assert check_images([], "images", LIMITS).empty
