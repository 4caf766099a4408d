"""Make ``image_processors.json``: what transformers' Pillow processors, and fastembed's Jina CLIP, make of pictures.

Run by ``make golden`` in the environment of the peers, from the repository's root. Pictures are brought to RGB here
with formulas of their own, written down again and apart from the package's, then go through the peers.

Kept of each result: its shape, the hash of all its numbers, its values at the points of a grid, and the means of the
cells of a grid, which tell a difference of more than one level where the hashes may not agree.
"""

from __future__ import annotations

import hashlib
import io
import json
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import transformers
from fastembed.image.transform.operators import Compose  # type: ignore[import-not-found]  # of the real one
from PIL import Image, ImageOps

from tests.fixtures.image_digest import digest
from tests.fixtures.images import ALPHA_MODES, Case, cases

HERE = Path(__file__).parent
IMAGENET_MEAN, IMAGENET_STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
CONFIGS: dict[str, dict[str, Any]] = {
    "CLIP": {"image_processor_type": "CLIPImageProcessor"},
    "CLIP old": {"feature_extractor_type": "CLIPFeatureExtractor", "size": 97, "crop_size": 90, "resample": 3},
    "CLIP padded": {"image_processor_type": "CLIPImageProcessor", "do_resize": False, "crop_size": 65},
    "ViT": {"image_processor_type": "ViTImageProcessor", "size": 96},
    "ViT statistics": {
        "image_processor_type": "ViTFeatureExtractor",
        "size": {"height": 60, "width": 100},
        "image_mean": IMAGENET_MEAN,
        "image_std": IMAGENET_STD,
        "resample": 1,
    },
    "SigLIP": {"image_processor_type": "SiglipImageProcessor", "size": {"height": 64, "width": 64}, "resample": 2},
    "ConvNeXT": {
        "image_processor_type": "ConvNextImageProcessor",
        "size": {"shortest_edge": 100},
        "crop_pct": 0.95,
        "image_mean": IMAGENET_MEAN,
        "image_std": IMAGENET_STD,
    },
    "ConvNeXT old": {"feature_extractor_type": "ConvNextFeatureExtractor", "size": 64, "do_rescale": False},
    "ConvNeXT squeezed": {"image_processor_type": "ConvNextImageProcessor"},
    "BiT": {
        "image_processor_type": "BitImageProcessor",
        "size": {"shortest_edge": 80},
        "crop_size": {"height": 72, "width": 64},
        "do_normalize": False,
    },
    "Jina CLIP": {
        "image_processor_type": "JinaCLIPImageProcessor",
        "size": 75,
        "interpolation": "bicubic",
        "resize_mode": "shortest",
        "mean": [0.48145466, 0.4578275, 0.40821073],
        "std": [0.26862954, 0.26130258, 0.27577711],
    },
}


def rgb(case: Case) -> Image.Image:
    """Bring a picture to RGB by the book.

    Args:
        case: The picture.

    Returns:
        In RGB.
    """
    source = case.source
    if isinstance(source, np.ndarray):
        image = Image.fromarray(source[:, :, 0] if source.ndim == 3 and source.shape[2] == 1 else source)
    elif isinstance(source, bytes):
        image = Image.open(io.BytesIO(source))
    else:
        image = source
    image = ImageOps.exif_transpose(image)
    if image.mode in ("I", "F", "I;16", "I;16B"):
        values = np.asarray(image).astype(np.float64) / 257
        return Image.fromarray(np.round(values).astype(np.uint8)).convert("RGB")
    if image.mode in ALPHA_MODES or "transparency" in image.info:
        if image.mode == "La":
            image = image.convert("LA")
        rgba = np.asarray(image.convert("RGBA")).astype(np.float64)
        alpha = rgba[:, :, 3:] / 255
        return Image.fromarray(np.round(rgba[:, :, :3] * alpha + 255 * (1 - alpha)).astype(np.uint8))
    return image.convert("RGB")


def processed(config: dict[str, Any], image: Image.Image) -> np.ndarray:
    """Process a picture with transformers, or with fastembed where transformers has no such processor.

    Args:
        config: Content of preprocessor_config.json.
        image: In RGB.

    Returns:
        (3, height, width) float32.
    """
    name = (config.get("image_processor_type") or config["feature_extractor_type"]).replace(
        "FeatureExtractor", "ImageProcessor"
    )
    if name == "JinaCLIPImageProcessor":
        return np.asarray(Compose.from_config(config)([image])[0], dtype=np.float32)
    values = getattr(transformers, f"{name}Pil").from_dict(config)(image, return_tensors="np")["pixel_values"][0]
    return np.asarray(values, dtype=np.float32)


def main() -> None:
    """Write the file."""
    results: dict[str, dict[str, Any]] = {name: {} for name in CONFIGS}
    pictures: dict[str, str] = {}
    for case in cases():
        image = rgb(case)
        pictures[case.name] = hashlib.sha256(np.asarray(image).tobytes()).hexdigest()[:16]
        for name, config in CONFIGS.items():
            results[name][case.name] = digest(processed(config, image))
    lines = {
        "made_with": {name: metadata.version(name) for name in ("transformers", "pillow", "numpy")},
        "configs": CONFIGS,
        "pictures": pictures,
    }
    text = json.dumps(lines, indent=1)[:-2] + ',\n "results": {\n'
    blocks = []
    for name, rows in results.items():
        body = ",\n".join(
            f"   {json.dumps(case)}: {json.dumps(row, separators=(',', ':'))}" for case, row in rows.items()
        )
        blocks.append(f"  {json.dumps(name)}: {{\n{body}\n  }}")
    (HERE / "image_processors.json").write_text(text + ",\n".join(blocks) + "\n }\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
