"""Makes the models that both libraries load in the comparisons: true architectures, random weights, real tokenizer.

Runs in the environment of the peers, which has PyTorch: ``python benchmarks/models.py KIND FOLDER TOKENIZER_FOLDER``.
"""

from __future__ import annotations

import argparse
import json
import shutil
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

TOKENIZER_FILES = ("special_tokens_map.json", "tokenizer.json", "tokenizer_config.json")
# The size of all-MiniLM-L6-v2.
SIZES = {"num_hidden_layers": 6, "hidden_size": 384, "num_attention_heads": 12, "intermediate_size": 1536}
BATCH = {0: "batch", 1: "sequence"}


def _text_inputs() -> dict[str, Any]:
    import torch

    ids = torch.randint(1000, 2000, (2, 8))
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "token_type_ids": torch.zeros_like(ids)}


def _export(
    model: Any, folder: Path, inputs: dict[str, Any], output: str, axes: dict[int, str], file: str = "model.onnx"
) -> None:
    import torch

    class Named(torch.nn.Module):  # type: ignore[misc]  # torch is installed apart from us: a base of no known type
        """Gives one tensor, and takes its inputs by position."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *values: Any) -> Any:
            result = self.model(**dict(zip(inputs, values, strict=True)))
            return result if isinstance(result, torch.Tensor) else result[output]

    dynamic = {name: BATCH if value.dim() == 2 else {0: "batch"} for name, value in inputs.items()} | {output: axes}
    torch.onnx.export(
        Named().eval(),
        tuple(inputs.values()),
        str(folder / file),
        input_names=list(inputs),
        output_names=[output],
        dynamic_axes=dynamic,
        opset_version=17,
        dynamo=False,
    )


def make_splade(folder: Path) -> None:
    """A masked-language model with the full vocabulary."""
    from transformers import BertConfig, BertForMaskedLM

    model = BertForMaskedLM(BertConfig(**SIZES))
    model.save_pretrained(folder / "torch")
    _export(model, folder, _text_inputs(), "logits", {0: "batch", 1: "sequence"})


def make_cross_encoder(folder: Path) -> None:
    """A classifier with one label."""
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig(**SIZES, num_labels=1)
    (folder / "onnx").mkdir()
    model = BertForSequenceClassification(config)
    model.save_pretrained(folder / "torch")
    _export(model, folder, _text_inputs(), "logits", {0: "batch"}, "onnx/model.onnx")
    (folder / "config.json").write_text(
        json.dumps({"pad_token_id": 0, "architectures": ["BertForSequenceClassification"], "num_labels": 1})
    )


def make_colbert(folder: Path) -> None:
    """A BERT with a projection to 128 numbers per token."""
    import torch
    from transformers import BertConfig, BertModel

    class Colbert(torch.nn.Module):  # type: ignore[misc]  # torch is installed apart from us: a base of no known type
        def __init__(self) -> None:
            super().__init__()
            self.bert = BertModel(BertConfig(**SIZES), add_pooling_layer=False)
            self.linear = torch.nn.Linear(SIZES["hidden_size"], 128, bias=False)

        def forward(self, **inputs: Any) -> Any:
            vectors = self.linear(self.bert(**inputs)[0])
            return torch.nn.functional.normalize(vectors, dim=-1)

    model = Colbert()
    save_colbert(model, folder / "torch")
    inputs = _text_inputs()
    del inputs["token_type_ids"]  # the other library cannot run a graph that has them
    _export(model, folder, inputs, "contextual", {0: "batch", 1: "sequence"})


def save_colbert(model: Any, folder: Path) -> None:
    """In the form of the published ColBERT checkpoints, which sentence-transformers reads."""
    from safetensors.torch import save_file
    from transformers import BertConfig

    folder.mkdir()
    save_file(model.state_dict(), folder / "model.safetensors", metadata={"format": "pt"})
    config = BertConfig(**SIZES).to_dict() | {"architectures": ["HF_ColBERT"]}
    (folder / "config.json").write_text(json.dumps(config, default=str))
    (folder / "artifact.metadata").write_text(json.dumps({"dim": 128, "query_maxlen": 32, "doc_maxlen": 512}))


def make_image(folder: Path) -> None:
    """CLIP's vision half at the size of ViT-B/32."""
    import torch
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    model = CLIPVisionModelWithProjection(CLIPVisionConfig(projection_dim=512))
    _export(model, folder, {"pixel_values": torch.randn(2, 3, 224, 224)}, "image_embeds", {0: "batch"})
    (folder / "preprocessor_config.json").write_text(
        json.dumps(
            {
                "image_processor_type": "CLIPImageProcessor",
                "do_resize": True,
                "size": {"shortest_edge": 224},
                "resample": 3,
                "do_center_crop": True,
                "crop_size": {"height": 224, "width": 224},
                "do_rescale": True,
                "rescale_factor": 1 / 255,
                "do_normalize": True,
                "image_mean": [0.48145466, 0.4578275, 0.40821073],
                "image_std": [0.26862954, 0.26130258, 0.27577711],
                "do_convert_rgb": True,
            }
        )
    )


MAKERS: Mapping[str, Callable[[Path], None]] = {
    "splade": make_splade,
    "cross-encoder": make_cross_encoder,
    "colbert": make_colbert,
    "image": make_image,
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=MAKERS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("tokenizer", type=Path)
    parser.add_argument("--max-length", type=int, default=512)
    chosen = parser.parse_args()
    import torch

    torch.manual_seed(0)
    warnings.simplefilter("ignore")
    chosen.folder.mkdir(parents=True)
    (chosen.folder / "config.json").write_text(json.dumps({"pad_token_id": 0, "model_type": "bert"}))
    with torch.no_grad():
        MAKERS[chosen.kind](chosen.folder)
    for folder in filter(Path.is_dir, (chosen.folder, chosen.folder / "torch")):
        for name in TOKENIZER_FILES:
            shutil.copy(chosen.tokenizer / name, folder / name)
        path = folder / "tokenizer_config.json"
        config = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps({**config, "model_max_length": chosen.max_length, "max_length": chosen.max_length}))


if __name__ == "__main__":
    main()
