"""The rules of one transfer, with a client that plays back answers: no sockets, no waiting."""

from __future__ import annotations

import contextlib
import email.utils
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from onnxembed.errors import ModelNotFoundError
from onnxembed.hub import TransferLimits
from onnxembed.hub.transfer import MemorySink, Request, fetch, file_sink

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LIMITS = TransferLimits(attempts=3, backoff_seconds=1.0, backoff_cap_seconds=3.0, read_seconds=5.0)
REQUEST = Request("http://127.0.0.1/x?secret", "the file", headers=(("A", "b"),), size=6)


@dataclass
class Answer:
    status_code: int = 200
    body: tuple[bytes, ...] = (b"abcdef",)
    headers: dict[str, str] = field(default_factory=dict)
    error: Exception | None = None

    def iter_bytes(self) -> Iterator[bytes]:
        yield from self.body
        if self.error is not None:
            raise self.error


@dataclass
class Client:
    answers: list[Answer | Exception]
    sent: list[dict[str, str]] = field(default_factory=list)
    timeouts: list[tuple[float, ...]] = field(default_factory=list)

    @contextlib.contextmanager
    def stream(
        self, method: str, url: str, *, headers: dict[str, str], timeout: tuple[float, float, float, float]
    ) -> Iterator[Answer]:
        self.sent.append(headers)
        self.timeouts.append(timeout)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        yield answer


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that were asked for, none of which is taken."""
    taken: list[float] = []
    monkeypatch.setattr(time, "sleep", taken.append)
    return taken


def part(start: int, *body: bytes) -> Answer:
    return Answer(206, body, {"content-range": f"bytes {start}-5/6"})


def fetched(client: Client, request: Request = REQUEST, limits: TransferLimits = LIMITS, held: bytes = b"") -> bytes:
    sink = MemorySink(bytearray(held))
    fetch(client, request, sink, limits)
    return bytes(sink.content)


def test_headers_and_bounds_are_sent(pauses: list[float]) -> None:
    client = Client([Answer()])

    assert fetched(client) == b"abcdef"
    assert client.sent == [{"A": "b", "Accept-Encoding": "identity"}]
    assert client.timeouts == [(10.0, 5.0, 5.0, 10.0)]


def test_pauses_double_and_none_comes_last(pauses: list[float]) -> None:
    client = Client([ConnectionError("gone")] * 5)

    with pytest.raises(ModelNotFoundError, match=r"^the file: the connection failed: gone \(tried 5 times") as caught:
        fetched(client, limits=replace(LIMITS, attempts=5))
    assert pauses == [1.0, 2.0, 3.0, 3.0]
    assert isinstance(caught.value.__cause__, ConnectionError)


def test_progress_starts_the_count_again(pauses: list[float]) -> None:
    torn = ConnectionError("torn")
    client = Client([Answer(body=(b"ab",), error=torn), torn, part(2, b"cd"), part(4, b"ef")])

    assert fetched(client, limits=replace(LIMITS, attempts=3, progress_bytes=2)) == b"abcdef"
    assert [headers.get("Range") for headers in client.sent] == [None, "bytes=2-", "bytes=2-", "bytes=4-"]


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200),
        Answer(206, (b"abcdef",), {"content-range": "bytes 2-5/6", "content-encoding": "gzip"}),
        Answer(206, (b"f",), {"content-range": "bytes 5-5/6"}),
        Answer(416, ()),
    ],
    ids=["whole", "encoded", "other part", "refused"],
)
def test_a_server_that_cannot_go_on_starts_again(pauses: list[float], answer: Answer) -> None:
    client = Client([answer, Answer()])

    assert fetched(client, held=b"ab") == b"abcdef"
    assert client.sent[0]["Range"] == "bytes=2-"
    assert "Range" not in client.sent[-1] or len(client.sent) == 1


def test_what_is_whole_is_not_asked_for(pauses: list[float]) -> None:
    assert fetched(Client([]), held=b"abcdef") == b"abcdef"


def test_an_empty_file(pauses: list[float]) -> None:
    assert fetched(Client([Answer(body=())]), replace(REQUEST, size=0)) == b""


def test_a_body_shorter_than_announced_goes_on(pauses: list[float]) -> None:
    first = Answer(body=(b"abc",), headers={"content-length": "6"})

    assert fetched(Client([first, part(3, b"def")]), replace(REQUEST, size=None)) == b"abcdef"


def test_a_slow_drip_is_a_failure(pauses: list[float]) -> None:
    limits = replace(LIMITS, attempts=1, stall_seconds=0.0, stall_bytes_per_second=1 << 40)

    with pytest.raises(ModelNotFoundError, match=r"only 3 bytes came in 0 seconds \(tried 1 times\)"):
        fetched(Client([Answer(body=(b"abc", b"def"))]), limits=limits)


@pytest.mark.parametrize(
    ("value", "pause"),
    [
        ("2", 2.0),
        ("0", 0.0),
        ("", 1.0),
        ("soon", 1.0),
        (email.utils.formatdate(0), 0.0),
        ("Thu, 01 Jan 1970 00:00:00 -0000", 0.0),
    ],
)
def test_retry_after(pauses: list[float], value: str, pause: float) -> None:
    assert fetched(Client([Answer(429, (), {"retry-after": value}), Answer()])) == b"abcdef"
    assert pauses == [pause]


def test_retry_after_a_date_far_away(pauses: list[float]) -> None:
    later = email.utils.formatdate(time.time() + 500, usegmt=True)

    with pytest.raises(ModelNotFoundError, match=r"asks to wait (499|500) seconds"):
        fetched(Client([Answer(503, (), {"retry-after": later})]))
    assert pauses == []


@pytest.mark.parametrize("name", ["OfflineModeIsEnabled", "UnsupportedProtocol", "TooManyRedirects"])
def test_errors_that_another_attempt_cannot_mend_are_final(pauses: list[float], name: str) -> None:
    error = type(name, (OSError,), {})("why")

    with pytest.raises(ModelNotFoundError, match=r"^the file: why$"):
        fetched(Client([error]))
    assert pauses == []


def test_errors_of_other_kinds_pass(pauses: list[float]) -> None:
    with pytest.raises(ZeroDivisionError):
        fetched(Client([ZeroDivisionError()]))


def test_a_connect_timeout_names_its_bound(pauses: list[float]) -> None:
    error = type("ConnectTimeout", (OSError,), {})()

    with pytest.raises(ModelNotFoundError, match="no answer within 10 seconds"):
        fetched(Client([error] * 3))


def test_a_file_keeps_what_came(pauses: list[float], tmp_path: Path) -> None:
    path = tmp_path / "new" / "part"

    with pytest.raises(ModelNotFoundError), file_sink(path) as sink:
        fetch(Client([Answer(body=(b"abc",)), Answer(500)]), REQUEST, sink, replace(LIMITS, attempts=2))
    assert path.read_bytes() == b"abc"
    with file_sink(path) as sink:
        assert sink.offset == 3
        sink.restart()
        sink.write(b"x")
    assert path.read_bytes() == b"x"
