"""What a preprocessor_config.json says, and what it must not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from onnxembed.errors import ModelError, UnsupportedModelError
from onnxembed.image.processor import ImageProcessor
from onnxembed.image.processor_config import read_processor
from onnxembed.image.transforms import Crop, Resize

CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
HALF = (0.5, 0.5, 0.5)
CLIP = ImageProcessor(Resize(224, 3), (Crop((224, 224)),), 1 / 255, CLIP_MEAN, CLIP_STD)
VIT = ImageProcessor(Resize((224, 224), 2), (), 1 / 255, HALF, HALF)
SIGLIP = ImageProcessor(Resize((224, 224), 3), (), 1 / 255, HALF, HALF)
CONVNEXT = ImageProcessor(Resize((384, 384), 3), (), 1 / 255, HALF, HALF)
JINA = ImageProcessor(Resize(224, 3), (Crop((224, 224), half_even=True),), 1 / 255, CLIP_MEAN, CLIP_STD)
BARE = ImageProcessor(None, (), 1 / 255, None, None)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("CLIPImageProcessor", CLIP),
        ("CLIPImageProcessorFast", CLIP),
        ("CLIPFeatureExtractor", CLIP),
        ("BitImageProcessor", CLIP),
        ("BitImageProcessorFast", CLIP),
        ("ViTImageProcessor", VIT),
        ("ViTFeatureExtractor", VIT),
        ("ViTImageProcessorFast", VIT),
        ("SiglipImageProcessor", SIGLIP),
        ("SiglipImageProcessorFast", SIGLIP),
        ("ConvNextImageProcessor", CONVNEXT),
        ("ConvNextImageProcessorFast", CONVNEXT),
        ("ConvNextFeatureExtractor", CONVNEXT),
        ("JinaCLIPImageProcessor", JINA),
    ],
)
def test_defaults_of_each_type(name: str, expected: ImageProcessor) -> None:
    assert read_processor({"image_processor_type": name}) == expected


def test_null_counts_as_left_out() -> None:
    config = {"image_processor_type": "CLIPImageProcessor", "size": None, "do_resize": None, "resample": None}
    assert read_processor(config) == CLIP


def test_the_older_key_of_the_type() -> None:
    assert read_processor({"feature_extractor_type": "ViTFeatureExtractor"}) == VIT
    both = {"feature_extractor_type": "ViTFeatureExtractor", "image_processor_type": "CLIPImageProcessor"}
    assert read_processor(both) == CLIP


def test_siglip2_of_fixed_size() -> None:
    config = {"image_processor_type": "Siglip2ImageProcessorFast", "size": {"height": 256, "width": 256}}
    assert read_processor(config) == ImageProcessor(Resize((256, 256), 2), (), 1 / 255, HALF, HALF)


def test_siglip2_of_varying_size_is_refused() -> None:
    with pytest.raises(UnsupportedModelError, match=r"NaFlex.*only SigLIP models of fixed size"):
        read_processor({"image_processor_type": "Siglip2ImageProcessor", "max_num_patches": 256})


@pytest.mark.parametrize(
    ("name", "size", "expected"),
    [
        ("CLIPImageProcessor", 97, 97),
        ("CLIPImageProcessor", {"shortest_edge": 97}, 97),
        ("CLIPImageProcessor", {"height": 97, "width": 98}, (97, 98)),
        ("CLIPImageProcessor", [97, 98], (97, 98)),
        ("SiglipImageProcessor", 97, 97),
        ("ViTImageProcessor", 97, (97, 97)),
        ("ViTImageProcessor", {"shortest_edge": 97}, 97),
    ],
)
def test_forms_of_size(name: str, size: Any, expected: Any) -> None:
    resize = read_processor({"image_processor_type": name, "size": size}).resize
    assert resize is not None
    assert resize.size == expected


@pytest.mark.parametrize(
    ("crop_size", "expected"), [(50, (50, 50)), ({"height": 50, "width": 60}, (50, 60)), ([50, 60], (50, 60))]
)
def test_forms_of_crop_size(crop_size: Any, expected: tuple[int, int]) -> None:
    config = {"image_processor_type": "CLIPImageProcessor", "crop_size": crop_size}
    assert read_processor(config).crops == (Crop(expected),)


def test_convnext_crops_below_384_and_squeezes_from_there() -> None:
    def read(size: int, **more: Any) -> ImageProcessor:
        return read_processor(
            {"image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": size}, **more}
        )

    assert read(224).resize == Resize(256, 3)
    assert read(224).crops == (Crop((224, 224)),)
    assert read(383, crop_pct=0.95).resize == Resize(403, 3)
    assert read(384, crop_pct=0.95).resize == Resize((384, 384), 3)
    assert read(224, do_center_crop=True, crop_size=200).crops == (Crop((224, 224)), Crop((200, 200)))


def test_steps_can_be_switched_off() -> None:
    config = {
        "image_processor_type": "CLIPImageProcessor",
        "do_resize": False,
        "do_center_crop": False,
        "do_rescale": False,
        "do_normalize": False,
    }
    assert read_processor(config) == ImageProcessor(None, (), None, None, None)


def test_numbers_are_taken_over() -> None:
    config = {
        "image_processor_type": "ViTImageProcessor",
        "rescale_factor": 0.5,
        "image_mean": 0.25,
        "image_std": [1, 2, 4],
        "resample": 0,
    }
    got = read_processor(config)
    assert (got.rescale_factor, got.mean, got.std) == (0.5, (0.25, 0.25, 0.25), (1.0, 2.0, 4.0))
    assert got.resize == Resize((224, 224), 0)


@pytest.mark.parametrize(("name", "number"), [("Nearest", 0), ("lanczos", 1), ("bilinear", 2), ("box", 4), (5, 5)])
def test_filters_of_jina_clip(name: Any, number: int) -> None:
    config = {"image_processor_type": "JinaCLIPImageProcessor", "size": 40, "interpolation": name}
    assert read_processor(config).resize == Resize(40, number)


def test_a_config_without_a_type_does_what_it_says_and_nothing_else() -> None:
    assert read_processor({}) == BARE
    config = {"do_resize": True, "size": 40, "do_normalize": True, "image_mean": 0.5, "image_std": 0.25}
    assert read_processor(config) == ImageProcessor(Resize(40, 3), (), 1 / 255, HALF, (0.25, 0.25, 0.25))
    assert read_processor({"mean": 0.5, "std": 0.25}) == ImageProcessor(None, (), 1 / 255, HALF, (0.25, 0.25, 0.25))


@pytest.mark.parametrize(
    ("model_type", "expected"), [("vit", VIT), ("clip", CLIP), ("resnet", CONVNEXT), ("dinov2", CLIP), ("bert", BARE)]
)
def test_a_config_without_a_type_beside_a_model(tmp_path: Path, model_type: str, expected: ImageProcessor) -> None:
    (tmp_path / "preprocessor_config.json").write_text("{}")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": model_type}))
    assert read_processor(tmp_path) == expected


def test_read_from_a_folder(tmp_path: Path) -> None:
    (tmp_path / "preprocessor_config.json").write_text('{"image_processor_type": "ViTImageProcessor"}')
    assert read_processor(tmp_path) == VIT


def test_read_from_the_nested_config(tmp_path: Path) -> None:
    nested = {"image_processor": {"image_processor_type": "ViTImageProcessor"}, "processor_class": "CLIPProcessor"}
    (tmp_path / "processor_config.json").write_text(json.dumps(nested))
    assert read_processor(tmp_path) == VIT


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("other.json", "{}", r"preprocessor_config\.json is missing"),
        ("preprocessor_config.json", "{", "is not valid JSON"),
        ("preprocessor_config.json", "[]", "holds a JSON list; expected an object"),
        ("preprocessor_config.json", "\udcff", "is not valid JSON"),
        ("processor_config.json", "{}", r"processor_config\.json holds no image processor"),
    ],
)
def test_files_that_cannot_be_used(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(ModelError, match=message):
        read_processor(tmp_path)


def test_an_unknown_type_is_refused_with_the_nearest_and_the_known() -> None:
    with pytest.raises(UnsupportedModelError) as caught:
        read_processor({"image_processor_type": "ClipImageProcesor"})
    message = str(caught.value)
    assert "'ClipImageProcesor'" in message
    assert "Did you mean 'CLIPImageProcessor'" in message
    for known in ("ConvNextFeatureExtractor", "JinaCLIPImageProcessor", "Siglip2ImageProcessor", "ViTImageProcessor"):
        assert known in message


CLIP_NAME, CONVNEXT_NAME, JINA_NAME = "CLIPImageProcessor", "ConvNextImageProcessor", "JinaCLIPImageProcessor"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"image_processor_type": 3}, "image_processor_type is 3; expected a name"),
        ({"image_processor_type": CLIP_NAME, "do_resize": "yes"}, "do_resize is 'yes'; expected true or false"),
        ({"image_processor_type": CLIP_NAME, "size": 0}, "size is 0; expected pixels from 1 to 8192"),
        ({"image_processor_type": CLIP_NAME, "size": True}, "size is True"),
        ({"image_processor_type": CLIP_NAME, "size": {"shortest_edge": 10**9}}, "size is 1000000000"),
        ({"image_processor_type": CLIP_NAME, "size": {"longest_edge": 9}}, "size is {'longest_edge': 9}"),
        ({"image_processor_type": CLIP_NAME, "size": {"height": 9, "width": 9.5}}, "size is 9.5"),
        ({"image_processor_type": CLIP_NAME, "crop_size": [1, 2, 3]}, r"crop_size is \[1, 2, 3\]"),
        ({"image_processor_type": "ViTImageProcessor", "do_center_crop": True}, "crop_size is None"),
        ({"image_processor_type": CLIP_NAME, "resample": 6}, "resample is 6; expected a number from 0 to 5"),
        ({"image_processor_type": CLIP_NAME, "resample": 2.0}, r"resample is 2\.0"),
        ({"image_processor_type": CLIP_NAME, "resample": True}, "resample is True"),
        ({"image_processor_type": JINA_NAME, "interpolation": "spline"}, "interpolation is 'spline'.*hamming"),
        ({"image_processor_type": JINA_NAME, "size": [1]}, r"size is \[1\]"),
        ({"image_processor_type": CLIP_NAME, "image_mean": [0.5]}, "image_mean is .*red, green and blue"),
        ({"image_processor_type": CLIP_NAME, "image_std": "a"}, "image_std is 'a'"),
        ({"image_processor_type": CLIP_NAME, "image_std": [1, 0, 1]}, "expected numbers other than 0"),
        ({"image_processor_type": CLIP_NAME, "rescale_factor": float("nan")}, "rescale_factor is nan"),
        ({"image_processor_type": CONVNEXT_NAME, "size": {"height": 9, "width": 9}}, "must be {'shortest_edge'"),
        ({"image_processor_type": CONVNEXT_NAME, "size": 9, "crop_pct": 0}, "crop_pct is 0"),
        ({"do_resize": True}, "size is None"),
    ],
)
def test_values_that_cannot_be_used(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        read_processor(config)
    assert "preprocessor_config.json" in str(caught.value)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"image_processor_type": CLIP_NAME, "do_pad": True}, "padding"),
        ({"image_processor_type": JINA_NAME, "resize_mode": "longest"}, "resize_mode 'longest'"),
    ],
)
def test_steps_that_are_not_supported(config: dict[str, Any], message: str) -> None:
    with pytest.raises(UnsupportedModelError, match=message):
        read_processor(config)


@pytest.mark.parametrize(
    ("config", "key"),
    [
        ({"image_processor_type": CLIP_NAME, "do_flip_channel_order": True}, "do_flip_channel_order"),
        ({"image_processor_type": CLIP_NAME, "sharpen": 2}, "sharpen"),
        ({"image_processor_type": CLIP_NAME, "crop_pct": 0.9}, "crop_pct"),
        ({"image_processor_type": JINA_NAME, "image_mean": [0.5] * 3}, "image_mean"),
        ({"size": 40, "do_resize": True, "interpolation": "bilinear"}, "interpolation"),
    ],
)
def test_keys_that_nobody_reads(config: dict[str, Any], key: str) -> None:
    with pytest.raises(UnsupportedModelError, match=rf"preprocessor_config\.json: the key '{key}' .*accept_unknown="):
        read_processor(config)
    assert read_processor(config, (key,)) == read_processor({name: config[name] for name in config if name != key})


def test_channels_last() -> None:
    with pytest.raises(UnsupportedModelError, match="data_format is 'channels_last'"):
        read_processor({"image_processor_type": CLIP_NAME, "data_format": "channels_last"})


def test_what_newer_versions_save_beside() -> None:
    """Nulls, steps that are switched off, and arguments of a call."""
    beside = {
        "crop_size": None,
        "data_format": "channels_first",
        "default_to_square": True,
        "device": None,
        "disable_grouping": None,
        "do_convert_rgb": True,
        "do_reduce_labels": False,
        "a_step_of_tomorrow": None,
        "input_data_format": None,
        "processor_class": "SomeProcessor",
        "return_tensors": None,
    }
    assert read_processor({"image_processor_type": "ViTImageProcessor", **beside}) == VIT


@pytest.mark.parametrize(("square", "expected"), [(None, 40), (False, 40), (True, (40, 40))])
def test_one_number_as_size_by_what_the_config_says(square: bool | None, expected: object) -> None:
    resize = read_processor({"image_processor_type": CLIP_NAME, "size": 40, "default_to_square": square}).resize
    assert resize is not None
    assert resize.size == expected
