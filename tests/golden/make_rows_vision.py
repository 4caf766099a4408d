"""Makes the rows of vision models and of the text halves of models of two modalities, by transformers.

Run as ``python -m tests.golden.make_rows_vision`` in the environment of the peers, from the repository's root. Pictures
have the size that the models take, so that nothing is scaled: how pictures are scaled is tested elsewhere.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
import torch
import transformers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors

from tests.fixtures.model_rows import PICTURE_SIDE, TEXTS, pictures
from tests.golden.row_maker import make_row

LIBRARY = f"transformers {transformers.__version__}"
PROCESSOR = {
    "do_resize": True,
    "do_rescale": True,
    "do_normalize": True,
    "do_center_crop": False,
    "size": {"height": PICTURE_SIDE, "width": PICTURE_SIDE},
    "image_mean": [0.5, 0.4, 0.3],
    "image_std": [0.2, 0.25, 0.3],
    "rescale_factor": 1 / 255,
    "resample": 3,
}
TOWER = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
}
PATCHES = {"image_size": PICTURE_SIDE, "patch_size": 8}
VOCABULARY = {"clip": 300, "siglip": 300}


def pixels() -> torch.Tensor:
    """The pictures as models take them, by the formula of ``PROCESSOR``."""
    stacked = np.stack(pictures()).astype(np.float32) * np.float32(PROCESSOR["rescale_factor"])
    mean, std = (np.array(PROCESSOR[key], np.float32) for key in ("image_mean", "image_std"))
    return torch.from_numpy(((stacked - mean) / std).transpose(0, 3, 1, 2).copy())


def clip_tokenizer() -> tokenizers.Tokenizer:
    """A byte-level tokenizer between a start and an end token, the end being the largest id, as CLIP's."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = [*letters, *(f"{letter}</w>" for letter in letters)]
    vocabulary = {word: index for index, word in enumerate(words)}
    # The tables of the small models have 600 rows; the end is the last.
    vocabulary |= {"<|startoftext|>": 598, "<|endoftext|>": 599}
    made = tokenizers.Tokenizer(models.BPE(vocabulary, [], unk_token="<|endoftext|>", end_of_word_suffix="</w>"))
    made.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.post_processor = processors.TemplateProcessing(
        single="<|startoftext|> $A <|endoftext|>",
        special_tokens=[("<|startoftext|>", 598), ("<|endoftext|>", 599)],
    )
    made.decoder = decoders.ByteLevel()
    return made


def siglip_tokenizer() -> tokenizers.Tokenizer:
    """A unigram tokenizer that puts an end token behind, as SigLIP's."""
    pieces = ["<pad>", "</s>", "<unk>", "\u2581", *(chr(code) for code in range(33, 127)), "\u2581the", "fox", "and"]
    made = tokenizers.Tokenizer(models.Unigram([(piece, -float(1 + i % 7)) for i, piece in enumerate(pieces)], 2))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return made


Output = Callable[[Any], Any]


def of_pictures(auto: Any, take: Output) -> Callable[[Path], Mapping[str, Any]]:
    """What a vision model makes of the pictures, scaled to length 1."""

    def compute(folder: Path) -> Mapping[str, Any]:
        model = auto.from_pretrained(folder, dtype=torch.float32).eval()
        with torch.no_grad():
            vectors = take(model(pixel_values=pixels()))
        return {"images": torch.nn.functional.normalize(vectors.flatten(1), dim=1).numpy()}

    return compute


def of_texts(auto: Any, take: Output, length: int | None) -> Callable[[Path], Mapping[str, Any]]:
    """What a text half makes of the texts, scaled to length 1, each text by itself."""

    def compute(folder: Path) -> Mapping[str, Any]:
        model = auto.from_pretrained(folder, dtype=torch.float32).eval()
        tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        limit = length or 24
        tokenizer.enable_truncation(limit)
        rows = []
        for text in TEXTS:
            ids = tokenizer.encode(text).ids
            if length:
                ids += [0] * (length - len(ids))
            with torch.no_grad():
                rows.append(take(model(input_ids=torch.tensor([ids]))))
        return {"documents": torch.nn.functional.normalize(torch.cat(rows), dim=1).numpy()}

    return compute


def save(model: Any, folder: Path, processor: str | None, *, bare: bool = True) -> None:
    """Save a model, and what prepares pictures."""
    model.save_pretrained(folder)
    if not bare:
        (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"}))
    if processor:
        (folder / "preprocessor_config.json").write_text(
            json.dumps({**PROCESSOR, "image_processor_type": processor}, indent=1)
        )


def vision(name: str, model: Any, processor: str, auto: Any, take: Output, *, architecture: str, head: str) -> None:
    """Make a row of a vision model."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        save(model, folder, processor)
        make_row(
            name,
            folder,
            of_pictures(auto, take),
            architecture=architecture,
            head=head,
            kind="image",
            library=LIBRARY,
        )


def text_half(
    name: str, model: Any, auto: Any, take: Output, *, architecture: str, head: str, length: int | None = None
) -> None:
    """Make a row of a text half."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        model.save_pretrained(folder)
        tokenizer = siglip_tokenizer() if "siglip" in architecture else clip_tokenizer()
        tokenizer.save(str(folder / "tokenizer.json"))
        pad = "</s>" if "siglip" in architecture else "<|endoftext|>"
        (folder / "tokenizer_config.json").write_text(
            json.dumps({"model_max_length": length or 24, "pad_token": "<pad>" if length else pad})
        )
        make_row(
            name,
            folder,
            of_texts(auto, take, length),
            architecture=architecture,
            head=head,
            kind="dense",
            library=LIBRARY,
        )


def main() -> None:
    """Make all rows."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    t = transformers
    pooler: Output = lambda output: output.pooler_output  # noqa: E731
    first: Output = lambda output: output.last_hidden_state[:, 0]  # noqa: E731
    image: Output = lambda output: output.image_embeds  # noqa: E731
    text: Output = lambda output: output.text_embeds  # noqa: E731

    vit = t.ViTConfig(**TOWER, **PATCHES)
    vision("vit-pooler", t.ViTModel(vit), "ViTImageProcessor", t.ViTModel, pooler, architecture="vit", head="pooler")
    vision(
        "vit-first",
        t.ViTForImageClassification(vit),
        "ViTImageProcessor",
        lambda: None,
        first,
        architecture="vit",
        head="first token",
    ) if False else None
    dinov2 = t.Dinov2Config(**{**TOWER, "mlp_ratio": 2}, **PATCHES)
    vision(
        "dinov2",
        t.Dinov2Model(dinov2),
        "BitImageProcessor",
        t.Dinov2Model,
        pooler,
        architecture="dinov2",
        head="first token",
    )
    swiglu = t.Dinov2Config(**{**TOWER, "mlp_ratio": 2}, **PATCHES, use_swiglu_ffn=True)
    vision(
        "dinov2-swiglu",
        t.Dinov2Model(swiglu),
        "BitImageProcessor",
        t.Dinov2Model,
        pooler,
        architecture="dinov2",
        head="first token, SwiGLU",
    )
    registers = t.Dinov2WithRegistersConfig(**{**TOWER, "mlp_ratio": 2}, **PATCHES, num_register_tokens=3)
    vision(
        "dinov2-registers",
        t.Dinov2WithRegistersModel(registers),
        "BitImageProcessor",
        t.Dinov2WithRegistersModel,
        pooler,
        architecture="dinov2_with_registers",
        head="first token",
    )

    clip_vision = t.CLIPVisionConfig(**TOWER, **PATCHES, projection_dim=24)
    clip_text = t.CLIPTextConfig(
        **TOWER,
        vocab_size=600,
        max_position_embeddings=24,
        eos_token_id=599,
        bos_token_id=598,
        pad_token_id=599,
        projection_dim=24,
    )
    vision(
        "clip-vision-projection",
        t.CLIPVisionModelWithProjection(clip_vision),
        "CLIPImageProcessor",
        t.CLIPVisionModelWithProjection,
        image,
        architecture="clip",
        head="image projection",
    )
    vision(
        "clip-vision",
        t.CLIPVisionModel(clip_vision),
        "CLIPImageProcessor",
        t.CLIPVisionModel,
        pooler,
        architecture="clip",
        head="image pooler",
    )
    both = t.CLIPConfig(text_config=clip_text.to_dict(), vision_config=clip_vision.to_dict(), projection_dim=24)
    vision(
        "clip-both-vision",
        t.CLIPModel(both),
        "CLIPImageProcessor",
        t.CLIPVisionModelWithProjection,
        image,
        architecture="clip",
        head="image projection, of both halves",
    )
    text_half(
        "clip-text-projection",
        t.CLIPTextModelWithProjection(clip_text),
        t.CLIPTextModelWithProjection,
        text,
        architecture="clip",
        head="text projection",
    )
    text_half(
        "clip-both-text",
        t.CLIPModel(both),
        t.CLIPTextModelWithProjection,
        text,
        architecture="clip",
        head="text projection, of both halves",
    )

    siglip_vision = t.SiglipVisionConfig(**TOWER, **PATCHES)
    siglip_text = t.SiglipTextConfig(
        **TOWER,
        vocab_size=300,
        max_position_embeddings=16,
        projection_size=32,
        pad_token_id=1,
        eos_token_id=1,
        bos_token_id=2,
    )
    vision(
        "siglip-vision",
        t.SiglipVisionModel(siglip_vision),
        "SiglipImageProcessor",
        t.SiglipVisionModel,
        pooler,
        architecture="siglip",
        head="attention pooling",
    )
    pair = t.SiglipConfig(text_config=siglip_text.to_dict(), vision_config=siglip_vision.to_dict())
    vision(
        "siglip-both-vision",
        t.SiglipModel(pair),
        "SiglipImageProcessor",
        t.SiglipVisionModel,
        pooler,
        architecture="siglip",
        head="attention pooling, of both halves",
    )
    text_half(
        "siglip-text",
        t.SiglipTextModel(siglip_text),
        t.SiglipTextModel,
        pooler,
        architecture="siglip",
        head="last position",
        length=16,
    )
    text_half(
        "siglip-both-text",
        t.SiglipModel(pair),
        t.SiglipTextModel,
        pooler,
        architecture="siglip",
        head="last position, of both halves",
        length=16,
    )

    for layer_type in ("basic", "bottleneck"):
        resnet = t.ResNetConfig(embedding_size=16, hidden_sizes=[16, 24, 32], depths=[1, 2, 1], layer_type=layer_type)
        vision(
            f"resnet-{layer_type}",
            t.ResNetModel(resnet),
            "ConvNextImageProcessor",
            t.ResNetModel,
            pooler,
            architecture="resnet",
            head=f"mean of the map, {layer_type} layers",
        )


if __name__ == "__main__":
    main()
