"""What a `Worker` does: it asks servers, writes what comes, and reports that something comes.

Files of the Hub come by ``hf_hub_download``, which keeps them in the cache that all tools share. Archives, lists of
files, and files of mirrors that do not answer its HEAD requests come by plain requests of the same session.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

from onnxembed.errors import ModelNotFoundError
from onnxembed.hub.failures import ITS_PAGE, Failure, RequestError, answer_of, chain, explain, status_failure
from onnxembed.hub.settings import STALL_BYTES, TransferLimits
from onnxembed.hub.shown import shown_text

_Given = TypeVar("_Given")

_OK = 200
_PARTIAL = 206
_RANGE_REFUSED = 416
_NO_HEAD = frozenset({405, 501})
_NAME = re.compile(r"(W/)?\"?[0-9A-Za-z._+=:-]{0,200}\"?")


@dataclass(slots=True)
class Fetcher:
    """Answers requests, one after the other.

    Attributes:
        limits: Bounds on time and size.
        tick: Called with a number of bytes that came, or with 0 for another step; raises what ends the work.
        token: The login for the Hub; ``None`` for the one that is set up, ``False`` for none.
        plain: Whether to make plain requests only.
        page: The address that messages give for what people have to do.
    """

    limits: TransferLimits
    tick: Callable[[int], None]
    token: str | bool | None = None
    plain: bool = False
    page: str = field(default=ITS_PAGE, init=False)
    _received: int = field(default=0, init=False)
    _bound: int | None = field(default=None, init=False)

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Do what a request asks: ``list``, ``file`` or ``archive``; give what came, or why it did not."""
        actions: dict[str, Callable[..., dict[str, Any]]]
        actions = {"list": self._list, "file": self._file, "archive": self._archive}
        do, self.page = actions[request.pop("do")], request.pop("page", ITS_PAGE)
        try:
            return do(**request)
        except ModelNotFoundError as error:
            return {"error": str(error)}

    def count(self, size: int) -> None:
        """Note bytes that came; an error where there are more of them than there should be."""
        self._received += size
        self.tick(max(size, 0))
        if self._bound is not None and self._received > self._bound:
            raise RequestError(Failure("the server sends more than expected", final=True))

    def _list(self, url: str, label: str, max_bytes: int) -> dict[str, Any]:
        body = bytearray()

        def attempt() -> None:
            body.clear()
            for chunk in self._stream(url, self._headers()):
                body.extend(chunk)
                if len(body) > max_bytes:
                    raise RequestError(_too_many(max_bytes))

        self._tried(label, attempt, Path())
        return {"text": body.decode("utf-8", "replace")}

    def _archive(self, url: str, label: str, max_bytes: int, part: str) -> dict[str, Any]:
        self._tried(label, lambda: self._fetch(url, {}, Path(part), None, max_bytes), Path(part))
        return {"part": part}

    def _file(
        self, url: str, label: str, max_bytes: int, part: str, size: int | None, hub: dict[str, str] | None
    ) -> dict[str, Any]:
        if not self.plain and hub is not None:
            try:
                return {"path": self._tried(label, lambda: self._by_hub(hub, size), Path(hub["cache_dir"]))}
            except _NoHubError:
                self.plain = True
        self._tried(label, lambda: self._fetch(url, self._headers(), Path(part), size, max_bytes), Path(part))
        return {"part": part}

    def _by_hub(self, hub: dict[str, str], size: int | None) -> str:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import FileMetadataError

        _guard_names()
        # Twice the size and a little: Xet counts what it gets and what it writes, and a file may begin anew.
        self._received, self._bound = 0, None if size is None else 3 * size + STALL_BYTES
        try:
            seconds = self.limits.effective_read_seconds
            return hf_hub_download(
                hub["repository"],
                hub["name"],
                revision=hub["commit"],
                cache_dir=hub["cache_dir"],
                endpoint=hub["endpoint"],
                token=self.token,
                etag_timeout=seconds,
                library_name="onnxembed",
            )
        except Exception as error:
            answer = answer_of(error)
            refused = answer is not None and answer.request.method == "HEAD" and answer.status_code in _NO_HEAD
            if refused or any(isinstance(one, FileMetadataError) for one in chain(error)):
                raise _NoHubError from error
            raise
        finally:
            self._bound = None

    def _tried(self, label: str, action: Callable[[], _Given], path: Path) -> _Given:
        """Do something again and again while that may help, with pauses in between."""
        limits, failures = self.limits, 0
        while True:
            before = self._received
            try:
                return action()
            except (_NoHubError, GivenUpError, ModelNotFoundError):
                raise
            except Exception as error:  # noqa: BLE001 - whatever an HTTP library of any version raises
                failure = explain(error, path, limits.effective_read_seconds, self.page)
                cause = error
            failures = 1 if self._received - before >= limits.progress_bytes else failures + 1
            pause = failure.wait_seconds
            if pause is None:
                pause = min(limits.backoff_seconds * 2 ** (failures - 1), limits.backoff_cap_seconds)
            if failure.final:
                raise ModelNotFoundError(f"{label}: {failure.text}") from cause
            if failures >= limits.attempts:
                raise ModelNotFoundError(f"{label}: {failure.text} (tried {failures} times)") from cause
            if pause > limits.backoff_cap_seconds:
                raise ModelNotFoundError(
                    f"{label}: {failure.text}; the server asks to wait {pause:.0f} seconds: try again then"
                ) from cause
            self.tick(0)
            time.sleep(pause)
            self.tick(0)

    def _headers(self) -> dict[str, str]:
        from huggingface_hub import utils

        made: dict[str, str] = cast("Any", utils).build_hf_headers(token=self.token, library_name="onnxembed")
        return made

    def _fetch(self, url: str, headers: dict[str, str], part: Path, size: int | None, max_bytes: int) -> None:
        """Fetch a file by plain requests, going on from what an earlier attempt left of it."""
        bound = max_bytes if size is None else size
        with _appended(part) as file:
            if file.tell() > bound:
                file.truncate(0)
            if size and file.tell() == size:
                return
            try:
                for chunk in self._stream(url, headers, file):
                    file.write(chunk)
                    if file.tell() > bound:
                        raise RequestError(_too_many(bound))
            except RequestError as error:
                if error.failure.final:
                    file.truncate(0)
                raise
            if size is not None and file.tell() < size:
                raise RequestError(Failure(f"only {file.tell()} of {size} bytes came", final=False))

    def _stream(self, url: str, headers: dict[str, str], file: Any = None) -> Iterator[bytes]:
        """The body of an answer as it comes; the rest of it where a file holds its beginning."""
        offset = 0 if file is None else file.tell()
        headers = {**headers, "Accept-Encoding": "identity", **({"Range": f"bytes={offset}-"} if offset else {})}
        with _opened(url, headers, self.limits.effective_read_seconds) as (status, names, chunks):
            if status == _RANGE_REFUSED and offset:
                file.truncate(0)
                raise RequestError(Failure("the server refused to go on from the part that is here", False, 0.0))
            if status not in (_OK, _PARTIAL):
                raise RequestError(status_failure(status, names, self.page))
            if offset and not (status == _PARTIAL and names.get("content-range", "").startswith(f"bytes {offset}-")):
                file.truncate(0)
                offset = 0
                if status == _PARTIAL:
                    raise RequestError(Failure("the server answered with another part of the file", False))
            length, came = names.get("content-length", ""), 0
            for chunk in chunks:
                self.count(len(chunk))
                came += len(chunk)
                yield chunk
            if length.isdecimal() and "content-encoding" not in names and came < int(length):
                raise RequestError(Failure(f"only {offset + came} of {offset + int(length)} bytes came", final=False))


class _NoHubError(Exception):
    """A server that does not answer as ``hf_hub_download`` expects."""


class GivenUpError(BaseException):
    """Nobody waits for this work any more."""


def _too_many(bound: int) -> Failure:
    return Failure(f"the server sends more than the expected {bound} bytes", final=True)


@contextlib.contextmanager
def _appended(path: Path) -> Iterator[Any]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        yield file
        # A power cut after the rename to come must not leave a name without its content.
        file.flush()
        os.fsync(file.fileno())


@contextlib.contextmanager
def _opened(url: str, headers: dict[str, str], seconds: float) -> Iterator[tuple[int, Any, Iterator[bytes]]]:
    """An answer whose body is not read yet: status, headers, body."""
    from huggingface_hub import get_session

    session: Any = get_session()
    if callable(session.stream):  # huggingface_hub 1 and 2; sessions of requests have a flag of this name
        with session.stream("GET", url, headers=headers, timeout=seconds, follow_redirects=True) as answer:
            yield answer.status_code, answer.headers, answer.iter_bytes()
    else:  # huggingface_hub 0, on requests
        with session.get(url, headers=headers, timeout=seconds, stream=True) as answer:
            yield answer.status_code, answer.headers, answer.iter_content(STALL_BYTES)


def _guard_names() -> None:
    """Have the session refuse answers whose names of contents or commits are paths: files are named after them."""
    from huggingface_hub import get_session

    session: Any = get_session()
    hooks = session.event_hooks if hasattr(session, "event_hooks") else session.hooks
    if _check_names not in hooks["response"]:
        hooks["response"].append(_check_names)


def _check_names(answer: Any, *_: Any, **__: Any) -> None:
    for name in ("etag", "x-linked-etag", "x-repo-commit"):
        value = answer.headers.get(name, "")
        if _NAME.fullmatch(value) is None or ".." in value:
            raise RequestError(Failure(f"the server names a content {shown_text(value)!r}; expected a digest", True))
