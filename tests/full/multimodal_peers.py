"""Run in the environment of the peers: fastembed on small multimodal models, and its memory at ColPali's input shape.

Called as ``python -m tests.full.multimodal_peers FOLDER``.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from tests.fixtures.images import picture
from tests.fixtures.multimodal_models import COLMODERNVBERT, COLPALI, Form, write_form

KINDS = {"colpali": COLPALI, "colmodernvbert": COLMODERNVBERT}
TEXTS = tuple(
    f"{'what is ' * (number % 5)}the turnover of company {number} in {1900 + number}?" for number in range(60)
)
PICTURE_SIZES = tuple((30 + 37 * number % 400, 25 + 91 * number % 350) for number in range(24))
"""Of many proportions."""


def page_pictures() -> list[Any]:
    """Make the pictures.

    Returns:
        One of each size.
    """
    return [picture(width, height, seed=number) for number, (width, height) in enumerate(PICTURE_SIZES)]


def peak_megabytes() -> float:
    """Tell the highest memory of this process.

    Returns:
        Megabytes of the resident set.
    """
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1000


def added_by_queries(model: Any) -> float:
    """Measure what a default call for 256 short queries adds to memory.

    Args:
        model: Either library's.

    Returns:
        Megabytes above those of a single query.
    """
    list(model.embed_text(TEXTS[:1]))
    before = peak_megabytes()
    assert len(list(model.embed_text([f"question {number}" for number in range(256)]))) == 256
    return peak_megabytes() - before


def main(folder: Path) -> None:
    """Write models and vectors.

    Args:
        folder: Where to.
    """
    from fastembed import LateInteractionMultimodalEmbedding

    warnings.simplefilter("ignore")
    found: dict[str, Any] = {}
    told: dict[str, float] = {}
    for name, kind in KINDS.items():
        path = write_form(folder / name, Form(kind))
        model = LateInteractionMultimodalEmbedding(kind, specific_model_path=str(path), cuda=False)
        if kind == COLPALI:
            told["added_megabytes"] = added_by_queries(model)
        for number, text in enumerate(TEXTS):
            (found[f"{name}_texts_{number}"],) = model.embed_text([text])
        for number, rows in enumerate(model.embed_image(page_pictures(), batch_size=5)):
            found[f"{name}_images_{number}"] = rows
    np.savez(folder / "vectors.npz", **found)
    (folder / "told.json").write_text(json.dumps(told), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
