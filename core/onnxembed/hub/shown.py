"""Addresses and servers' words, fit for messages and logs: no passwords, no control characters."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from onnxembed.errors import InputError

_USER = re.compile(r"(?<=://)[^/\s?#]*@")
_MOST_CHARACTERS = 600


def shown_text(text: str) -> str:
    """Give a text of a server or of an HTTP library on one line, without users and passwords in addresses."""
    # A terminal would obey control characters, and a log would take line breaks for entries.
    plain = "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in _USER.sub("", text.strip()))
    return plain if len(plain) <= _MOST_CHARACTERS else f"{plain[:_MOST_CHARACTERS]}..."


def shown_address(url: str) -> str:
    """An http or https address without what may be secret: user, password, query and fragment."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise InputError(f"the archive's address starts with {parts.scheme!r}; expected http:// or https:// and a host")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = f":{parts.port}" if parts.port else ""
    return shown_text(f"{parts.scheme}://{host}{port}{parts.path}")
