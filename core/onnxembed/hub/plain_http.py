"""A small HTTP client on the standard library, for archives.

Archives often have signed addresses. Full-grown clients log every address; this one logs nothing.
"""

from __future__ import annotations

import contextlib
import http.client
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING
from urllib.parse import urlsplit

from onnxembed.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_CHUNK_BYTES = 1 << 18


@dataclass(frozen=True, slots=True)
class PlainResponse:
    """An answer, its body not yet read; names of headers are in lower case."""

    status_code: int
    headers: Mapping[str, str]
    body: IO[bytes]

    def iter_bytes(self) -> Iterator[bytes]:
        """The body as it comes; a `ConnectionError` if it ends too early or breaks the protocol."""
        try:
            # ``read1`` hands on what is there, so a slow server is noticed before a whole chunk is full.
            read = getattr(self.body, "read1", self.body.read)
            while chunk := read(_CHUNK_BYTES):
                yield chunk
        except http.client.HTTPException as error:
            raise ConnectionError(f"the answer is broken: {type(error).__name__}") from error


class PlainClient:
    """Sends requests with ``urllib``, over http and https only, through the proxies of the environment."""

    def __init__(self) -> None:
        self._opener = urllib.request.OpenerDirector()
        for handler in (
            urllib.request.ProxyHandler(),
            urllib.request.HTTPHandler(),
            urllib.request.HTTPSHandler(),
            urllib.request.HTTPRedirectHandler(),
            urllib.request.HTTPDefaultErrorHandler(),
            urllib.request.HTTPErrorProcessor(),
        ):
            self._opener.add_handler(handler)

    @contextlib.contextmanager
    def stream(
        self, method: str, url: str, *, headers: dict[str, str], timeout: tuple[float, float, float, float]
    ) -> Iterator[PlainResponse]:
        """Send a request and give the answer before its body.

        Connecting and reading wait for the longer of the two bounds. A broken protocol is a `ConnectionError`.
        """
        request = urllib.request.Request(url, headers=headers, method=method)  # noqa: S310 - checked by web_address
        try:
            opened = self._opener.open(request, timeout=max(timeout[0], timeout[1]))
        except urllib.error.HTTPError as error:
            opened = error
        except urllib.error.URLError as error:
            if isinstance(error.reason, TimeoutError):
                raise TimeoutError(str(error.reason)) from error
            raise ConnectionError(str(error.reason)) from error
        except http.client.HTTPException as error:
            raise ConnectionError(f"the answer is broken: {type(error).__name__}") from error
        with opened:
            names = {name.lower(): text for name, text in opened.headers.items()}
            yield PlainResponse(opened.status or 0, names, opened)


def shown_address(url: str) -> str:
    """An http or https address without what may be secret: user, password, query and fragment."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise InputError(f"the archive's address starts with {parts.scheme!r}; expected http:// or https:// and a host")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{host}{port}{parts.path}"
