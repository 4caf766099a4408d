"""The prompts of ``config_sentence_transformers.json``, by their names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnxembed.formats.facts import Facts

SETTINGS_FILE = "config_sentence_transformers.json"
DOCUMENT_NAMES = ("document", "passage", "corpus")
"""What the prompt of documents has been called; the first one that is there counts."""


@dataclass(frozen=True, slots=True)
class StoredPrompts:
    """What is put before texts.

    Attributes:
        by_name: Each prompt's name and text, in the order of the file.
        default_name: The prompt of texts whose input type is not said; ``None`` for none.
    """

    by_name: tuple[tuple[str, str], ...] = ()
    default_name: str | None = None

    @property
    def query(self) -> str:
        """What is put before a query."""
        return dict(self.by_name).get("query", "")

    @property
    def document(self) -> str:
        """What is put before a document."""
        texts = dict(self.by_name)
        return next((texts[name] for name in DOCUMENT_NAMES if name in texts), "")

    @property
    def default(self) -> str:
        """What is put before a text whose input type is not said."""
        return "" if self.default_name is None else dict(self.by_name)[self.default_name]


def read_prompts(settings: Facts) -> StoredPrompts:
    """Read the prompts; a default that is not among them is a `ModelError`. Those that are ``null`` are left out."""
    section = settings.section("prompts")
    by_name = tuple((name, section.text(name)) for name in section.keys() if _stated(section, name))  # noqa: SIM118
    default = settings.text("default_prompt_name", "") or None
    if default is not None and default not in section.keys():  # noqa: SIM118  # it is no mapping
        raise settings.wrong("default_prompt_name", default, f"one of its prompts ({', '.join(section.keys())})")
    if default is not None and not section.has(default):
        default = None
    return StoredPrompts(by_name, default)


def _stated(section: Facts, name: str) -> bool:
    """Tell whether a prompt has a text; it counts as read either way."""
    return section.value(name) is not None
