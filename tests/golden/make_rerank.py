"""Make ``rerank_fastembed.json``: what fastembed 0.9.1 gives for small cross-encoders of all eight forms it knows.

Run in the environment of the peers, from the repository's root: ``python -m tests.golden.make_rerank``.
"""

from __future__ import annotations

import json
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

from fastembed.common.model_description import ModelSource
from fastembed.rerank.cross_encoder import TextCrossEncoder

from tests.fixtures.rerank_models import FURTHER_VARIANTS, PAIRS, QUERY, VARIANTS, Variant, write_variant

GOLDEN = Path(__file__).with_name("rerank_fastembed.json")


def results(one: Variant, folder: Path) -> dict[str, Any]:
    """Run fastembed on a variant.

    Args:
        one: The variant.
        folder: An empty folder.

    Returns:
        The scores, rounded to seven decimals, and the sum of the tokens.
    """
    if one not in VARIANTS:
        TextCrossEncoder.add_custom_model(one.model, ModelSource(hf=one.model), model_file=one.model_file)
    model = TextCrossEncoder(one.model, specific_model_path=str(write_variant(folder, one)), cuda=False)
    batch_size = 1 if one.alone else 64
    documents = [document for query, document in PAIRS if query == QUERY]
    return {
        "rerank": [round(score, 7) for score in model.rerank(QUERY, documents, batch_size=batch_size)],
        "rerank_pairs": [round(score, 7) for score in model.rerank_pairs(list(PAIRS), batch_size=batch_size)],
        "token_count": model.token_count(list(PAIRS)),
        "token_counts": [model.token_count([pair]) for pair in PAIRS],
    }


def main() -> None:
    """Write the golden file."""
    variants = {}
    for one in (*VARIANTS, *(further for further in FURTHER_VARIANTS if further.name in ("swapped", "padded_left"))):
        with tempfile.TemporaryDirectory() as folder:
            variants[one.name] = results(one, Path(folder))
    made_with = {package: metadata.version(package) for package in ("fastembed", "onnxruntime", "tokenizers")}
    content = {"made_with": made_with, "pairs": PAIRS, "variants": variants}
    lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in content.items())
    GOLDEN.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
