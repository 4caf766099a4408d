"""Make ``image_fastembed.json``: what fastembed 0.9.1 gives for small models of all eight forms it knows.

Run in the environment of the peers, from the repository's root: ``python -m tests.golden.make_image``.
"""

from __future__ import annotations

import io
import json
import tempfile
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

from fastembed import ImageEmbedding
from PIL import Image

from tests.fixtures.image_models import HIDDEN, SIZES, VARIANTS, ImageVariant, pictures, write_image_variant
from tests.fixtures.images import oriented, picture

GOLDEN = Path(__file__).with_name("image_fastembed.json")


def rows(vectors: Any) -> list[list[float]]:
    """Vectors as lists, rounded to seven decimals."""
    return [[round(float(number), 7) for number in vector] for vector in vectors]


def results(one: ImageVariant, folder: Path) -> dict[str, Any]:
    """Run fastembed on a variant.

    Args:
        one: The variant.
        folder: An empty folder.

    Returns:
        The vectors of all pictures; of one that its EXIF data turn, and of one that is half transparent.
    """
    model: Any = ImageEmbedding(one.model, specific_model_path=str(write_image_variant(folder, one)), cuda=False)
    # It cuts the output into rows of this length.
    model.model.model_description = replace(model.model.model_description, dim=HIDDEN)
    batch_size = 1 if one.alone else 16
    odd = [Image.open(io.BytesIO(oriented(picture(70, 50, seed=6), 6))), picture(60, 40, "RGBA", seed=3)]
    return {
        "pictures": rows(model.embed(pictures(), batch_size=batch_size)),
        "turned": rows(model.embed(odd[:1]))[0],
        "transparent": rows(model.embed(odd[1:]))[0],
    }


def main() -> None:
    """Write the golden file."""
    variants = {}
    for one in VARIANTS:
        with tempfile.TemporaryDirectory() as folder:
            variants[one.name] = results(one, Path(folder))
    made_with = {package: metadata.version(package) for package in ("fastembed", "onnxruntime", "pillow")}
    content = {"made_with": made_with, "sizes": SIZES}
    lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in content.items())
    listed = ",\n".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in variants.items())
    GOLDEN.write_text(f'{{\n{lines},\n"variants": {{\n{listed}\n}}\n}}\n', encoding="utf-8")


if __name__ == "__main__":
    main()
