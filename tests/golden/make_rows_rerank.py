"""Makes the rows of cross-encoders by sentence-transformers; see `tests.golden.row_maker`.

Those of each family's classification head are made by the makers of the families; these are of what the files say
besides: labels, functions, prompts, where the files lie. Run as ``python -m tests.golden.make_rows_rerank`` in the
environment of the peers, from the repository's root.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sentence_transformers
import torch
from sentence_transformers import CrossEncoder
from transformers import AutoModelForSequenceClassification

from tests.fixtures.model_rows import QUERY, TEXTS
from tests.golden.row_maker import make_row
from tests.golden.small_bodies import save_body

LIBRARY = f"sentence-transformers {sentence_transformers.__version__}"
Change = Callable[[Path], None]


def compute(folder: Path) -> dict[str, Any]:
    """Give the library's scores."""
    torch.set_num_threads(1)
    model = CrossEncoder(str(folder), device="cpu", local_files_only=True)
    return {"scores": model.predict([(QUERY, text) for text in TEXTS])}


def saved(family: str, folder: Path, labels: int, **settings: Any) -> None:
    """Save a cross-encoder as sentence-transformers does."""
    with tempfile.TemporaryDirectory() as body:
        save_body(family, AutoModelForSequenceClassification, Path(body), num_labels=labels)
        CrossEncoder(body, device="cpu", **settings).save(str(folder))


def without_stages(config: dict[str, Any]) -> Change:
    """Leave what versions before 5.4 wrote: no stages, and what is to know in ``config.json``."""

    def change(folder: Path) -> None:
        for name in ("modules.json", "config_sentence_transformers.json", "sentence_bert_config.json"):
            (folder / name).unlink()
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | config))

    return change


def in_a_folder(folder: Path) -> None:
    """Put the body into a folder of its own."""
    body = folder / "0_Transformer"
    body.mkdir()
    for path in [*folder.iterdir()]:
        if path.is_file() and path.name not in ("modules.json", "config_sentence_transformers.json"):
            path.rename(body / path.name)
    path = folder / "modules.json"
    stages = json.loads(path.read_text())
    stages[0]["path"] = body.name
    path.write_text(json.dumps(stages))


def main() -> None:
    """Write all rows."""
    with tempfile.TemporaryDirectory() as root:

        def row(name: str, family: str, labels: int, change: Change | None = None, **settings: Any) -> None:
            folder = Path(root, name)
            saved(family, folder, labels, **settings)
            if change is not None:
                change(folder)
            many = f" ({labels} labels)" if labels > 1 else ""
            make_row(
                name,
                folder,
                compute,
                architecture=family.removesuffix("-without-class"),
                head=f"classification{many}",
                kind="rerank",
                library=LIBRARY,
            )
            shutil.rmtree(folder)

        row("rerank-bert-softmax", "bert", 3, activation_fn=torch.nn.Softmax())
        row("rerank-bert-two-softmax", "bert", 2, activation_fn=torch.nn.Softmax())
        row("rerank-bert-identity", "bert", 1, activation_fn=torch.nn.Identity())
        row("rerank-roberta-tanh", "roberta", 1, activation_fn=torch.nn.Tanh())
        prompts = {"query": "find: ", "other": "other: "}
        row("rerank-bert-prompt", "bert", 1, prompts=prompts, default_prompt_name="query", max_length=20)
        row("rerank-bert-folder", "bert", 1, in_a_folder)
        identity = {"activation_fn": "torch.nn.modules.linear.Identity", "version": "4.1.0"}
        row("rerank-bert-4", "bert", 1, without_stages({"sentence_transformers": identity}))
        sigmoid = "torch.nn.modules.activation.Sigmoid"
        row("rerank-roberta-3", "roberta", 1, without_stages({"sbert_ce_default_activation_function": sigmoid}))
        row("rerank-bert-without-types", "bert-without-class", 1)
        row("rerank-modernbert", "modernbert", 1)


if __name__ == "__main__":
    main()
