"""The chat template of a reranker that is a language model: its text around instruction, query and document.

Templates are programs of Jinja, and none is run here. Read is the one form that published rerankers have: each part is
the content of the message of a role, with a text for one that is missing, and the rest is text with these parts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from onnxembed.errors import UnsupportedModelError
from onnxembed.hub.files import Files

_FILE = "chat_template.jinja"
_CONFIG = "tokenizer_config.json"
_ROLES = ("system", "query", "document")
_SET = re.compile(
    r"\s*\{%-? *set (?P<name>\w+) *= *messages *\| *selectattr\(\"role\", *\"eq\", *\"(?P<role>\w+)\"\)"
    r" *\| *map\(attribute=\"content\"\) *\| *first(?: *\| *default\(\"(?P<default>[^\"\\]*)\", *true\))? *-%\}"
)
_PART = re.compile(r"\{\{ *(\w+) *\}\}")


@dataclass(frozen=True, slots=True)
class ChatTemplate:
    """What a language model is asked about a pair.

    Attributes:
        texts: The texts around the parts, one more than these.
        parts: The role of each part: ``system`` for the instruction, ``query``, ``document``.
        instruction: The instruction where the caller has none.
    """

    texts: tuple[str, ...]
    parts: tuple[str, ...]
    instruction: str

    def render(self, instruction: str, query: str, document: str) -> str:
        """Ask about a pair; without an instruction by that of the template."""
        contents = {"system": instruction or self.instruction, "query": query, "document": document}
        return "".join(
            [self.texts[0], *(f"{contents[part]}{text}" for part, text in zip(self.parts, self.texts[1:], strict=True))]
        )


def read_chat_template(files: Files, body: str) -> ChatTemplate:
    """Read the template in the folder of a model; one of another form is an `UnsupportedModelError`."""
    name = PurePosixPath(body, _FILE).as_posix()
    if files.has(name):
        return parse_chat_template(files.read(name).decode("utf-8", "replace"), files.label(name))
    config = files.facts(PurePosixPath(body, _CONFIG).as_posix())
    return parse_chat_template(config.text("chat_template", ""), f"{config.where}: chat_template")


def parse_chat_template(source: str, where: str) -> ChatTemplate:
    """Read a template; ``where`` is what messages call it."""
    roles: dict[str, str] = {}
    defaults: dict[str, str] = {}
    rest = source.replace("\r\n", "\n")
    while found := _SET.match(rest):
        roles[found["name"]] = found["role"]
        defaults[found["role"]] = found["default"] or ""
        rest = rest[found.end() :].lstrip()
    texts, names = _PART.split(rest)[::2], _PART.findall(rest)
    parts = tuple(roles.get(name, "") for name in names)
    known = set(parts) <= set(_ROLES) and {"query", "document"} <= set(parts)
    if not known or any(mark in text for text in texts for mark in ("{%", "{{", "{#", "}}", "%}")):
        raise UnsupportedModelError(
            f"{where} is no template of a reranker that is known here: expected one that puts the contents of the "
            "roles 'query' and 'document', and of 'system' for an instruction, into a fixed text"
        )
    # Of the newlines at its end Jinja leaves out the last one.
    texts[-1] = texts[-1].removesuffix("\n")
    return ChatTemplate(tuple(texts), parts, defaults.get("system", ""))
