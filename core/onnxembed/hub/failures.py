"""Why a request failed, in words, and whether another attempt can help."""

from __future__ import annotations

import email.utils
import errno
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from onnxembed.hub.disk import write_failure
from onnxembed.hub.shown import shown_text

ITS_PAGE = "the model's page"
"""What messages call the address of a model's page where it is not known."""
_SERVER_ERROR = 500
_STATUS_TEXTS = {
    401: "the server wants a login (401): it is private, gated or not there; set HF_TOKEN or run `hf auth login`",
    403: "access is refused (403): accept the conditions at {page}, and set HF_TOKEN to a token that reads it",
    404: "it is not there (404): check the spelling",
    408: "the server gave up waiting (408)",
    429: "the server has had too many requests (429)",
}
_CODE_TEXTS = {
    "RepoNotFound": "there is no such repository, or it is private; check the name, or pass token= or set HF_TOKEN",
    "RevisionNotFound": "the repository has no such revision; check revision=",
    "EntryNotFound": "the repository has no such file",
    "GatedRepo": "the repository is gated: accept its conditions at {page}, then pass token=, set HF_TOKEN or run "
    "`hf auth login`",
}


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed attempt.

    Attributes:
        text: What happened.
        final: Whether another attempt is of no use.
        wait_seconds: How long the server asks to wait; ``None`` where it does not.
    """

    text: str
    final: bool
    wait_seconds: float | None = None


class RequestError(Exception):
    """An attempt failed for a reason that is known in words."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.text)
        self.failure = failure


def is_absent(error: Exception) -> bool:
    """Tell whether an error says that a repository, or a revision of it, is not there, as far as the Hub tells."""
    texts = (_STATUS_TEXTS[401], _STATUS_TEXTS[404], _CODE_TEXTS["RepoNotFound"])
    return any(text in str(error) for text in texts)


def chain(error: BaseException) -> Iterator[BaseException]:
    """An error, what caused it, and so on."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__


def answer_of(error: BaseException) -> Any:
    """The server's answer that an error of huggingface_hub stands for, if any."""
    return next((found for one in chain(error) if (found := getattr(one, "response", None)) is not None), None)


def explain(error: Exception, path: Path, seconds: float, page: str = ITS_PAGE) -> Failure:
    """Say why a request failed that writes to a path and waits so many seconds for each answer.

    ``page`` is the address where people accept conditions.
    """
    if isinstance(error, RequestError):
        return error.failure
    answer = answer_of(error)
    if answer is not None:
        return status_failure(int(answer.status_code), answer.headers, page)
    from huggingface_hub.errors import OfflineModeIsEnabled

    if any(isinstance(one, OfflineModeIsEnabled) for one in chain(error)):
        return Failure("huggingface_hub is set to work offline", final=True)
    for one in chain(error):
        # What the disk refuses has a file name; what the network refuses has none.
        if isinstance(one, OSError) and one.errno and (one.filename is not None or one.errno == errno.ENOSPC):
            return Failure(write_failure(Path(one.filename or path), one), final=True)
    if any(isinstance(one, TimeoutError) for one in chain(error)):
        return Failure(f"no answer within {seconds:g} seconds", final=False)
    causes = [f"{type(one).__name__}: {one}" if str(one) else type(one).__name__ for one in chain(error)]
    return Failure(f"the connection failed: {shown_text(causes[-1])}", final=False)


def status_failure(status: int, headers: Mapping[str, str], page: str = ITS_PAGE) -> Failure:
    """Say what an answer with a status of failure means; ``page`` is where people accept conditions."""
    passing = status in (408, 429) or status >= _SERVER_ERROR
    return Failure(
        _status_text(status, headers).replace("{page}", page), not passing, _retry_after(headers) if passing else None
    )


def _status_text(status: int, headers: Mapping[str, str]) -> str:
    code = _CODE_TEXTS.get(headers.get("x-error-code", ""))
    if code is not None:
        return f"{code} ({status})"
    if status >= _SERVER_ERROR:
        return f"the server failed ({status})"
    return _STATUS_TEXTS.get(status, f"the server answered with status {status}")


def _retry_after(headers: Mapping[str, str]) -> float | None:
    value = headers.get("retry-after", "").strip()
    if value.isdecimal() and value.isascii():
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
