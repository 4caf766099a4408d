"""Reads ``preprocessor_config.json``: what a model's makers say is done to pictures.

Keys that a config leaves out have the defaults of its processor's type in transformers (version 5, the Pillow classes).
A config that names no type, neither itself nor through the model's ``config.json``, gets what it says and nothing else.
A key that no reader takes refuses the model by name.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onnxembed.errors import ModelError, UnsupportedModelError
from onnxembed.formats.facts import Facts
from onnxembed.hub.files import Files, FolderFiles
from onnxembed.hub.folder import CONFIG_FILE
from onnxembed.image.processor import ImageProcessor
from onnxembed.image.processor_file import read_entries
from onnxembed.image.spec import PROCESSOR_FILE
from onnxembed.image.transforms import Crop, Resize
from onnxembed.metadata.harmless import PICTURE_KEYS
from onnxembed.suggest import nearest

_MAX_SIDE = 8192
_BILINEAR = 2
_BICUBIC = 3
_FILTERS = {"nearest": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3, "box": 4, "hamming": 5}
_CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
_CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
_HALF = (0.5, 0.5, 0.5)
# Below this size ConvNeXT crops, from here on it squeezes (Liu et al., 2022, arXiv:2201.03545, evaluation setting).
_CONVNEXT_SQUEEZED = 384


@dataclass(frozen=True, slots=True)
class _Type:
    """A type of processor: the values of the keys that a config leaves out.

    Attributes:
        size: Form of ``size``; None where the config must say.
        resample: Number of the filter.
        mean: Channel means.
        std: Channel deviations.
        square: Whether a single number as size stands for both sides; else for the shorter one.
        crop_size: Side of the crop; None where the config must say.
        active: Whether resizing, cropping (given a ``crop_size``) and normalizing are done when nothing is said.
        crop_pct: ConvNeXT's share of the picture that its crop keeps; None for other types.
    """

    size: int | tuple[int, int] | None
    resample: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    square: bool
    crop_size: int | None = None
    active: bool = True
    crop_pct: float | None = None


# The defaults of CLIPImageProcessor, ViTImageProcessor, ... in transformers.
_CLIP = _Type(224, _BICUBIC, _CLIP_MEAN, _CLIP_STD, square=False, crop_size=224)
_TYPES = {
    "CLIPImageProcessor": _CLIP,
    "BitImageProcessor": _CLIP,
    "ViTImageProcessor": _Type((224, 224), _BILINEAR, _HALF, _HALF, square=True),
    "SiglipImageProcessor": _Type((224, 224), _BICUBIC, _HALF, _HALF, square=False),
    "Siglip2ImageProcessor": _Type(None, _BILINEAR, _HALF, _HALF, square=True),
    "ConvNextImageProcessor": _Type(384, _BICUBIC, _HALF, _HALF, square=False, crop_pct=224 / 256),
}
_JINA_CLIP = "JinaCLIPImageProcessor"
_UNNAMED = _Type(None, _BICUBIC, _CLIP_MEAN, _CLIP_STD, square=False, active=False)
_SPELLINGS = sorted([*_TYPES, _JINA_CLIP, "CLIPFeatureExtractor", "ConvNextFeatureExtractor", "ViTFeatureExtractor"])

# What a step reads that is left out, and the type by its other name.
_STEP_KEYS = (
    "size", "default_to_square", "resample", "crop_size", "rescale_factor", "image_mean", "image_std", "do_center_crop",
    "image_processor_type", "feature_extractor_type",
)  # fmt: skip

# For configs of before types were written into them: the type by ``model_type`` of config.json.
_TYPE_OF_MODEL = {
    "bit": "BitImageProcessor",
    "clip": "CLIPImageProcessor",
    "clip_vision_model": "CLIPImageProcessor",
    "convnext": "ConvNextImageProcessor",
    "convnextv2": "ConvNextImageProcessor",
    "dinov2": "BitImageProcessor",
    "regnet": "ConvNextImageProcessor",
    "resnet": "ConvNextImageProcessor",
    "siglip": "SiglipImageProcessor",
    "siglip_vision_model": "SiglipImageProcessor",
    "swin": "ViTImageProcessor",
    "swinv2": "ViTImageProcessor",
    "vit": "ViTImageProcessor",
}


def read_processor(source: Path | Mapping[str, Any], accept_unknown: Collection[str] = ()) -> ImageProcessor:
    """Read what is done to pictures before a model sees them.

    Args:
        source: A model's folder, or the content of its ``preprocessor_config.json``.
        accept_unknown: Keys that are passed over although they are not known here.

    Returns:
        The processor.

    Raises:
        ModelError: If the file is missing, malformed, or says something impossible.
        UnsupportedModelError: If it names a processor, asks for a step, or has a key that is not known here.
    """
    if not isinstance(source, Path):
        return _Reader(Facts(source, PROCESSOR_FILE)).processor(None, accept_unknown)
    files = FolderFiles(source)
    files.accept_unknown = tuple(accept_unknown)
    return processor_of(files)


def processor_of(files: Files) -> ImageProcessor:
    """Read what is done to pictures from a model's files, as `read_processor` does."""
    return _Reader(read_entries(files)).processor(
        files.json_object(CONFIG_FILE).get("model_type"), files.accept_unknown
    )


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads the values of one config, each checked; null counts as left out."""

    config: Facts

    @property
    def where(self) -> str:
        """The file, for messages."""
        return self.config.where

    def processor(self, model_type: object, accept_unknown: Collection[str]) -> ImageProcessor:
        """Read the whole, and refuse what nobody read."""
        name = self._type_name(model_type)
        processor = self._jina_clip() if name == _JINA_CLIP else self._of_transformers(name)
        self.config.expect("data_format", ("channels_first",), "channels_first")
        steps = _STEP_KEYS[-2:] if name == _JINA_CLIP else _STEP_KEYS
        left = self.config.left({*PICTURE_KEYS, *steps})
        unsaid = [key for key, value in left.items() if value is None or (value is False and "do_" in key)]
        self.config.finish({*PICTURE_KEYS, *steps, *unsaid}, accept_unknown)
        return processor

    def _of_transformers(self, name: str | None) -> ImageProcessor:
        """Read the config of a processor of transformers, or of one without a name."""
        if name is None:
            kind = _UNNAMED
        elif name in _TYPES:
            kind = _TYPES[name]
        else:
            raise UnsupportedModelError(
                f"{self.where} names image processor {name!r}, which is not known here; known are "
                f"{', '.join(_SPELLINGS)}, and these with 'Fast' behind.{nearest(name, _SPELLINGS)}"
            )
        if name == "Siglip2ImageProcessor" and self._get("size") is None:
            raise UnsupportedModelError(
                f"{self.where}: Siglip2ImageProcessor without a size stands for pictures of varying numbers of patches "
                "(NaFlex); only SigLIP models of fixed size are supported"
            )
        if self._flag("do_pad", default=False):
            raise UnsupportedModelError(f"{self.where} asks for padding (do_pad), which is not supported for images")
        resize, crops = self._geometry(kind)
        mean, std = None, None
        if self._flag("do_normalize", default=kind.active):
            mean, std = self._channels("image_mean", kind.mean), self._channels("image_std", kind.std)
        elif name is None and self._get("mean") is not None and self._get("std") is not None:
            mean, std = self._channels("mean", kind.mean), self._channels("std", kind.std)
        return self._complete(resize, crops, mean, std)

    def _type_name(self, model_type: object) -> str | None:
        """The type in its present spelling; None where neither the config nor the model names one."""
        for key in ("image_processor_type", "feature_extractor_type"):
            name = self._get(key)
            if name is None:
                continue
            if not isinstance(name, str):
                raise self._wrong(key, name, "a name")
            return name.removesuffix("Fast").replace("FeatureExtractor", "ImageProcessor")
        return _TYPE_OF_MODEL.get(model_type) if isinstance(model_type, str) else None

    def _geometry(self, kind: _Type) -> tuple[Resize | None, tuple[Crop, ...]]:
        """Resizing and cropping."""
        resize: Resize | None = None
        crops: list[Crop] = []
        if self._flag("do_resize", default=kind.active):
            resize = Resize(self._size(kind), self._filter("resample", kind.resample))
            if kind.crop_pct is not None:
                resize, crops = self._convnext(resize, kind.crop_pct)
        if self._flag("do_center_crop", default=kind.active and kind.crop_size is not None):
            crops.append(Crop(self._crop_size(kind)))
        return resize, tuple(crops)

    def _convnext(self, resize: Resize, crop_pct: float) -> tuple[Resize, list[Crop]]:
        """Scale a little larger and crop, or squeeze to a square."""
        if not isinstance(resize.size, int):
            raise ModelError(
                f"{self.where}: size is {self._get('size')!r}; ConvNeXT's must be {{'shortest_edge': pixels}}"
            )
        side = resize.size
        share = self._number("crop_pct", crop_pct)
        if side >= _CONVNEXT_SQUEEZED:
            return Resize((side, side), resize.resample), []
        if not 0.01 <= share <= 1:
            raise self._wrong("crop_pct", share, "a share from 0.01 to 1")
        return Resize(int(side / share), resize.resample), [Crop((side, side))]

    def _jina_clip(self) -> ImageProcessor:
        """The processor of jina-clip-v1: shorter side, then the middle; its defaults are its own."""
        mode = self._get("resize_mode")
        if mode not in (None, "shortest"):
            raise UnsupportedModelError(f"{self.where}: resize_mode {mode!r} is not known here; expected 'shortest'")
        size = self._get("size")
        side = 224 if size is None else self._side("size", size)
        resize = Resize(side, self._filter("interpolation", _BICUBIC))
        mean, std = self._channels("mean", _CLIP_MEAN), self._channels("std", _CLIP_STD)
        return self._complete(resize, (Crop((side, side), half_even=True),), mean, std)

    def _complete(
        self,
        resize: Resize | None,
        crops: tuple[Crop, ...],
        mean: tuple[float, float, float] | None,
        std: tuple[float, float, float] | None,
    ) -> ImageProcessor:
        if std is not None and 0 in std:
            raise self._wrong("image_std", std, "numbers other than 0")
        rescale = self._number("rescale_factor", 1 / 255) if self._flag("do_rescale", default=True) else None
        return ImageProcessor(resize, crops, rescale, mean, std)

    def _get(self, key: str) -> Any:
        return self.config.value(key)

    def _wrong(self, key: str, value: object, expected: str) -> ModelError:
        return ModelError(f"{self.where}: {key} is {value!r}; expected {expected}: correct the file or fetch it again")

    def _flag(self, key: str, *, default: bool) -> bool:
        value = self._get(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self._wrong(key, value, "true or false")
        return value

    def _number(self, key: str, default: float) -> float:
        value = self._get(key)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise self._wrong(key, value, "a number")
        return float(value)

    def _side(self, key: str, value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _MAX_SIDE:
            raise self._wrong(key, value, f"pixels from 1 to {_MAX_SIDE}")
        return value

    def _size(self, kind: _Type) -> tuple[int, int] | int:
        """(height, width), or the shorter side."""
        value = self._get("size")
        if value is None and kind.size is not None:
            return kind.size
        if isinstance(value, Mapping) and set(value) == {"shortest_edge"}:
            return self._side("size", value["shortest_edge"])
        if isinstance(value, int) and not self._flag("default_to_square", default=kind.square):
            return self._side("size", value)
        return self._both_sides("size", value)

    def _crop_size(self, kind: _Type) -> tuple[int, int]:
        value = self._get("crop_size")
        return self._both_sides("crop_size", kind.crop_size if value is None else value)

    def _both_sides(self, key: str, value: object) -> tuple[int, int]:
        if isinstance(value, int):
            return self._side(key, value), self._side(key, value)
        if isinstance(value, Mapping) and set(value) == {"height", "width"}:
            return self._side(key, value["height"]), self._side(key, value["width"])
        if isinstance(value, (list, tuple)) and len(value) == 2:
            return self._side(key, value[0]), self._side(key, value[1])
        raise self._wrong(key, value, "a number of pixels or {'height': ..., 'width': ...}")

    def _filter(self, key: str, default: int) -> int:
        value = self._get(key)
        if value is None:
            return default
        number = _FILTERS.get(value.lower()) if isinstance(value, str) else value
        if isinstance(number, bool) or not isinstance(number, int) or number not in _FILTERS.values():
            raise self._wrong(key, value, f"a number from 0 to 5, or one of {', '.join(_FILTERS)}")
        return number

    def _channels(self, key: str, default: tuple[float, float, float]) -> tuple[float, float, float]:
        value = self._get(key)
        if value is None:
            return default
        numbers = [value] * 3 if isinstance(value, (int, float)) else value
        if (
            not isinstance(numbers, (list, tuple))
            or len(numbers) != 3
            or not all(isinstance(n, (int, float)) and not isinstance(n, bool) and math.isfinite(n) for n in numbers)
        ):
            raise self._wrong(key, value, "a number, or one for each of red, green and blue")
        return float(numbers[0]), float(numbers[1]), float(numbers[2])
