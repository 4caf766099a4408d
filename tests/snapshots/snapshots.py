"""What the packages promise, as text: each snapshot is a file here and the function that makes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from tests.snapshots import fields, loaded, messages, signatures

FOLDER = Path(__file__).parent
REWRITE = "python -m tests.snapshots"
IMPORT_TIME = "import_time.txt"

SNAPSHOTS: Mapping[str, Callable[[], str]] = {
    "errors.txt": messages.errors,
    "fields_langchain.txt": fields.langchain,
    "fields_llama_index.txt": fields.llama_index,
    "loaded.txt": loaded.loaded,
    "messages.txt": messages.messages,
    "signatures_core.txt": signatures.core,
    "signatures_langchain.txt": signatures.langchain,
    "signatures_llama_index.txt": signatures.llama_index,
}


def made(name: str) -> str:
    """A snapshot of the code as it is now."""
    return SNAPSHOTS[name]().rstrip() + "\n"


def kept(name: str) -> str:
    """The snapshot that was agreed on."""
    return (FOLDER / name).read_text(encoding="utf-8")


def keep(name: str, text: str) -> None:
    """Agree on a snapshot."""
    (FOLDER / name).write_text(text, encoding="utf-8", newline="\n")
