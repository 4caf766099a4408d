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
PROCESSOR: dict[str, Any] = {
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


def pixels() -> torch.Tensor:
    """The pictures as models take them, by the formula of ``PROCESSOR``."""
    stacked = np.stack(pictures()).astype(np.float32) * np.float32(1 / 255)
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


Take = Callable[..., Any]


def of_pictures(model_class: Any, take: Take) -> Callable[[Path], Mapping[str, Any]]:
    """What a vision model makes of the pictures, scaled to length 1."""

    def compute(folder: Path) -> Mapping[str, Any]:
        model = model_class.from_pretrained(folder, dtype=torch.float32).eval()
        with torch.no_grad():
            vectors = take(model, pixel_values=pixels())
        return {"images": torch.nn.functional.normalize(vectors.flatten(1), dim=1).numpy()}

    return compute


def of_texts(model_class: Any, take: Take, limit: int, *, fixed: bool) -> Callable[[Path], Mapping[str, Any]]:
    """What a text half makes of the texts, scaled to length 1, each by itself; ``fixed`` pads them to the limit."""

    def compute(folder: Path) -> Mapping[str, Any]:
        model = model_class.from_pretrained(folder, dtype=torch.float32).eval()
        tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        tokenizer.enable_truncation(limit)
        rows = []
        for text in TEXTS:
            ids = tokenizer.encode(text).ids
            if fixed:
                ids += [1] * (limit - len(ids))
            with torch.no_grad():
                rows.append(take(model, input_ids=torch.tensor([ids])))
        return {"documents": torch.nn.functional.normalize(torch.cat(rows), dim=1).numpy()}

    return compute


def make_vision() -> None:
    """Make the rows of models that read pictures."""
    t = transformers
    dino = {**TOWER, "mlp_ratio": 2}
    vit = t.ViTConfig(**TOWER, **PATCHES)
    clip_both, siglip_both = clip_config(), siglip_config()
    clip, siglip = clip_both.vision_config, siglip_both.vision_config
    larger = {**PATCHES, "image_size": PICTURE_SIDE + 16}
    rows = (
        ("vit-pooler", t.ViTModel(vit), "ViT", pooled, "pooler"),
        ("vit-first", t.ViTForImageClassification(vit), "ViT", first_of_classifier, "first token of a classifier"),
        ("dinov2", t.Dinov2Model(t.Dinov2Config(**dino, **PATCHES)), "Bit", pooled, "first token"),
        ("dinov2-swiglu", t.Dinov2Model(t.Dinov2Config(**dino, **PATCHES, use_swiglu_ffn=True)), "Bit", pooled,
         "first token, SwiGLU"),
        ("dinov2-resized", t.Dinov2Model(t.Dinov2Config(**dino, **larger)), "Bit", pooled,
         "first token, positions scaled"),
        ("dinov2-registers", t.Dinov2WithRegistersModel(
            t.Dinov2WithRegistersConfig(**dino, **larger, num_register_tokens=3)
        ), "Bit", pooled, "first token, registers, positions scaled"),
        ("clip-vision", t.CLIPVisionModel(clip), "CLIP", pooled, "image half"),
        ("clip-vision-projection", t.CLIPVisionModelWithProjection(clip), "CLIP", image_embeds,
         "image half, projection"),
        ("clip-both-vision", t.CLIPModel(clip_both), "CLIP", image_features, "image half of both"),
        ("siglip-vision", t.SiglipVisionModel(siglip), "Siglip", pooled, "image half"),
        ("siglip-both-vision", t.SiglipModel(siglip_both), "Siglip", image_features, "image half of both"),
        ("resnet-basic", t.ResNetModel(resnet_config("basic")), "ViT", pooled, "mean of the map, basic layers"),
        ("resnet-bottleneck", t.ResNetModel(resnet_config("bottleneck")), "ViT", pooled,
         "mean of the map, bottlenecks"),
        ("resnet-early", t.ResNetModel(resnet_config(
            "bottleneck", downsample_in_bottleneck=True, downsample_in_first_stage=True
        )), "ViT", pooled, "mean of the map, early strides"),
    )  # fmt: skip
    for name, model, processor, take, head in rows:
        with tempfile.TemporaryDirectory() as made:
            folder = Path(made)
            model.save_pretrained(folder)
            stated = {**PROCESSOR, "image_processor_type": f"{processor}ImageProcessor"}
            (folder / "preprocessor_config.json").write_text(json.dumps(stated))
            make_row(
                name,
                folder,
                of_pictures(type(model), take),
                architecture=model.config.model_type.removesuffix("_vision_model"),
                head=head,
                kind="image",
                library=LIBRARY,
            )


def make_text_halves() -> None:
    """Make the rows of the text halves."""
    t = transformers
    clip_both, siglip_both = clip_config(), siglip_config()
    clip, siglip = clip_both.text_config, siglip_both.text_config
    side = clip.max_position_embeddings
    length = siglip.max_position_embeddings
    older = t.CLIPTextConfig(**{**clip.to_dict(), "eos_token_id": 2})
    rows = (
        ("clip-text", t.CLIPTextModel(clip), pooled, side, "text half"),
        ("clip-text-projection", t.CLIPTextModelWithProjection(clip), text_embeds, side, "text half, projection"),
        ("clip-text-older", t.CLIPTextModelWithProjection(older), text_embeds, side, "text half, largest id last"),
        ("clip-both-text", t.CLIPModel(clip_both), text_features, side, "text half of both"),
        ("siglip-text", t.SiglipTextModel(siglip), pooled, length, "text half"),
        ("siglip-both-text", t.SiglipModel(siglip_both), text_features, length, "text half of both"),
    )
    for name, model, take, limit, head in rows:
        with tempfile.TemporaryDirectory() as made:
            folder = Path(made)
            model.save_pretrained(folder)
            fixed = name.startswith("siglip")
            (siglip_tokenizer() if fixed else clip_tokenizer()).save(str(folder / "tokenizer.json"))
            stated = {"model_max_length": limit, "pad_token": "</s>" if fixed else "<|endoftext|>"}
            (folder / "tokenizer_config.json").write_text(json.dumps(stated))
            make_row(
                name,
                folder,
                of_texts(type(model), take, limit, fixed=fixed),
                architecture=model.config.model_type.removesuffix("_text_model"),
                head=head,
                kind="dense",
                library=LIBRARY,
            )


def clip_config() -> transformers.CLIPConfig:
    """Both halves of a small CLIP."""
    text = {
        **TOWER, "vocab_size": 600, "max_position_embeddings": 24, "eos_token_id": 599, "bos_token_id": 598,
        "pad_token_id": 599, "projection_dim": 24,
    }  # fmt: skip
    return transformers.CLIPConfig(
        text_config=text, vision_config={**TOWER, **PATCHES, "projection_dim": 24}, projection_dim=24
    )


def siglip_config() -> transformers.SiglipConfig:
    """Both halves of a small SigLIP."""
    text = {
        **TOWER, "vocab_size": 300, "max_position_embeddings": 16, "projection_size": 32, "pad_token_id": 1,
        "eos_token_id": 1, "bos_token_id": 2,
    }  # fmt: skip
    return transformers.SiglipConfig(text_config=text, vision_config={**TOWER, **PATCHES})


def resnet_config(layer_type: str, **further: bool) -> transformers.ResNetConfig:
    """A small ResNet."""
    sizes = {"embedding_size": 16, "hidden_sizes": [16, 24, 32], "depths": [1, 2, 1]}
    return transformers.ResNetConfig(**sizes, layer_type=layer_type, **further)


def pooled(model: Any, **inputs: Any) -> Any:
    """The model's own vector."""
    return model(**inputs).pooler_output


def first_of_classifier(model: Any, **inputs: Any) -> Any:
    """The first position of what a classifier stands on."""
    return model.vit(**inputs).last_hidden_state[:, 0]


def image_embeds(model: Any, **inputs: Any) -> Any:
    """The projected vectors of pictures."""
    return model(**inputs).image_embeds


def text_embeds(model: Any, **inputs: Any) -> Any:
    """The projected vectors of texts."""
    return model(**inputs).text_embeds


def image_features(model: Any, **inputs: Any) -> Any:
    """The vectors of pictures of a model of two halves."""
    features = model.get_image_features(**inputs)
    return getattr(features, "pooler_output", features)


def text_features(model: Any, **inputs: Any) -> Any:
    """The vectors of texts of a model of two halves."""
    features = model.get_text_features(**inputs)
    return getattr(features, "pooler_output", features)


def main() -> None:
    """Make all rows."""
    torch.set_num_threads(1)
    make_vision()
    make_text_halves()


if __name__ == "__main__":
    main()
