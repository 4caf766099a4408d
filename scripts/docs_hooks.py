"""Pages of the documentation that are made when it is built: the reference from the public names, the notebooks.

``mkdocs.yml`` names this file under ``hooks``.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

ROOT = Path(__file__).parents[1]
FOLDERS = ("core", "integrations/fastembed", "integrations/langchain", "integrations/llamaindex")
sys.path[:0] = [str(ROOT / folder) for folder in FOLDERS]


@dataclass(frozen=True, slots=True)
class Page:
    """A page of the reference.

    Attributes:
        path: Its file in the documentation.
        title: Its heading.
        modules: Modules whose ``__all__`` it shows.
    """

    path: str
    title: str
    modules: tuple[str, ...]


REFERENCE = (
    Page("reference/engine.md", "The engine", ("onnxembed",)),
    Page("reference/cluster.md", "Batch engines and mteb", ("onnxembed.batches", "onnxembed.mteb")),
    Page("reference/care.md", "Models ahead, and the machine", ("onnxembed.care",)),
    Page("reference/errors.md", "Errors", ("onnxembed.errors",)),
    Page("reference/langchain.md", "LangChain", ("langchain_onnxembed",)),
    Page(
        "reference/llamaindex.md",
        "LlamaIndex",
        (
            "llama_index.embeddings.onnxembed",
            "llama_index.sparse_embeddings.onnxembed",
            "llama_index.postprocessor.onnxembed_rerank",
            "llama_index.retrievers.onnxembed",
        ),
    ),
    Page(
        "reference/fastembed.md", "fastembed", ("fastembed", "fastembed.rerank.cross_encoder", "fastembed.postprocess")
    ),
)


def names(module: str) -> list[str]:
    """Return the public names of a module."""
    return [name for name in importlib.import_module(module).__all__ if not name.startswith("_")]


def reference(page: Page) -> str:
    """Write a page of the reference."""
    parts = [f"# {page.title}\n"]
    for module in page.modules:
        if len(page.modules) > 1:
            parts.append(f"## {module}\n\n")
        for name in names(module):
            thing = getattr(importlib.import_module(module), name)
            parts.append("".join(_entry(identifier(module, name), thing)))
    return "\n".join(parts)


def identifier(module: str, name: str) -> str:
    """Return where the reference finds a name: an adapter's lazy module cannot be followed, so there it is the home."""
    if module.startswith("onnxembed"):
        return f"{module}.{name}"
    return f"{getattr(importlib.import_module(module), name).__module__}.{name}"


def _entry(where: str, thing: Any) -> Iterator[str]:
    if not _importable(where.rpartition(".")[0]):  # an extra that is not installed here
        yield f"## {thing.__name__} {{ #{where} }}\n\n{_docstring(where)}\n"
        return
    yield f"::: {where}\n"
    fields = getattr(thing, "model_fields", None)
    if fields is None or not inspect.isclass(thing):
        return
    yield "    options:\n      members: false\n      merge_init_into_class: false\n\n"
    yield "| field | default | |\n|---|---|---|\n"
    for field, info in sorted(fields.items()):
        default = "required" if info.is_required() else f"`{info.get_default(call_default_factory=False)!r}`"
        text = " ".join((info.description or "").split()).replace("|", "\\|")
        yield f"| `{field}` | {default if len(default) < _LONGEST else ''} | {text} |\n"
    yield "\n"


def _importable(module: str) -> bool:
    try:
        importlib.import_module(module)
    except ImportError:
        return False
    return True


def _docstring(where: str) -> str:
    """Read the docstring of a class from the source of its module."""
    module, _, name = where.rpartition(".")
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise SystemExit(f"{module} has no source")
    classes = [
        node for node in ast.parse(Path(spec.origin).read_text(encoding="utf-8")).body if isinstance(node, ast.ClassDef)
    ]
    return next(ast.get_docstring(node) or "" for node in classes if node.name == name)


_LONGEST = 60
"""Longer defaults, such as whole objects, are left out."""


def notebook(path: Path) -> tuple[str, Mapping[str, bytes]]:
    """Write a notebook as a page.

    Args:
        path: The notebook, with its saved outputs.

    Returns:
        Markdown, and the pictures that it shows, by file name.
    """
    from nbconvert import MarkdownExporter

    template = {"output_files_dir": f"{path.stem}_files"}
    exporter = MarkdownExporter()  # type: ignore[no-untyped-call]
    text, resources = exporter.from_filename(str(path), resources=template)
    return text, resources["outputs"]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made."""
    from mkdocs.structure.files import File

    for page in REFERENCE:
        files.append(File.generated(config, page.path, content=reference(page)))
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        text, pictures = notebook(path)
        files.append(File.generated(config, f"notebooks/{path.stem}.md", content=text))
        for name, content in pictures.items():
            files.append(File.generated(config, f"notebooks/{name}", content=content))
    return files
