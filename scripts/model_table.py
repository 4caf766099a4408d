"""The model tables of the documentation, made from the catalogue so that they cannot go stale.

python scripts/model_table.py docs/models.md           rewrite the tables
python scripts/model_table.py --check docs/models.md   fail when they are out of date
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from onnxembed import (
    ImageEmbedding,
    LateInteractionMultimodalEmbedding,
    LateInteractionTextEmbedding,
    SparseTextEmbedding,
    TextCrossEncoder,
)
from onnxembed.text.known import dense_registry
from onnxembed.text.spec import DenseModel

_MARKED = re.compile(r"(<!-- (models|other models):begin -->\n).*?(<!-- \2:end -->)", re.DOTALL)
_OTHERS = (
    ("sparse", SparseTextEmbedding),
    ("reranker", TextCrossEncoder),
    ("late interaction", LateInteractionTextEmbedding),
    ("image", ImageEmbedding),
    ("late interaction, text and image", LateInteractionMultimodalEmbedding),
)


def _row(model: DenseModel) -> str:
    matryoshka = "" if model.matryoshka is None else ", ".join(map(str, model.matryoshka.dims)) or "any"
    sides = [side for side, prompt in (("query", model.prompts.query), ("passage", model.prompts.passage)) if prompt]
    pooling = "static" if model.static else model.pooling.value.lower().replace("_", " ")
    cells = (
        f"`{model.name}`",
        str(model.dim),
        str(model.max_tokens or ""),
        f"{model.size_in_gb:g}",
        pooling,
        "yes" if model.normalize else "no",
        " + ".join(sides),
        matryoshka,
        model.license,
    )
    return f"| {' | '.join(cells)} |"


def table() -> str:
    """Draw the table.

    Returns:
        Markdown, with a final newline.
    """
    head = "| model | dim | tokens | GB | pooling | unit length | prompts | Matryoshka | licence |"
    return "\n".join([head, "|---|--:|--:|--:|---|---|---|---|---|", *map(_row, dense_registry.catalogue())]) + "\n"


def other_table() -> str:
    """Draw the table of the models that are not dense.

    Returns:
        Markdown, with a final newline.
    """
    lines = ["| model | kind | dim | tokens | GB | licence |", "|---|---|--:|--:|--:|---|"]
    for kind, facade in _OTHERS:
        for entry in facade.list_supported_models():
            cells = (f"`{entry['model']}`", kind, entry.get("dim"), entry.get("max_tokens"), entry["size_in_GB"])
            shown = ["" if cell is None else str(cell) for cell in cells]
            lines.append(f"| {' | '.join(shown)} | {entry['license']} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Check or rewrite the table.

    Returns:
        The exit status.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("page", type=Path)
    arguments = parser.parse_args()
    text = arguments.page.read_text(encoding="utf-8")
    tables = {"models": table, "other models": other_table}
    fresh = _MARKED.sub(lambda marks: marks[1] + tables[marks[2]]() + marks[3], text)
    if arguments.check and fresh != text:
        sys.stderr.write(
            f"the model tables of {arguments.page} are out of date: run python scripts/model_table.py docs/models.md\n"
        )
        return 1
    if not arguments.check:
        arguments.page.write_text(fresh, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
