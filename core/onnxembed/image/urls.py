"""Fetching a picture by URL, for services that take URLs from others.

What such a URL may reach is the danger (server-side request forgery), so every hop is resolved once, every address
that the name has must be public, and the connection goes to the address that was checked: a name that changes between
check and use has no effect. Proxies of the environment are not used; they would resolve the name again. Time is bounded
in all, not by read alone, and so is size.
"""

from __future__ import annotations

import http.client
import io
import ipaddress
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from onnxembed.errors import InputError
from onnxembed.image.addresses import Address, is_public
from onnxembed.image.limits import check_length, public_url
from onnxembed.runtime.threads import run_beside

__all__ = ["Address", "fetch", "is_public"]

_REDIRECTS = 5
_REDIRECT_STATUSES = (301, 302, 303, 307, 308)
_READ_SECONDS = 10.0
_CHUNK_BYTES = 64 * 1024


def fetch(
    url: str,
    name: str,
    max_bytes: int,
    timeout_seconds: float,
    is_allowed: Callable[[Address], bool] = is_public,
) -> bytes:
    """Fetch a URL into memory.

    Args:
        url: ``http`` or ``https``.
        name: What to call the image in messages.
        max_bytes: Highest number of bytes.
        timeout_seconds: Longest time in all, resolving names and redirects included.
        is_allowed: Judges every address that a host name has.

    Returns:
        The body.

    Raises:
        InputError: If an address is not allowed, a limit is passed, or the transfer fails.
    """
    deadline = _Deadline(time.monotonic() + timeout_seconds)
    try:
        for _ in range(_REDIRECTS + 1):
            target = _target(url, name)
            with _connect(target, name, deadline, is_allowed) as connection:
                response = _request(connection, target, deadline)
                location = response.getheader("Location")
                if response.status not in _REDIRECT_STATUSES or location is None:
                    return _body(response, name, max_bytes)
                url = urljoin(url, location)
    except TimeoutError as error:
        raise InputError(
            f"{name} did not arrive within {timeout_seconds:g} seconds, or paused for {_READ_SECONDS:g}; try again, or "
            "fetch it yourself and pass the bytes"
        ) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{name} cannot be fetched: {str(error) or type(error).__name__}; check the URL, or fetch it yourself and "
            "pass the bytes"
        ) from error
    raise InputError(f"{name} is redirected more than {_REDIRECTS} times; give the address where it ends")


@dataclass(frozen=True, slots=True)
class _Deadline:
    """A moment on the monotonic clock."""

    moment: float

    def left(self) -> float:
        """Seconds that are left, or TimeoutError."""
        seconds = self.moment - time.monotonic()
        if seconds <= 0:
            raise TimeoutError("no time is left")
        return seconds


@dataclass(frozen=True, slots=True)
class _Target:
    """Where one hop goes."""

    secure: bool
    host: str
    port: int
    host_header: str
    path: str


def _target(url: str, name: str) -> _Target:
    """Take a URL apart."""
    try:
        parts = urlsplit(url)
        port = parts.port
        host = _ascii_host(parts)
    except ValueError as error:
        raise InputError(f"{name} leads to a malformed URL, {public_url(url)!r}: {error}") from error
    if parts.scheme not in ("http", "https"):
        raise InputError(f"{name} leads to a URL with scheme {parts.scheme!r}; only http and https are fetched")
    if not host or parts.username is not None:
        raise InputError(
            f"{name} leads to a URL {'with a user name' if host else 'without a host'}; give one as in "
            "https://example.com/cat.jpg"
        )
    secure = parts.scheme == "https"
    bracketed = f"[{host}]" if ":" in host else host
    path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~") + (
        "?" + quote(parts.query, safe="/%:@!$&'()*+,;=?~") if parts.query else ""
    )
    default = 443 if secure else 80
    return _Target(secure, host, port or default, f"{bracketed}:{port}" if port else bracketed, path)


def _ascii_host(parts: SplitResult) -> str:
    """The host name as the network knows it."""
    host = parts.hostname or ""
    return host if host.isascii() else host.encode("idna").decode("ascii")


def _resolve(target: _Target, deadline: _Deadline) -> list[tuple[Any, ...]]:
    """Resolve a name in bounded time; the resolver itself knows no time limit, hence the thread."""
    found: list[list[tuple[Any, ...]]] = []
    failed: list[Exception] = []

    def ask() -> None:
        try:
            found.append(socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            failed.append(error)

    run_beside(ask, "onnxembed-resolve", deadline.left())
    if failed:
        raise failed[0]
    if not found:
        raise TimeoutError("the name was not resolved in time")
    return found[0]


def _connect(target: _Target, name: str, deadline: _Deadline, is_allowed: Callable[[Address], bool]) -> socket.socket:
    """Connect to a checked address of a host."""
    places = _resolve(target, deadline)
    for place in places:
        address = ipaddress.ip_address(str(place[4][0]).partition("%")[0])
        if not is_allowed(address):
            raise InputError(
                f"{name} leads to {target.host!r}, whose address {address} is not on the public internet; such "
                "addresses are refused: fetch it yourself and pass the bytes"
            )
    failure: OSError | None = None
    for family, kind, protocol, _, place in places:
        connection = socket.socket(family, kind, protocol)
        try:
            connection.settimeout(min(_READ_SECONDS, deadline.left()))
            connection.connect(place)
            if target.secure:
                connection = ssl.create_default_context().wrap_socket(connection, server_hostname=target.host)
        except OSError as error:
            connection.close()
            failure = error
        else:
            return connection
    raise failure or OSError("the name has no address")


class _BoundedReads(io.RawIOBase):
    """Reads of a socket that all end by one deadline, however slowly the bytes drip."""

    def __init__(self, connection: socket.socket, deadline: _Deadline) -> None:
        super().__init__()
        self._connection = connection
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._connection.settimeout(min(_READ_SECONDS, self._deadline.left()))
        return self._connection.recv_into(buffer)


class _BoundedSocket:
    """What http.client needs of a socket."""

    def __init__(self, connection: socket.socket, deadline: _Deadline) -> None:
        self._reads = _BoundedReads(connection, deadline)

    def makefile(self, mode: str) -> io.BufferedReader:  # noqa: ARG002  # always for reading
        return io.BufferedReader(self._reads)


def _request(connection: socket.socket, target: _Target, deadline: _Deadline) -> http.client.HTTPResponse:
    """Send the request and read the head of the response."""
    lines = (
        f"GET {target.path} HTTP/1.1",
        f"Host: {target.host_header}",
        "User-Agent: onnxembed",
        "Accept: image/*",
        "Accept-Encoding: identity",
        "Connection: close",
    )
    connection.settimeout(min(_READ_SECONDS, deadline.left()))
    connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("ascii"))
    response = http.client.HTTPResponse(_BoundedSocket(connection, deadline), method="GET")  # type: ignore[arg-type]
    response.begin()
    return response


def _body(response: http.client.HTTPResponse, name: str, max_bytes: int) -> bytes:
    """Read the body, no further than the limit."""
    if response.status != http.client.OK:
        raise InputError(
            f"{name} cannot be fetched: the server answers {response.status} {response.reason}; check the URL"
        )
    if response.length is not None and response.length > max_bytes:
        check_length(response.length, name, max_bytes)
    expected = response.length
    parts: list[bytes] = []
    count = 0
    while count <= max_bytes:
        part = response.read(_CHUNK_BYTES)
        if not part:
            break
        parts.append(part)
        count += len(part)
    check_length(count, name, max_bytes)
    if expected is not None and count < expected:
        raise InputError(f"{name} cannot be fetched: the transfer ended after {count} of {expected} bytes; try again")
    return b"".join(parts)
