"""One file over HTTP: bounded in time and size, resumed where it stopped, tried again only where that can help.

The client is anything with ``stream``: the session of huggingface_hub, of whichever HTTP library it is made, or the
small one of ``plain_http``. Nothing here prints or shows a bar.
"""

from __future__ import annotations

import contextlib
import email.utils
import logging
import os
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, BinaryIO, Protocol

from onnxembed.errors import ModelNotFoundError
from onnxembed.hub.disk import write_failure

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from onnxembed.hub.settings import TransferLimits

logger = logging.getLogger("onnxembed.store")

_OK = 200
_PARTIAL = 206
_RANGE_REFUSED = 416
_TOO_MANY = 429
_SERVER_ERROR = 500


class Response(Protocol):
    """An answer, as far as it is read."""

    @property
    def status_code(self) -> int:
        """The HTTP status."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers, found under their lower-case names."""
        ...

    def iter_bytes(self) -> Iterator[bytes]:
        """The body as it comes."""
        ...


class Client(Protocol):
    """A client that sends requests."""

    def stream(
        self, method: str, url: str, *, headers: dict[str, str], timeout: tuple[float, float, float, float]
    ) -> AbstractContextManager[Response]:
        """Send a request and give the answer before its body; waits to connect, read, write, get a connection."""
        ...


@dataclass(frozen=True, slots=True)
class Request:
    """One thing to fetch.

    Attributes:
        url: The address, which is never shown.
        label: What messages say instead of the address.
        headers: Headers to send, as pairs.
        size: The size that the file must have, where it is known.
        max_bytes: The size past which the transfer is given up.
        transport_errors: What the client raises when a connection fails.
    """

    url: str
    label: str
    headers: tuple[tuple[str, str], ...] = ()
    size: int | None = None
    max_bytes: int | None = None
    transport_errors: tuple[type[Exception], ...] = (OSError,)


class _AttemptFailedError(Exception):
    """One attempt failed, and another may do better."""

    def __init__(self, reason: str, wait_seconds: float | None = None) -> None:
        super().__init__(reason)
        self.wait_seconds = wait_seconds


class Sink(Protocol):
    """Where a body goes."""

    @property
    def offset(self) -> int:
        """Bytes held so far."""
        ...

    def write(self, chunk: bytes) -> None:
        """Append."""
        ...

    def restart(self) -> None:
        """Drop what is held."""
        ...


@dataclass(slots=True)
class MemorySink:
    """A small body, in memory."""

    content: bytearray = field(default_factory=bytearray)

    @property
    def offset(self) -> int:
        """Bytes held so far."""
        return len(self.content)

    def write(self, chunk: bytes) -> None:
        """Append."""
        self.content += chunk

    def restart(self) -> None:
        """Drop what is held."""
        self.content.clear()


@dataclass(slots=True)
class FileSink:
    """A file that grows from ``offset``; `file_sink` opens it."""

    path: Path
    file: BinaryIO
    offset: int

    def write(self, chunk: bytes) -> None:
        """Append."""
        with _disk(self.path):
            self.file.write(chunk)
        self.offset += len(chunk)

    def restart(self) -> None:
        """Drop what is held."""
        with _disk(self.path):
            self.file.truncate(0)
        self.offset = 0


@contextlib.contextmanager
def file_sink(path: Path) -> Iterator[FileSink]:
    """Open a file to go on from what an earlier run left, and have the system write it at the end."""
    with _disk(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("ab")
    try:
        yield FileSink(path, file, file.tell())
        with _disk(path):
            # A power cut after the rename to come must not leave a name without its content.
            file.flush()
            os.fsync(file.fileno())
    finally:
        with _disk(path):
            file.close()


@contextlib.contextmanager
def _disk(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ModelNotFoundError(write_failure(path, error)) from error


def fetch(client: Client, request: Request, sink: Sink, limits: TransferLimits) -> None:
    """Fetch one file, going on from what the sink holds; on failure it keeps what came, so that a later call can go on.

    What cannot be had is a `ModelNotFoundError`, whose message says why.
    """
    failures = 0
    while True:
        before = sink.offset
        try:
            _attempt(client, request, sink, limits)
        except _AttemptFailedError as error:
            failures = 1 if sink.offset - before >= limits.progress_bytes else failures + 1
            pause = error.wait_seconds
            if pause is None:
                pause = min(limits.backoff_seconds * 2 ** (failures - 1), limits.backoff_cap_seconds)
            if failures >= limits.attempts:
                raise ModelNotFoundError(f"{request.label}: {error} (tried {failures} times)") from error.__cause__
            if pause > limits.backoff_cap_seconds:
                raise ModelNotFoundError(
                    f"{request.label}: {error}; the server asks to wait {pause:.0f} seconds: try again then"
                ) from error.__cause__
            logger.info("%s: %s; trying again in %.1f seconds", request.label, error, pause)
            time.sleep(pause)
        else:
            return


def _attempt(client: Client, request: Request, sink: Sink, limits: TransferLimits) -> None:
    if request.size is not None:
        if sink.offset == request.size and request.size:
            return
        if sink.offset > request.size:
            sink.restart()
    headers = {**dict(request.headers), "Accept-Encoding": "identity"}
    if sink.offset:
        headers["Range"] = f"bytes={sink.offset}-"
    read = limits.effective_read_seconds
    try:
        with client.stream(
            "GET", request.url, headers=headers, timeout=(limits.connect_seconds, read, read, limits.connect_seconds)
        ) as response:
            _check_status(response, request, sink)
            _receive(response, request, sink, limits)
    except (ModelNotFoundError, _AttemptFailedError):
        raise
    except request.transport_errors as error:
        if _is_final(error):
            raise ModelNotFoundError(f"{request.label}: {error}") from error
        raise _AttemptFailedError(_reason(error, limits)) from error


def _is_final(error: Exception) -> bool:
    # Names rather than classes: the HTTP library under the client differs between versions of huggingface_hub.
    return type(error).__name__ in {"OfflineModeIsEnabled", "UnsupportedProtocol", "InvalidURL", "TooManyRedirects"}


def _reason(error: Exception, limits: TransferLimits) -> str:
    name = type(error).__name__
    if "Timeout" in name:
        bound = limits.connect_seconds if "Connect" in name else limits.effective_read_seconds
        return f"no answer within {bound:g} seconds"
    return f"the connection failed: {error or name}"


def _check_status(response: Response, request: Request, sink: Sink) -> None:
    status = response.status_code
    if status in (_OK, _PARTIAL):
        if sink.offset and not _continues(response, sink.offset):
            sink.restart()
            if status == _PARTIAL:
                raise _AttemptFailedError("the server answered with another part of the file than was asked for")
        return
    if status == _RANGE_REFUSED and sink.offset:
        sink.restart()
        raise _AttemptFailedError("the server refused to go on from the part that is here", wait_seconds=0.0)
    if status in (408, _TOO_MANY) or status >= _SERVER_ERROR:
        raise _AttemptFailedError(_status_text(status, response), _retry_after(response))
    raise ModelNotFoundError(f"{request.label}: {_status_text(status, response)}")


def _continues(response: Response, offset: int) -> bool:
    if response.status_code != _PARTIAL or response.headers.get("content-encoding", "identity") != "identity":
        return False
    return response.headers.get("content-range", "").startswith(f"bytes {offset}-")


_STATUS_TEXTS = {
    401: "the server wants a login (401): it is private, gated or not there; set HF_TOKEN or run `hf auth login`",
    403: "access is refused (403): accept the conditions on the model's page and set HF_TOKEN to a token that reads it",
    404: "it is not there (404): check the spelling",
    408: "the server gave up waiting (408)",
    429: "the server has had too many requests (429)",
}
_CODE_TEXTS = {
    "RepoNotFound": "there is no such repository, or it is private; check the name, or set HF_TOKEN",
    "RevisionNotFound": "the repository has no such revision; check revision=",
    "EntryNotFound": "the repository has no such file",
    "GatedRepo": "the repository is gated: accept its conditions on its page, then set HF_TOKEN or run `hf auth login`",
}


def _status_text(status: int, response: Response) -> str:
    code = _CODE_TEXTS.get(response.headers.get("x-error-code", ""))
    if code is not None:
        return f"{code} ({status})"
    if status >= _SERVER_ERROR:
        return f"the server failed ({status})"
    return _STATUS_TEXTS.get(status, f"the server answered with status {status}")


def _retry_after(response: Response) -> float | None:
    value = response.headers.get("retry-after", "").strip()
    if value.isdigit():
        return float(value)
    if not value:
        return None
    try:
        moment = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def _announced(response: Response, offset: int) -> int | None:
    length = response.headers.get("content-length", "")
    return offset + int(length) if length.isdigit() and "content-encoding" not in response.headers else None


def _receive(response: Response, request: Request, sink: Sink, limits: TransferLimits) -> None:
    bound = request.size if request.size is not None else request.max_bytes
    wanted = request.size if request.size is not None else _announced(response, sink.offset)
    window_start, window_bytes = time.monotonic(), 0
    for chunk in response.iter_bytes():
        if bound is not None and sink.offset + len(chunk) > bound:
            sink.restart()
            raise ModelNotFoundError(f"{request.label}: the server sends more than the expected {bound} bytes")
        sink.write(chunk)
        window_bytes += len(chunk)
        elapsed = time.monotonic() - window_start
        if elapsed >= limits.stall_seconds:
            if window_bytes < limits.stall_bytes_per_second * elapsed:
                raise _AttemptFailedError(f"only {window_bytes} bytes came in {elapsed:.0f} seconds")
            window_start, window_bytes = time.monotonic(), 0
    if wanted is not None and sink.offset < wanted:
        raise _AttemptFailedError(f"only {sink.offset} of {wanted} bytes came")
