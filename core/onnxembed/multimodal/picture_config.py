"""The part of ``preprocessor_config.json`` that the kinds of models here have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onnxembed.errors import ModelError, UnsupportedModelError
from onnxembed.hub.files import FolderFiles
from onnxembed.image.processor import ImageProcessor
from onnxembed.image.processor_config import read_processor
from onnxembed.image.processor_file import read_entries

_LEVEL_KEYS = ("do_rescale", "rescale_factor", "do_normalize", "image_mean", "image_std")


@dataclass(frozen=True, slots=True)
class PictureConfig:
    """What a model's makers say is done to pictures; null counts as left out.

    Attributes:
        values: The entries.
        where: The file, for messages.
    """

    values: Mapping[str, Any]
    where: str

    def require_type(self, expected: str) -> None:
        """Refuse a processor of another type as an `UnsupportedModelError`; none named is taken for the right one."""
        name = self.values.get("image_processor_type")
        if name is not None and str(name).removesuffix("Fast").removesuffix("Pil") != expected:
            raise UnsupportedModelError(
                f"{self.where} names image processor {name!r}; a model of this kind was expected to name {expected}"
            )

    def number(self, default: int, *path: str) -> int:
        """Read a number of pixels or patches, at least 1, under a key or the keys that lead to it."""
        value: Any = self.values
        for key in path:
            value = value.get(key) if isinstance(value, Mapping) else None
        if value is None:
            return default
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ModelError(
                f"{self.where}: {'.'.join(path)} is {value!r}; expected a whole number from 1 on: correct the file or "
                "fetch it again"
            )
        return value

    def flag(self, key: str, *, default: bool) -> bool:
        """Read a truth value."""
        value = self.values.get(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise ModelError(f"{self.where}: {key} is {value!r}; expected true or false: correct the file")
        return value

    def resample(self, default: int) -> int:
        """Read Pillow's number of the filter."""
        given = self.values.get("resample")
        read = read_processor(
            {
                "image_processor_type": "SiglipImageProcessor",
                "size": {"height": 1, "width": 1},
                "resample": default if given is None else given,
            }
        )
        return default if read.resize is None else read.resize.resample

    def levels(self, defaults_of: str) -> ImageProcessor:
        """Read how levels become numbers, as a processor that changes no size.

        ``defaults_of`` is the type of processor with the same default mean and deviation.
        """
        kept = {key: self.values[key] for key in _LEVEL_KEYS if key in self.values}
        steps = {"do_resize": False, "do_center_crop": False, "image_processor_type": defaults_of}
        return read_processor({**kept, **steps})


def read_picture_config(folder: Path) -> PictureConfig:
    """Read what is done to a model's pictures; a `ModelError` where nothing is said."""
    entries = read_entries(FolderFiles(folder))
    names = entries.keys()
    return PictureConfig({key: entries.value(key) for key in names}, entries.where)
