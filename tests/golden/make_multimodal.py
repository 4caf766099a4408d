"""Make ``multimodal.json``: what fastembed 0.9.1 and transformers give for the small multimodal models.

Run by ``make golden`` in the environment of the peers, from the repository's root.
"""

from __future__ import annotations

import json
import tempfile
import warnings
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from fastembed import LateInteractionMultimodalEmbedding
from transformers import PreTrainedTokenizerFast
from transformers.models.colqwen2.processing_colqwen2 import ColQwen2Processor
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from tests.fixtures.image_digest import digest
from tests.fixtures.images import picture
from tests.fixtures.multimodal_models import (
    COLMODERNVBERT,
    COLPALI,
    COLQWEN2,
    QUERIES,
    Form,
    pictures,
    processor_config,
    write_form,
)

GOLDEN = Path(__file__).with_name("multimodal.json")
WHOLE = "Qdrant/colmodernvbert, not split"
PROCESSOR_SIZES = (
    (1, 1), (1, 2), (3, 7), (16, 16), (28, 28), (31, 64), (64, 48), (65, 48), (100, 100), (223, 225), (224, 224),
    (300, 200), (200, 300), (500, 3), (3, 300), (512, 33), (640, 480), (480, 640), (1024, 768), (1300, 1900),
)  # fmt: skip
"""Twenty, from one pixel to more than a million; the widest is 167 times as wide as high."""


def shortened(rows: np.ndarray) -> dict[str, Any]:
    """Keep of many vectors a few whole and the others by two numbers.

    Args:
        rows: (tokens, dim).

    Returns:
        Number, first numbers and weighted sums of all rows.
    """
    rows = np.asarray(rows, dtype=np.float64)
    weights = np.cos(np.arange(rows.shape[1]))
    return {
        "shape": list(rows.shape),
        "first": rows[:, 0].round(6).tolist(),
        "sums": (rows @ weights).round(5).tolist(),
    }


def fastembed_results(form: Form, folder: Path) -> dict[str, Any]:
    """Run fastembed on a small model.

    Args:
        form: Its form.
        folder: An empty folder.

    Returns:
        Vectors of texts, each run alone, and together; of pictures; and token counts.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = LateInteractionMultimodalEmbedding(form.kind, specific_model_path=str(write_form(folder, form)))
    together = list(model.embed_text(list(QUERIES), batch_size=len(QUERIES)))
    return {
        "texts": [shortened(next(iter(model.embed_text([text])))) for text in QUERIES],
        "shapes_together": [list(rows.shape) for rows in together],
        "images": [shortened(rows) for rows in model.embed_image(pictures(), batch_size=2)],
        "counts": [model.token_count(list(QUERIES), include_extension=extended) for extended in (False, True)],
    }


def colqwen2_results(folder: Path) -> dict[str, Any]:
    """Run transformers' processor and the small graph.

    Args:
        folder: An empty folder.

    Returns:
        Ids of texts and pictures, and vectors of pictures and texts.
    """
    write_form(folder, Form(COLQWEN2))
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"), pad_token="<|endoftext|>")
    processor = ColQwen2Processor(qwen_processor(**processor_config(COLQWEN2)), tokenizer)
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    blank = {
        "pixel_values": np.zeros((1, 4, 1176), np.float32),
        "image_grid_thw": np.array([[1, 2, 2]], np.int64),
    }
    found: dict[str, Any] = {"text_ids": [], "image_ids": [], "texts": [], "images": []}
    for text in QUERIES:
        inputs = {key: np.asarray(value) for key, value in processor.process_queries([text]).items()}
        feed = {key: inputs[key] for key in ("input_ids", "attention_mask")}
        found["text_ids"].append(inputs["input_ids"][0].tolist())
        found["texts"].append(shortened(session.run(["vectors"], feed | blank)[0][0]))
    for image in pictures():
        inputs = {key: np.asarray(value) for key, value in processor.process_images([image]).items()}
        feed = {key: inputs[key] for key in ("input_ids", "attention_mask", "pixel_values", "image_grid_thw")}
        found["image_ids"].append(inputs["input_ids"][0].tolist())
        found["images"].append(shortened(session.run(["vectors"], feed)[0][0]))
    return found


def qwen_processor(**options: Any) -> Qwen2VLImageProcessorPil:
    """Make transformers' image processor of Qwen2-VL.

    Args:
        **options: Of the configuration.

    Returns:
        The processor that works with Pillow.
    """
    return Qwen2VLImageProcessorPil(**{key: value for key, value in options.items() if "type" not in key})


def patches() -> list[dict[str, Any]]:
    """Run transformers' Qwen2-VL processor with its defaults on pictures of many sizes.

    Returns:
        Grid and digest of the patches of each.
    """
    processor = qwen_processor()
    found = []
    for number, (width, height) in enumerate(PROCESSOR_SIZES):
        result = processor(picture(width, height, seed=number), return_tensors="np")
        (grid,) = result["image_grid_thw"].tolist()
        values = np.asarray(result["pixel_values"], dtype=np.float32)
        found.append({"size": [width, height], "grid": grid} | digest(values.reshape(1, *values.shape).repeat(3, 0)))
    return found


def tiles() -> list[dict[str, Any]]:
    """Run transformers' Idefics3 processor on pictures of many sizes.

    Returns:
        Grid and digests of all tiles, one below the other, of each picture, split and not.
    """
    found = []
    for split in (True, False):
        processor = Idefics3ImageProcessorPil(
            size={"longest_edge": 130}, max_image_size={"longest_edge": 32}, do_image_splitting=split
        )
        for number, (width, height) in enumerate(PROCESSOR_SIZES):
            result = processor(picture(width, height, seed=number), return_tensors="np", return_row_col_info=True)
            values = np.asarray(result["pixel_values"][0], dtype=np.float32)
            column = values.transpose(1, 0, 2, 3).reshape(3, -1, values.shape[-1])
            grid = [result["rows"][0][0], result["cols"][0][0]]
            found.append({"split": split, "size": [width, height], "grid": grid} | digest(column))
    return found


def main() -> None:
    """Write the golden file."""
    content: dict[str, Any] = {"made_with": {name: metadata.version(name) for name in ("fastembed", "transformers")}}
    forms = {COLPALI: Form(COLPALI), COLMODERNVBERT: Form(COLMODERNVBERT), WHOLE: Form(COLMODERNVBERT, split=False)}
    for name, form in forms.items():
        with tempfile.TemporaryDirectory() as folder:
            content[name] = fastembed_results(form, Path(folder))
    with tempfile.TemporaryDirectory() as folder:
        content[COLQWEN2] = colqwen2_results(Path(folder))
    content["patches"], content["tiles"] = patches(), tiles()
    GOLDEN.write_text(json.dumps(content, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
