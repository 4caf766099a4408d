"""Make ``late_interaction.json``: what fastembed 0.9.1 gives for the small late-interaction models.

Run by ``make golden`` in the environment of the peers, from the repository's root.
"""

from __future__ import annotations

import json
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

from fastembed import LateInteractionTextEmbedding

from tests.fixtures.late_interaction_models import DOCUMENTS, FORMS, QUERIES, Form, write_form

GOLDEN = Path(__file__).with_name("late_interaction.json")


def results(form: Form, folder: Path) -> dict[str, Any]:
    """Run fastembed on a form.

    Args:
        form: The form.
        folder: An empty folder.

    Returns:
        The vectors of both sides, token counts of every kind, and the ids that documents leave out.
    """
    model = LateInteractionTextEmbedding(form.name, specific_model_path=str(write_form(folder, form)), cuda=False)
    counts = {
        f"{'documents' if is_doc else 'queries'}{'_extended' if extended else ''}": model.token_count(
            list(DOCUMENTS if is_doc else QUERIES), is_doc=is_doc, include_extension=extended
        )
        for is_doc in (True, False)
        for extended in (True, False)
    }
    return {
        "documents": [vectors.astype(float).round(6).tolist() for vectors in model.embed(list(DOCUMENTS))],
        "queries": [vectors.astype(float).round(6).tolist() for vectors in model.query_embed(list(QUERIES))],
        "counts": counts,
        "skipped": sorted(int(number) for number in model.model.skip_list),  # type: ignore[attr-defined]
    }


def main() -> None:
    """Write the golden file."""
    forms = {}
    for form in FORMS:
        with tempfile.TemporaryDirectory() as folder:
            forms[form.name] = results(form, Path(folder))
    content = {"made_with": {"fastembed": metadata.version("fastembed")}, "forms": forms}
    GOLDEN.write_text(json.dumps(content, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
