"""Run by `test_image_peers` in the environment of the peers: a CLIP of random weights in PyTorch, and fastembed.

Usage: ``python -m tests.full.image_peers FOLDER``. Writes the two halves of one CLIPModel there as model folders,
``vision`` and ``text``, each with a graph as such halves are published; and ``vectors.npz`` with what transformers
makes of pictures and texts, and fastembed of the same folders.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from fastembed import ImageEmbedding, TextEmbedding
from tokenizers import Tokenizer
from transformers import CLIPConfig, CLIPModel

from tests.fixtures.dense_tokenizers import MAPPED_ID, SEP_ID, TokenizerForm, write_tokenizer
from tests.fixtures.image_models import CLIP
from tests.fixtures.images import picture

SIDE, PATCH, DIM, LIMIT = 64, 16, 20, 32
SIZES = ((90, 70), (70, 120), (64, 64), (33, 200), (640, 480), (320, 240), (50, 40), (400, 300), (90, 70), (257, 129))
TEXTS = (
    "hello world",
    "the quick brown fox",
    "a",
    "hello",
    "the world of the quick and the brown " * 6,
    "the quick brown fox and the hello world",
    "fox",
)


class Half(torch.nn.Module):  # type: ignore[misc]  # torch is installed apart from us: a base of no known type
    """The image side or the text side of a CLIP, as a graph has it."""

    def __init__(self, model: CLIPModel, side: str) -> None:
        super().__init__()
        self.model = model
        self.side = side

    def forward(self, *inputs: Any) -> Any:
        """Give the projected vectors."""
        if self.side == "vision":
            return self.model.visual_projection(self.model.vision_model(pixel_values=inputs[0]).pooler_output)
        states = self.model.text_model(input_ids=inputs[0], attention_mask=inputs[1]).pooler_output
        return self.model.text_projection(states)


def random_clip() -> CLIPModel:
    """A small CLIP whose parts all show in the result."""
    torch.manual_seed(3)
    sizes = {"hidden_size": 48, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4}
    text = {"vocab_size": MAPPED_ID + 1, "max_position_embeddings": LIMIT, "eos_token_id": SEP_ID, **sizes}
    vision = {"image_size": SIDE, "patch_size": PATCH, **sizes}
    config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=DIM, attn_implementation="eager")
    model = CLIPModel(config).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model


def export(model: CLIPModel, folder: Path, side: str, inputs: dict[str, Any], output: str) -> None:
    """Write one half as a graph."""
    folder.mkdir(parents=True, exist_ok=True)
    axes = {name: {0: "batch", **({1: "tokens"} if side == "text" else {})} for name in inputs}
    torch.onnx.export(
        Half(model, side),
        tuple(inputs.values()),
        str(folder / "model.onnx"),
        input_names=list(inputs),
        output_names=[output],
        dynamic_axes={**axes, output: {0: "batch"}},
        opset_version=17,
        dynamo=False,
    )


@torch.no_grad()  # type: ignore[untyped-decorator]  # torch is installed apart from us
def main(folder: Path) -> None:
    """Write the folders and the vectors."""
    model = random_clip()
    export(model, folder / "vision", "vision", {"pixel_values": torch.zeros(2, 3, SIDE, SIDE)}, "image_embeds")
    ids = torch.tensor([[2, 5, 6, 3, 0, 0], [2, 7, 8, 9, 10, 3]])
    export(model, folder / "text", "text", {"input_ids": ids, "attention_mask": (ids > 0).long()}, "text_embeds")
    config = {**CLIP, "size": {"shortest_edge": SIDE}, "crop_size": {"height": SIDE, "width": SIDE}}
    (folder / "vision" / "preprocessor_config.json").write_text(json.dumps(config), encoding="utf-8")
    write_tokenizer(folder / "text", TokenizerForm(max_length=LIMIT, model_config={"model_type": "clip"}))

    images = [picture(width, height, seed=number) for number, (width, height) in enumerate(SIZES)]
    kind = getattr(transformers, "CLIPImageProcessorPil", transformers.CLIPImageProcessor)
    settings = {key: value for key, value in config.items() if key != "image_processor_type"}
    pixels = kind(**settings)(images, return_tensors="np")["pixel_values"]
    image_vectors = Half(model, "vision")(torch.tensor(np.asarray(pixels))).numpy()
    tokenizer = Tokenizer.from_file(str(folder / "text" / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(LIMIT)
    text_vectors = []
    for text in TEXTS:
        row = torch.tensor([tokenizer.encode(text).ids])
        text_vectors.append(Half(model, "text")(row, torch.ones_like(row)).numpy()[0])
    whole = model(
        input_ids=(row := torch.tensor([tokenizer.encode(TEXTS[1]).ids])),
        attention_mask=torch.ones_like(row),
        pixel_values=torch.tensor(np.asarray(pixels)),
    )
    named: dict[str, Any] = {"specific_model_path": str(folder / "vision"), "cuda": False}
    theirs = list(ImageEmbedding("Qdrant/clip-ViT-B-32-vision", **named).embed(images))
    named["specific_model_path"] = str(folder / "text")
    np.savez(
        folder / "vectors.npz",
        images=image_vectors,
        texts=np.stack(text_vectors),
        cosines=(whole.logits_per_text / model.logit_scale.exp()).numpy()[0],
        fastembed_images=np.stack(theirs),
        fastembed_texts=np.stack(list(TextEmbedding("Qdrant/clip-ViT-B-32-text", **named).embed(list(TEXTS)))),
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
