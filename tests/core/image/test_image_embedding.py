"""`ImageEmbedding` as users meet it: inputs, arguments, state."""

from __future__ import annotations

import asyncio
import base64
import copy
import io
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from onnxembed.errors import InputError, InputTypeError, ModelNotFoundError, UnknownModelError
from onnxembed.image.model import ImageEmbedding
from onnxembed.image.processor_config import read_processor
from onnxembed.spec import ModelSource, PoolingType
from tests.fixtures.image_models import HIDDEN, image_variant, pictures
from tests.fixtures.images import encoded, picture

if TYPE_CHECKING:
    from tests.core.image.conftest import ImageFolderOf, OpenImageVariant


@pytest.fixture
def model(open_image_variant: OpenImageVariant) -> ImageEmbedding:
    return open_image_variant("clip")


def test_every_form_of_one_image_gives_one_vector(model: ImageEmbedding, tmp_path: Path) -> None:
    image = picture(50, 40, seed=2)
    data = encoded(image)
    path = tmp_path / "cat.png"
    path.write_bytes(data)
    forms: list[Any] = [
        image,
        np.asarray(image),
        data,
        bytearray(data),
        memoryview(data),
        path,
        str(path),
        io.BytesIO(data),
        "data:image/png;base64," + base64.b64encode(data).decode(),
    ]
    expected = model.embed_to_array(image)
    assert expected.shape == (1, HIDDEN)
    for form in forms:
        np.testing.assert_allclose(model.embed_to_array(form), expected, atol=1e-6)
    forms[-2] = io.BytesIO(data)
    np.testing.assert_allclose(model.embed_to_array(forms), np.repeat(expected, len(forms), axis=0), atol=1e-6)
    np.testing.assert_allclose(model.embed_to_array({path}), expected, atol=1e-6)


def test_no_images_load_no_model(image_folder: ImageFolderOf) -> None:
    lazy = ImageEmbedding(image_folder("clip"), lazy_load=True, threads=1)
    assert list(lazy.embed([])) == []
    assert lazy.embed_to_array(()).shape == (0, HIDDEN)
    assert not lazy.loaded
    next(lazy.embed(picture(30, 30)))
    assert lazy.loaded
    assert list(lazy.embed(iter(()))) == []


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (None, "images is None; expected an image or an iterable of images"),
        (5, "images is an int; expected an image"),
        ({"a.png": 1}, "images is a dict"),
        (["a.png", 7], "image 1 is an int; expected a path, bytes"),
        ((None,), "image 0 is None; expected a path"),
        ([["a.png"]], "image 0 is a list"),
    ],
)
def test_wrong_types_are_told_at_the_call(model: ImageEmbedding, images: Any, message: str) -> None:
    for method in (model.embed, model.embed_to_array, model.aembed):
        with pytest.raises(InputTypeError, match=message):
            method(images)


def test_wrong_type_in_a_generator_is_told_as_it_is_read(model: ImageEmbedding) -> None:
    images: list[Any] = [picture(30, 30), 3]
    vectors = model.embed(iter(images))
    with pytest.raises(InputTypeError, match="image 1 is an int"):
        list(vectors)


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        ("no such file.png", InputError, r"image 1 \('no such file\.png'\) does not exist"),
        ("http://example.com/cat.png", InputError, r"image 1 \(URL .*\) is a URL, .* allow_urls=True"),
        (b"", InputError, r"image 1 \(bytes\) is empty"),
        (np.zeros((4, 4, 3), np.float32), InputTypeError, r"image 1 \(an array\) has dtype float32"),
        (np.zeros((2, 4, 4, 3), np.uint8), InputError, r"shape \(2, 4, 4, 3\).*list\(array\)"),
    ],
)
def test_bad_images_are_named(model: ImageEmbedding, image: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        list(model.embed([picture(30, 30), image]))


def test_private_addresses_are_refused_even_where_urls_are_allowed(open_image_variant: OpenImageVariant) -> None:
    model = open_image_variant("clip", allow_urls=True, timeout_seconds=5)
    with pytest.raises(InputError, match=r"image 1 .*127\.0\.0\.1 is not on the public internet"):
        list(model.embed([picture(30, 30), "http://127.0.0.1:9/cat.png", picture(30, 30)]))


def test_limits(open_image_variant: OpenImageVariant, monkeypatch: pytest.MonkeyPatch) -> None:
    small = open_image_variant("clip", max_pixels=1000)
    with pytest.raises(InputError, match=r"image 0 .* has 40 x 30 pixels, more than the limit of 1000"):
        list(small.embed(picture(40, 30)))
    monkeypatch.setattr("onnxembed.api.engine.Session", None)  # limits are of the call, the weights are shared
    short = open_image_variant("clip", max_bytes=100)
    with pytest.raises(InputError, match=r"image 0 .* has more than 100 bytes"):
        list(short.embed(io.BytesIO(encoded(picture(40, 30)))))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"max_pixels": 0}, InputError, "max_pixels must be >= 1"),
        ({"max_bytes": 1.5}, InputTypeError, "max_bytes=1.5 is a float"),
        ({"allow_urls": "no"}, InputTypeError, "allow_urls='no'"),
        ({"timeout_seconds": 0}, InputError, "timeout_seconds=0"),
        ({"normalize": 1}, InputTypeError, "normalize=1"),
        ({"threads": 0}, InputError, "threads must be >= 1"),
        (
            {"model_name": "Qdrant/clip-ViT-B-32-visoin"},
            UnknownModelError,
            "Did you mean 'Qdrant/clip-ViT-B-32-vision'",
        ),
        ({"model_name": "./nowhere"}, ModelNotFoundError, "does not exist"),
    ],
)
def test_bad_arguments(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        ImageEmbedding(lazy_load=True, **options)


@pytest.mark.parametrize(
    ("arguments", "message"), [((0,), "batch_size must be >= 1"), ((4, -1), "parallel must be >= 0")]
)
def test_bad_arguments_of_a_call(model: ImageEmbedding, arguments: tuple[int, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        model.embed(picture(30, 30), *arguments)


async def test_asynchronous_twins(model: ImageEmbedding) -> None:
    expected = model.embed_to_array(pictures())
    np.testing.assert_allclose([vector async for vector in model.aembed(pictures())], expected, atol=1e-6)
    np.testing.assert_allclose(await model.aembed_to_array(iter(pictures()), batch_size=2), expected, atol=1e-6)
    several = await asyncio.gather(*(model.aembed_to_array(pictures()) for _ in range(6)))
    assert max(float(np.abs(one - expected).max()) for one in several) <= 1e-6
    assert await model.run_async(lambda: 7) == 7
    assert model.max_concurrency >= 2


def test_many_threads_share_one_model(model: ImageEmbedding) -> None:
    expected = model.embed_to_array(pictures())
    shared = pictures()
    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(lambda _: model.embed_to_array(shared, batch_size=2), range(12)))
    assert max(float(np.abs(result - expected).max()) for result in results) <= 1e-6


def test_options_make_the_same_model_again(image_folder: ImageFolderOf, monkeypatch: pytest.MonkeyPatch) -> None:
    one = ImageEmbedding(
        specific_model_path=image_folder("clip"), threads=1, normalize=False, allow_urls=True, max_pixels=10_000,
        max_bytes=5_000, timeout_seconds=3.5,
    )  # fmt: skip
    told = one.options
    assert told["model_name"] == "Qdrant/clip-ViT-B-32-vision"
    assert (told["max_pixels"], told["max_bytes"], told["timeout_seconds"]) == (10_000, 5_000, 3.5)
    assert (told["normalize"], told["allow_urls"], told["threads"]) == (False, True, 1)
    monkeypatch.setattr("onnxembed.api.engine.Session", None)  # no weights are loaded again
    again = ImageEmbedding(**told)
    assert again.options == told
    assert again.loaded


def test_copies_and_pickles(model: ImageEmbedding) -> None:
    assert copy.copy(model) is model
    assert copy.deepcopy([model])[0] is model
    packed = pickle.dumps(model)
    assert len(packed) < 3000
    again = pickle.loads(packed)
    np.testing.assert_array_equal(again.embed_to_array(pictures()), model.embed_to_array(pictures()))
    assert repr(again) == "ImageEmbedding('Qdrant/clip-ViT-B-32-vision')"


def _in_child(model: ImageEmbedding) -> Any:
    return model.embed_to_array(pictures())


def test_other_process(model: ImageEmbedding) -> None:
    expected = model.embed_to_array(pictures())
    with get_context("spawn").Pool(1) as pool:
        np.testing.assert_allclose(pool.apply(_in_child, (model,)), expected, atol=1e-6)


def test_description_and_size(model: ImageEmbedding, image_folder: ImageFolderOf) -> None:
    told = model.description
    assert told["model"] == "Qdrant/clip-ViT-B-32-vision"
    assert told["dim"] == model.embedding_size == HIDDEN  # of the stand-in, not 512
    assert told["text_model"] == "Qdrant/clip-ViT-B-32-text"
    assert told["normalize"] is True
    assert told["source"] == f"folder {image_folder('clip')}"
    assert ImageEmbedding(lazy_load=True).embedding_size == 512
    assert ImageEmbedding.get_embedding_size("qdrant/RESNET50-onnx") == 2048
    assert ImageEmbedding(image_folder("resnet50")).embedding_size == HIDDEN


def test_size_of_a_named_stand_in_with_further_axes(open_image_variant: OpenImageVariant) -> None:
    assert open_image_variant("resnet50").embedding_size == HIDDEN


def test_fingerprint_tells_models_and_options_apart(
    open_image_variant: OpenImageVariant, image_folder: ImageFolderOf, tmp_path: Path
) -> None:
    prints = [
        open_image_variant("clip").fingerprint,
        open_image_variant("clip", normalize=False).fingerprint,
        open_image_variant("unicom_16").fingerprint,
    ]
    (tmp_path / "model.onnx").write_bytes((image_folder("clip") / "model.onnx").read_bytes())
    config = (image_folder("clip") / "preprocessor_config.json").read_text(encoding="utf-8")
    (tmp_path / "preprocessor_config.json").write_text(config, encoding="utf-8")
    same = ImageEmbedding(specific_model_path=tmp_path, lazy_load=True)
    assert same.fingerprint == prints[0]
    (tmp_path / "preprocessor_config.json").write_text(config.replace('"resample": 3', '"resample": 2'), "utf-8")
    prints.append(ImageEmbedding(specific_model_path=tmp_path, lazy_load=True).fingerprint)
    assert len(set(prints)) == 4
    assert all(len(one) == 32 for one in prints)


def test_custom_model(image_folder: ImageFolderOf) -> None:
    one = image_variant("patches")
    ImageEmbedding.add_custom_model(
        "org/patches",
        ModelSource(hf="org/patches"),
        HIDDEN,
        one.model_file,
        "Mean of patches.",
        output_name="last_hidden_state",
        pooling="mean",
        normalization=False,
        text_model="org/texts",
    )
    told = ImageEmbedding.list_supported_models()[-1]
    assert (told["model"], told["pooling"], told["normalize"]) == ("org/patches", "MEAN", False)
    assert told["text_model"] == "org/texts"
    ImageEmbedding.add_custom_model(
        "org/first", ModelSource(hf="org/first"), HIDDEN, pooling=PoolingType.CLS, normalization=False
    )
    means = ImageEmbedding("ORG/patches", specific_model_path=image_folder("patches"))
    firsts = ImageEmbedding("org/first", specific_model_path=image_folder("patches"))
    import onnxruntime

    session = onnxruntime.InferenceSession(image_folder("patches") / "model.onnx")
    processor = read_processor(image_folder("patches"))
    pixels = np.stack([processor(image) for image in pictures()])
    (tokens,) = session.run(None, {"pixel_values": pixels})
    np.testing.assert_allclose(means.embed_to_array(pictures()), tokens.mean(axis=1), atol=1e-6)
    np.testing.assert_allclose(firsts.embed_to_array(pictures()), tokens[:, 0], atol=1e-6)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"sources": "org/name"}, InputTypeError, "expected a ModelSource"),
        ({"pooling": "LAST_TOKEN"}, InputError, "expected one of CLS, MEAN, DISABLED for images"),
        ({"pooling": None}, InputTypeError, "pooling=None"),
        ({"normalization": "yes"}, InputTypeError, "normalization='yes'"),
        ({"dim": 0}, InputError, "has dim 0"),
        ({"model": "jinaai/JINA-clip-v1"}, InputError, "has that name already"),
    ],
)
def test_bad_custom_models(options: dict[str, Any], error: type[Exception], message: str) -> None:
    given = {"model": "org/name", "sources": ModelSource(hf="org/name"), "dim": 4, **options}
    with pytest.raises(error, match=message):
        ImageEmbedding.add_custom_model(**given)


def test_a_model_that_is_not_there_names_what_was_tried() -> None:
    with pytest.raises(ModelNotFoundError, match="no source could give the files of 'Qdrant/resnet50-onnx'"):
        ImageEmbedding("Qdrant/resnet50-onnx", local_files_only=True)


def test_importing_the_facade_loads_nothing_heavy() -> None:
    code = (
        "import sys; import onnxembed.image.model as e; e.ImageEmbedding(lazy_load=True); "
        "print(sorted({'numpy', 'PIL', 'onnxruntime', 'huggingface_hub', 'tokenizers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
