"""Fetching by URL: bounded in time and size, and never from inside the network unless the test says so."""

from __future__ import annotations

import contextlib
import http.server
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from onnxembed.errors import InputError
from onnxembed.image import limits, urls
from onnxembed.image.loading import ImageLimits, load_image
from onnxembed.image.urls import Address, fetch, is_public
from tests.fixtures.images import encoded, picture

PNG = encoded(picture(30, 20))
MIB = 1024 * 1024


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves one picture in many bad ways; what is asked is written down at the server."""

    protocol_version = "HTTP/1.1"
    server: Any

    def do_GET(self) -> None:
        self.server.asked.append((self.path, dict(self.headers)))
        name = self.path.strip("/").partition("?")[0].partition("/")[0]
        with contextlib.suppress(OSError):  # the client has gone, as it should
            getattr(self, f"serve_{name}", self.serve_missing)()
        self.close_connection = True

    def head(self, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def serve_picture(self) -> None:
        self.head(Content_Length=str(len(PNG)))
        self.wfile.write(PNG)

    def serve_unsized(self) -> None:
        self.head()
        self.wfile.write(PNG)

    def serve_chunked(self) -> None:
        self.head(Transfer_Encoding="chunked")
        for start in range(0, len(PNG), 100):
            part = PNG[start : start + 100]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
        self.wfile.write(b"0\r\n\r\n")

    def serve_short(self) -> None:
        self.head(Content_Length=str(len(PNG)))
        self.wfile.write(PNG[:-10])

    def serve_broken(self) -> None:
        self.wfile.write(b"nonsense\r\n\r\n")

    def serve_endless(self) -> None:
        self.head()
        while True:
            self.wfile.write(bytes(64 * 1024))

    def serve_large(self) -> None:
        self.head(Content_Length=str(10**12))

    def serve_slow(self) -> None:
        self.head()
        self.drip(PNG * 1000)

    def serve_slowhead(self) -> None:
        self.drip(b"HTTP/1.1 200 OK\r\n" + b"X: 1\r\n" * 1000)

    def drip(self, data: bytes) -> None:
        for byte in data:
            self.wfile.write(bytes([byte]))
            time.sleep(0.02)

    def serve_silent(self) -> None:
        self.server.stop.wait(20)

    def serve_away(self) -> None:
        self.head(302, Location="/picture", Content_Length="0")

    def serve_loop(self) -> None:
        self.head(307, Location="/loop", Content_Length="0")

    def serve_to(self) -> None:
        self.head(301, Location=self.path.partition("?")[2], Content_Length="0")

    def serve_nowhere(self) -> None:
        self.head(302, Content_Length="0")

    def serve_missing(self) -> None:
        self.head(404, Content_Length="0")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def running() -> Iterator[Any]:
    server: Any = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.asked = []
    server.stop = threading.Event()
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.stop.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def base(running: Any) -> str:
    running.asked.clear()
    return f"http://127.0.0.1:{running.server_port}"


def anywhere(_: Address) -> bool:
    return True


def first_only() -> Callable[[Address], bool]:
    """Let the first hop into this machine, and judge the others as always."""
    hops: list[Address] = []

    def judge(address: Address) -> bool:
        hops.append(address)
        return len(hops) == 1 or is_public(address)

    return judge


def refusal(
    url: str, is_allowed: Callable[[Address], bool] = anywhere, max_bytes: int = MIB, seconds: float = 5
) -> str:
    with pytest.raises(InputError) as caught:
        fetch(url, "image 3 (URL)", max_bytes, seconds, is_allowed)
    message = str(caught.value)
    assert message.startswith("image 3 (URL) ")
    return message


@pytest.mark.parametrize("path", ["/picture", "/unsized", "/chunked", "/away", "/picture?a=b%20c", "/picture/ü e"])
def test_a_picture_is_fetched(base: str, path: str) -> None:
    assert fetch(base + path, "image", MIB, 5, anywhere) == PNG
    assert fetch(base + path, "image", len(PNG), 5, anywhere) == PNG


def test_what_is_asked(base: str, running: Any) -> None:
    assert fetch(base + "/picture/a b?c=d#e", "image", MIB, 5, anywhere) == PNG
    (path, headers) = running.asked[0]
    assert path == "/picture/a%20b?c=d"
    assert headers["Host"] == base.removeprefix("http://")
    assert headers["Accept-Encoding"] == "identity"
    assert "Authorization" not in headers


def test_private_addresses_are_refused_by_default(base: str, running: Any) -> None:
    with pytest.raises(
        InputError, match=r"image 3 \(URL 'http://127.*leads to '127\.0\.0\.1'.*not on the public internet"
    ):
        load_image(base + "/picture?token=1", 3, ImageLimits(allow_urls=True))
    assert running.asked == []


def test_a_url_becomes_a_picture(base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(urls.fetch, "__defaults__", (anywhere,))
    assert load_image(base + "/picture", 0, ImageLimits(allow_urls=True)).size == (30, 20)
    with pytest.raises(InputError, match=r"within 0\.3 seconds"):
        load_image(base + "/slow", 0, ImageLimits(allow_urls=True, timeout_seconds=0.3))
    with pytest.raises(InputError, match="more than 100 bytes"):
        load_image(base + "/picture", 0, ImageLimits(allow_urls=True, max_bytes=100))


@pytest.mark.parametrize("host", ["localhost", "127.1", "2130706433", "0x7f000001", "[::1]", "[::ffff:127.0.0.1]", "0"])
def test_other_names_of_this_machine_are_refused(base: str, running: Any, host: str) -> None:
    message = refusal(f"http://{host}:{running.server_port}/picture", is_public)
    assert "is not on the public internet" in message
    assert running.asked == []


@pytest.mark.parametrize("to", ["/picture", "http://127.0.0.1:{port}/picture", "//localhost:{port}/picture"])
def test_a_redirect_into_this_machine_is_refused(base: str, running: Any, to: str) -> None:
    message = refusal(f"{base}/to?{to.format(port=running.server_port)}", first_only())
    assert "is not on the public internet" in message
    assert [path.partition("?")[0] for path, _ in running.asked] == ["/to"]


@pytest.mark.parametrize("to", ["file:///etc/passwd", "ftp://example.com/a", "gopher://x"])
def test_a_redirect_to_another_scheme_is_refused(base: str, to: str) -> None:
    assert "only http and https are fetched" in refusal(f"{base}/to?{to}")


def test_redirects_are_counted(base: str, running: Any) -> None:
    assert "is redirected more than 5 times" in refusal(base + "/loop")
    assert len(running.asked) == 6


def test_a_name_is_resolved_once_and_the_checked_address_used(
    base: str, running: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve = socket.getaddrinfo
    asked = []

    def rebinding(host: str, *rest: Any, **more: Any) -> Any:
        asked.append(host)
        return resolve("127.0.0.1" if len(asked) == 1 else "127.0.0.2", *rest, **more)

    judged: list[Address] = []
    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    url = f"http://pictures.example:{running.server_port}/picture"
    assert fetch(url, "image", MIB, 5, lambda address: judged.append(address) or True) == PNG  # type: ignore[func-returns-value]
    assert asked == ["pictures.example"]
    assert judged == [ipaddress.ip_address("127.0.0.1")]
    assert running.asked[0][1]["Host"] == f"pictures.example:{running.server_port}"


def test_one_private_address_among_public_ones_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    def both(*_: Any, **__: Any) -> Any:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, 80)) for host in ("93.184.216.34", "10.0.0.1")]

    monkeypatch.setattr(socket, "getaddrinfo", both)
    assert "address 10.0.0.1 is not on the public internet" in refusal("http://pictures.example/a", is_public)


def test_the_next_address_is_tried(base: str, running: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        ports = (unused.getsockname()[1], running.server_port)

        def two(*_: Any, **__: Any) -> Any:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)) for port in ports]

        monkeypatch.setattr(socket, "getaddrinfo", two)
        assert fetch("http://pictures.example/picture", "image", MIB, 5, anywhere) == PNG


def test_a_body_that_never_ends(base: str) -> None:
    assert f"has more than {MIB} bytes" in refusal(base + "/endless")


def test_a_body_that_says_it_is_too_large(base: str) -> None:
    assert f"has more than {MIB} bytes" in refusal(base + "/large")


@pytest.mark.parametrize("path", ["/slow", "/slowhead", "/silent"])
def test_time_is_bounded_in_all(base: str, path: str) -> None:
    start = time.monotonic()
    assert "did not arrive within 0.4 seconds" in refusal(base + path, seconds=0.4)
    assert time.monotonic() - start < 2


def test_a_resolver_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    stop = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: stop.wait(20) and [])
    start = time.monotonic()
    assert "did not arrive within 0.2 seconds" in refusal("http://pictures.example/a", seconds=0.2)
    assert time.monotonic() - start < 2
    stop.set()


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("/short", "the transfer ended after"),
        ("/broken", "cannot be fetched: "),
        ("/missing", "the server answers 404 Not Found"),
        ("/nowhere", "the server answers 302 Found"),
        ("/to?http://[bad/", "cannot be fetched: "),
    ],
)
def test_transfers_that_fail(base: str, path: str, what: str) -> None:
    assert what in refusal(base + path)


def test_nobody_listens() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        message = refusal(f"http://127.0.0.1:{unused.getsockname()[1]}/a")
    assert "cannot be fetched: " in message
    assert "refused" in message


@pytest.mark.parametrize("result", [socket.gaierror(-2, "Name or service not known"), []])
def test_names_that_do_not_exist(monkeypatch: pytest.MonkeyPatch, result: Any) -> None:
    def none(*_: Any, **__: Any) -> Any:
        if isinstance(result, Exception):
            raise result
        return result

    monkeypatch.setattr(socket, "getaddrinfo", none)
    assert "cannot be fetched" in refusal("http://pictures.example/a")


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("http:///a", "without a host"),
        ("http://user:secret@127.0.0.1/a", "with a user name"),
        ("http://127.0.0.1:99999/a", "malformed URL"),
        ("http://127.0.0.1:x/a", "malformed URL"),
        ("http://[::1/a", "malformed URL"),
        ("http://a..ü/a", "malformed URL"),
    ],
)
def test_malformed_urls(url: str, what: str) -> None:
    message = refusal(url)
    assert what in message
    assert "secret" not in message


def test_names_beyond_ascii(base: str, running: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    resolve = socket.getaddrinfo
    asked = []

    def local(host: str, *rest: Any, **more: Any) -> Any:
        asked.append(host)
        return resolve("127.0.0.1", *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", local)
    assert fetch(f"http://bücher.example:{running.server_port}/picture", "image", MIB, 5, anywhere) == PNG
    assert asked == ["xn--bcher-kva.example"]


def test_no_proxy_of_the_environment(base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            patch.setenv(name, "http://127.0.0.1:9")
        assert fetch(base + "/picture", "image", MIB, 5, anywhere) == PNG


def test_https_checks_the_certificate_for_the_name(base: str, running: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    names = []

    class Context:
        def wrap_socket(self, connection: socket.socket, server_hostname: str) -> socket.socket:
            names.append(server_hostname)
            return connection

    monkeypatch.setattr(ssl, "create_default_context", Context)
    assert fetch(base.replace("http", "https") + "/picture", "image", MIB, 5, anywhere) == PNG
    assert names == ["127.0.0.1"]


def test_https_to_a_server_without_it(base: str) -> None:
    assert "cannot be fetched: " in refusal(base.replace("http", "https") + "/picture")


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "169.254.169.254", "172.16.0.1", "192.168.0.1", "192.0.2.1",
        "198.18.0.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
        "::", "::1", "fe80::1", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1", "ff0e::1", "2001:db8::1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "2002:7f00:1::", "2002:a00:1::1", "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe", "2001:0:4136:e378:8000:63bf:80ff:fffe",
    ],
)  # fmt: skip
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "93.184.216.34", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"]
)
def test_addresses_that_are_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


def test_what_is_shown_of_a_url() -> None:
    assert limits.public_url("https://u:p@h.example:8/a/b.png?key=1#x") == "https://h.example:8/a/b.png"
    assert len(limits.public_url("https://h.example/" + "a" * 9000)) == 300
