"""Run the notebooks and save what their cells give.

    python scripts/save_notebooks.py [name ...]

The saved outputs are those of the committed cells: a test runs them again and compares the texts.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[1] / "notebooks"
_SECONDS = 600


def notebooks() -> list[Path]:
    """Give the paths of all notebooks."""
    return sorted(FOLDER.glob("*.ipynb"))


def executed(path: Path) -> Any:
    """Run a notebook from its first cell to its last, in a kernel of its own, and give it with its outputs."""
    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    resources = {"metadata": {"path": str(FOLDER)}}
    client = NotebookClient(notebook, timeout=_SECONDS, kernel_name="python3", resources=resources, record_timing=False)
    client.execute()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = _joined(cell.outputs)
    return notebook


def texts(notebook: Any) -> list[str]:
    """Give what each code cell prints; pictures are not compared, since they change with what draws them."""
    return [
        "".join(output.text for output in _joined(cell.outputs) if output.output_type == "stream")
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]


def _joined(outputs: list[Any]) -> list[Any]:
    """Outputs in which what was printed in a row is one: how a kernel cuts it depends on the time it takes."""
    joined: list[Any] = []
    for output in outputs:
        last = joined[-1] if joined else None
        if last is not None and output.output_type == last.output_type == "stream" and output.name == last.name:
            last.text += output.text
        else:
            joined.append(output)
    return joined


def main(names: list[str]) -> None:
    """Run and save the notebooks of these names, or all."""
    os.environ["HF_HUB_OFFLINE"] = "1"  # kernels inherit it
    for path in notebooks():
        if not names or path.stem in names:
            nbformat.write(executed(path), path)  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main(sys.argv[1:])
