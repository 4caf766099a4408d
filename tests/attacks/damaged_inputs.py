"""Damaged pictures, archives and addresses, made by a seed, so that each can be made again by its number.

As a program it is the process that reads them: ``python -m tests.attacks.damaged_inputs ROOT SEED FIRST LAST``, with
the lines of `tests.attacks.damage`. Whatever it connects to is a server of its own, on this machine.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import http.server
import io
import ipaddress
import random
import shutil
import socket
import struct
import sys
import tarfile
import threading
import warnings
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from tests.attacks.damage import VALUES, damaged, told

KINDS = ("picture", "archive", "address")
_FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "ICO", "TGA", "PCX", "DDS", "SGI", "ICNS", "PPM")
_PUBLIC = "93.184.216.34"


# pictures


@cache
def pictures() -> dict[str, bytes]:
    """One picture in every format that Pillow writes here, and further forms whose readers have ways of their own."""
    from tests.fixtures.images import encoded, oriented, picture
    from tests.fixtures.pdfs import form, pdf

    made = {"PDF": pdf((60, 60, (0.5, 0.1, 0.9))), "PDF form": form("/Tx BMC EMC")}
    for name in _FORMATS:
        with contextlib.suppress(OSError, KeyError):  # a Pillow without it
            size = (64, 64) if name in ("ICO", "ICNS") else (40, 30)
            made[name] = encoded(picture(*size), name)
    made["JPEG turned"] = oriented(picture(30, 40), 6, "JPEG")
    made["PNG 16 bit"] = encoded(picture(30, 40, "I;16"))
    made["GIF moving"] = encoded(picture(20, 20), "GIF", save_all=True, append_images=[picture(20, 20, seed=2)])
    made["TIFF packed"] = encoded(picture(20, 20), "TIFF", compression="tiff_deflate")
    made["PNG bomb"] = _png_bomb()
    return made


def _png_bomb() -> bytes:
    """A picture of 60,000 x 60,000 pixels that promises what its data do not hold."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    body = zlib.compress(bytes(200_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def use_picture(content: bytes, name: str, chance: random.Random, folder: Path) -> None:
    """Embed a picture in one of the forms in which it may be given, or a PDF's pages."""
    images, pages = _models(folder.parent)
    if name.startswith("PDF"):
        list(pages.embed_pdf(content))
        return
    path = folder / "picture"
    path.write_bytes(content)
    uri = f"data:image/png;base64,{base64.b64encode(content).decode()}"
    percent = "data:image/png," + "".join(f"%{byte:02x}" for byte in content[:4000])
    given: Any = chance.choice([content, str(path), path, path.as_uri(), io.BytesIO(content), uri, percent])
    list((pages.embed_image if chance.random() < 0.1 else images.embed)([given]))


@cache
def _models(root: Path) -> tuple[Any, Any]:
    from onnxembed import ImageEmbedding, LateInteractionMultimodalEmbedding
    from tests.fixtures.image_models import image_variant, write_image_variant
    from tests.fixtures.multimodal_models import COLMODERNVBERT, Form, write_form

    image = write_image_variant(root / ".image", image_variant("clip"))
    pages = write_form(root / ".pages", Form(COLMODERNVBERT))
    return (
        ImageEmbedding("Qdrant/clip-ViT-B-32-vision", specific_model_path=image, threads=1),
        LateInteractionMultimodalEmbedding(COLMODERNVBERT, specific_model_path=pages, threads=1),
    )


# archives


def _member(tar: tarfile.TarFile, name: str, content: bytes = b"content", **entries: Any) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in entries.items():
        setattr(info, key, value)
    tar.addfile(info, io.BytesIO(content) if info.isreg() else None)


def _outside(tar: tarfile.TarFile, chance: random.Random) -> None:
    _member(tar, chance.choice(("../outside", "/outside", "model/../../outside", "a\\..\\b", "C:outside", "~/x")))


def _link(tar: tarfile.TarFile, chance: random.Random) -> None:
    kind = chance.choice((tarfile.SYMTYPE, tarfile.LNKTYPE))
    _member(tar, "model/link", b"", type=kind, linkname=chance.choice(("/etc/passwd", "../..", "config.json")))
    _member(tar, "model/link/inside")


def _device(tar: tarfile.TarFile, chance: random.Random) -> None:
    _member(tar, "model/device", b"", type=chance.choice((tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE)))


def _bomb(tar: tarfile.TarFile, chance: random.Random) -> None:
    _member(tar, "model/model.onnx", bytes(chance.choice((1 << 20, 40 << 20))))


def _many(tar: tarfile.TarFile, chance: random.Random) -> None:
    for number in range(chance.choice((50, 3000))):
        _member(tar, f"model/{number}", b"")


def _headers(tar: tarfile.TarFile, chance: random.Random) -> None:
    text = str(chance.choice(VALUES))[:400].encode("utf-8", "replace").decode()
    name = "model/" + "a" * chance.choice((1, 300, 5000))
    _member(tar, name, pax_headers={chance.choice(("path", "size", "linkpath", "mtime", "x")): text})


_ADDITIONS: tuple[Callable[[tarfile.TarFile, random.Random], None], ...] = (
    *(_outside, _link, _device, _bomb, _many, _headers),
)


def archive(chance: random.Random) -> bytes:
    """An archive with a model's files, and something that should not be there; then perhaps damaged besides."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=chance.choice((tarfile.PAX_FORMAT, tarfile.GNU_FORMAT))) as tar:
        for name in ("config.json", "tokenizer.json", "model.onnx"):
            _member(tar, f"model/{name}", b"{}" * chance.choice((1, 1000)))
        if chance.random() < 0.6:
            with contextlib.suppress(ValueError, UnicodeError):  # what tarfile itself does not write
                chance.choice(_ADDITIONS)(tar, chance)
    inner = content.getvalue()
    if chance.random() < 0.4:
        inner = damaged("archive.tar", inner, chance)
    packed = chance.choice((gzip.compress(inner, 1), gzip.compress(inner[:-900], 1), inner, zlib.compress(inner)))
    if chance.random() < 0.4:
        packed = damaged("archive.tar.gz", packed, chance)
    return packed


def use_archive(content: bytes, folder: Path) -> None:
    """Unpack it with bounds of a few megabytes; what was written must lie inside the folder."""
    from onnxembed.hub.extraction import extract
    from onnxembed.hub.settings import TransferLimits

    path, target = folder / "archive.tar.gz", folder / "unpacked"
    path.write_bytes(content)
    try:
        extract(path, target, TransferLimits(extracted_bytes=8 << 20, archive_members=200))
    finally:
        strangers = [*folder.parent.parent.rglob("outside*"), *Path("/").glob("outside*")]
        links = [made for made in target.rglob("*") if made.is_symlink() or not (made.is_file() or made.is_dir())]
        if strangers or links:
            raise RuntimeError(f"written outside, or no file: {strangers} {links}")


# addresses


class _Hostile(http.server.BaseHTTPRequestHandler):
    """Answers with a picture, or with something else, by the number of the trial."""

    protocol_version = "HTTP/1.1"
    number = 0

    def log_message(self, *_: object) -> None:
        """Be silent."""

    def do_GET(self) -> None:
        chance = random.Random(f"{self.number} {self.path}")
        content = chance.choice(list(pictures().values()))
        content = damaged("x.png", content, chance) if chance.random() < 0.6 else content
        heads = (
            f"HTTP/1.1 200 OK\r\nContent-Length: {len(content)}\r\n\r\n".encode(),
            f"HTTP/1.1 200 OK\r\nContent-Length: {len(content) + 99}\r\n\r\n".encode(),
            f"HTTP/1.1 200 OK\r\nContent-Length: {str(chance.choice(VALUES))[:200]}\r\n\r\n".encode("utf-8", "replace"),
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffff\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chance.randbytes(30),
            b"HTTP/1.1 302 Found\r\nLocation: " + chance.choice(ADDRESSES).encode("utf-8", "replace") + b"\r\n\r\n",
            b"HTTP/1.1 302 Found\r\nLocation: /" + chance.randbytes(20) + b"\r\n\r\n",
            b"HTTP/1.1 " + chance.choice((b"999", b"-1", b"abc", b"404 \x1b[31m")) + b"\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 300 + b"\r\n",
            chance.randbytes(200),
            b"",
        )
        with contextlib.suppress(OSError):
            self.wfile.write(chance.choice((*heads[:1] * 4, *heads)) + content)
        self.close_connection = True


ADDRESSES = (
    *(
        "http://example.com/cat.png",
        "https://example.com/cat.png",
        "http://example.com:8080/a?b=c#d",
        "HTTP://EXAMPLE.com",
    ),
    *("http://127.0.0.1/", "http://[::1]/", "http://0x7f.1/", "http://2130706433/", "http://localhost/", "http://0/"),
    *("http://169.254.169.254/latest", "http://192.0.0.192/", "http://[fe80::1%25eth0]/", "http://[::ffff:10.0.0.1]/"),
    *(
        "http://user:secret@example.com/",
        "http://example.com@127.0.0.1/",
        "http://exa mple.com/",
        "http://[::1",
        "http://",
    ),
    *(
        "ftp://example.com/cat.png",
        "gopher://example.com/",
        "file:///etc/passwd",
        "file://host/x",
        "javascript:alert(1)",
    ),
    *(
        "http://münchen.example/ä?ö=ü",
        "http://example.com:99999/",
        "http://example.com:-1/",
        "http://xn--a/",
        "//example.com",
    ),
    *("data:image/png;base64,AAAA", "data:,%%%", "data:image/png;base64," + "A" * 5000, "data:" + "%00" * 20_000),
    "http://" + "a" * 400 + ".com/",
    "http://example.com/" + "a/" * 5000,
)


def address(chance: random.Random) -> str:
    """An address, perhaps with some characters that are others."""
    text = list(chance.choice(ADDRESSES))
    for _ in range(chance.choice((0, 0, 1, 2, 5))):
        at = chance.randrange(len(text))
        text[at : at + 1] = [chance.choice(":/@[]%?#.\\ \t\n\0é\u2028\ud80001x")]
    return "".join(text)


def _stay_here() -> None:
    """Let every name mean a public address, and every connection lead to a server of this process."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Hostile)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    connect: Any = socket.socket.connect

    def resolve(host: str, port: int, **_: Any) -> list[Any]:
        found = _PUBLIC
        with contextlib.suppress(ValueError):
            found = str(ipaddress.ip_address(host.partition("%")[0]))
        if host in ("localhost", "0", "0x7f.1", "2130706433"):
            found = "127.0.0.1"
        family = socket.AF_INET6 if ":" in found else socket.AF_INET
        return [(family, socket.SOCK_STREAM, 6, "", (found, port))]

    def here(connection: socket.socket, _: Any) -> None:
        if connection.family != socket.AF_INET:
            raise OSError("no such network")
        connect(connection, server.server_address)

    socket.getaddrinfo = resolve  # type: ignore[assignment]
    socket.socket.connect = here  # type: ignore[assignment, method-assign]


def use_address(given: str, folder: Path) -> None:
    """Load what an address leads to, as the image models do."""
    from onnxembed.image.limits import ImageLimits
    from onnxembed.image.loading import load_image

    load_image(given, 0, ImageLimits(allow_urls=True, timeout_seconds=2.0))


def main(root: Path, seed: int, first: int, last: int) -> None:
    """Damage and read, number by number."""
    warnings.simplefilter("ignore")
    (root / "trials").mkdir(parents=True, exist_ok=True)
    _stay_here()
    for number in range(first, last):
        chance = random.Random(f"{seed} {number}")
        kind = KINDS[number % len(KINDS)]
        folder = root / "trials" / f".{number}"
        folder.mkdir()
        _models(folder.parent)  # not counted
        if kind == "picture":
            name = chance.choice(sorted(pictures()))
            content = pictures()[name] if name == "PNG bomb" else damaged(f"{name}.bin", pictures()[name], chance)
            told(number, kind, name, lambda: use_picture(content, name, chance, folder))  # noqa: B023  # called at once
        elif kind == "archive":
            packed = archive(chance)
            told(number, kind, "tar.gz", lambda: use_archive(packed, folder))  # noqa: B023
        else:
            _Hostile.number, given = number, address(chance)
            told(number, kind, given[:80], lambda: use_address(given, folder))  # noqa: B023
        shutil.rmtree(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:5]))
