"""Archives from an address: what is unpacked, what is refused, and what is left behind."""

from __future__ import annotations

import gzip
import hashlib
import io
import logging
import os
import tarfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from onnxembed.errors import InputError, IntegrityError, ModelNotFoundError, UnsafeModelError
from onnxembed.hub.extraction import extract
from onnxembed.hub.locate import locate
from onnxembed.hub.settings import StoreSettings, TransferLimits
from onnxembed.hub.shown import shown_address
from onnxembed.spec import ModelSource
from onnxembed.text.spec import DenseModel
from tests.core.hub.small import MODEL, QUICK, content, files, graph, leftovers
from tests.fixtures.hub_server import Fault, HubServer

if TYPE_CHECKING:
    from pathlib import Path

PATH = "/models/small.tar.gz"
NEEDED = {name: files()[name] for name in ("onnx/model.onnx", "tokenizer.json", "config.json")}


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, link, 0o777
    return info


def pack(*extra: tuple[tarfile.TarInfo, bytes], contents: dict[str, bytes] | None = None, top: str = "") -> bytes:
    """A ``.tar.gz`` with some files, then some members of any kind."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, data in (NEEDED if contents is None else contents).items():
            info = member(top + name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        for info, data in extra:
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def test_a_name_that_no_file_system_takes(tmp_path: Path) -> None:
    (tmp_path / "archive").write_bytes(pack((member("model/" + "a" * 300), b"content")))
    with pytest.raises(UnsafeModelError, match="has a name of 306 characters"):
        extract(tmp_path / "archive", tmp_path / "unpacked", TransferLimits())


def model_at(url: str, **digests: str) -> DenseModel:
    return replace(MODEL, sources=(ModelSource(url=url, sha256=tuple(digests.items())),))


class TestFetching:
    @pytest.mark.parametrize("top", ["", "./", "small/", "./small/"])
    def test_the_model_is_at_the_root_or_in_the_single_folder(
        self, hub_server: HubServer, settings: StoreSettings, cache: Path, top: str
    ) -> None:
        url = hub_server.add_file(PATH, pack(top=top))

        folder = locate(model_at(url), settings)

        assert content(folder.path) == NEEDED
        assert folder.source == f"archive {url}"
        assert folder.path.parent == cache / "onnxembed" / "archives"
        assert leftovers(cache) == []

    def test_a_second_time_asks_nothing_not_even_offline(self, hub_server: HubServer, settings: StoreSettings) -> None:
        model = model_at(hub_server.add_file(PATH, pack()))
        folder = locate(model, settings)

        assert locate(model, replace(settings, local_files_only=True)) == folder
        assert [request.path for request in hub_server.requests] == [PATH]

    def test_an_unpacked_archive_spares_the_hub(self, hub: HubServer, settings: StoreSettings) -> None:
        source = ModelSource(url=hub.add_file(PATH, pack()))
        folder = locate(replace(MODEL, sources=(source,)), settings)
        hub.forget_requests()

        assert locate(replace(MODEL, sources=(*MODEL.sources, source)), settings) == folder
        assert hub.requests == []

    def test_it_is_the_last_resort(self, hub: HubServer, settings: StoreSettings) -> None:
        hub.fail("GET /api/*", Fault(status=404))
        source = ModelSource(url=hub.add_file(PATH, pack()))

        folder = locate(replace(MODEL, sources=(*MODEL.sources, source)), settings)

        assert content(folder.path) == NEEDED
        assert [request.path for request in hub.requests][1:] == [PATH]

    def test_another_digest_is_another_folder(self, hub_server: HubServer, settings: StoreSettings) -> None:
        url = hub_server.add_file(PATH, pack())
        first = locate(model_at(url), settings)
        newer = pack(contents={**NEEDED, "config.json": b"[]"})
        hub_server.add_file(PATH, newer)
        source = ModelSource(url=url, sha256=(("", hashlib.sha256(newer).hexdigest()),))

        second = locate(replace(MODEL, sources=(source,)), settings)

        assert (content(first.path)["config.json"], content(second.path)["config.json"]) == (
            NEEDED["config.json"],
            b"[]",
        )

    def test_a_wrong_digest_of_the_archive(self, hub_server: HubServer, settings: StoreSettings, cache: Path) -> None:
        source = ModelSource(url=hub_server.add_file(PATH, pack()), sha256=(("", "0" * 64),))

        with pytest.raises(IntegrityError, match=r"the archive has the SHA-256 [0-9a-f]{64}, expected 0{64}"):
            locate(replace(MODEL, sources=(source,)), settings)
        assert content(cache) == dict.fromkeys(content(cache), b"")  # locks at most
        assert leftovers(cache) == []

    def test_a_wrong_digest_of_a_file(self, hub_server: HubServer, settings: StoreSettings, cache: Path) -> None:
        source = ModelSource(url=hub_server.add_file(PATH, pack()), sha256=(("onnx/model.onnx", "0" * 64),))

        with pytest.raises(IntegrityError, match="does not have the published SHA-256"):
            locate(replace(MODEL, sources=(source,)), settings)
        assert leftovers(cache) == []

    def test_a_truncated_body_is_resumed(self, hub_server: HubServer, settings: StoreSettings) -> None:
        large = {**NEEDED, "modules.json": b'"%s"' % os.urandom(150_000).hex().encode()}
        url = hub_server.add_file(PATH, pack(contents=large))
        hub_server.fail(f"GET {PATH}", Fault(truncate_at=100_000, times=1))

        assert content(locate(model_at(url), settings).path) == large
        first, second = (request.range for request in hub_server.requests)
        assert first is None
        assert second in {"bytes=65536-", "bytes=100000-"}  # what the HTTP library had handed on

    @pytest.mark.parametrize(
        ("fault", "message"),
        [
            (Fault(status=403), r"access is refused \(403\)"),
            (Fault(status=404), r"it is not there \(404\)"),
            (Fault(status=500), r"the server failed \(500\) \(tried 3 times\)"),
            (Fault(truncate_at=0), r"(only 0 of \d+ bytes came|the connection failed: .*) \(tried 3 times\)"),
            (Fault(hang=True), r"no answer within 0\.3 seconds \(tried 3 times\)"),
            (Fault(hang_at=9), r"no answer within 0\.3 seconds \(tried 3 times\)"),
            (Fault(reset=True), r"the connection failed: .* \(tried 3 times\)"),
        ],
        ids=["403", "404", "500", "truncated", "silent", "stops", "reset"],
    )
    def test_failures_are_told_without_the_signature(
        self,
        hub_server: HubServer,
        settings: StoreSettings,
        cache: Path,
        caplog: pytest.LogCaptureFixture,
        fault: Fault,
        message: str,
    ) -> None:
        caplog.set_level(logging.DEBUG)
        url = hub_server.add_file(PATH, pack())
        hub_server.fail("GET *", fault)
        with pytest.raises(ModelNotFoundError, match=message) as caught:
            locate(model_at(f"{url}?Signature=secret#part"), settings)
        assert f"archive {url}: the archive: " in str(caught.value)
        assert "secret" not in f"{caught.value!r}{caught.value.__cause__!r}{caplog.text}"
        assert leftovers(cache) == []

    def test_too_large_an_archive_is_given_up(
        self, hub_server: HubServer, settings: StoreSettings, cache: Path
    ) -> None:
        url = hub_server.add_file(PATH, pack())
        limits = replace(QUICK, archive_bytes=100)

        with pytest.raises(ModelNotFoundError, match="sends more than the expected 100 bytes"):
            locate(model_at(url), replace(settings, limits=limits))
        assert leftovers(cache) == []

    def test_threads_that_start_at_once_download_once(self, hub_server: HubServer, settings: StoreSettings) -> None:
        model = model_at(hub_server.add_file(PATH, pack()))
        gate = threading.Barrier(4)

        def run(_: int) -> Path:
            gate.wait()
            return locate(model, settings).path

        with ThreadPoolExecutor(4) as pool:
            assert len(set(pool.map(run, range(4)))) == 1
        assert len(hub_server.requests) == 1

    def test_what_a_killed_process_left_is_cleared(
        self, hub_server: HubServer, settings: StoreSettings, cache: Path
    ) -> None:
        model = model_at(hub_server.add_file(PATH, pack()))
        folder = locate(model, settings).path
        (folder / "tokenizer.json").unlink()
        staging = folder.with_name(f"{folder.name}.staging")
        staging.mkdir()
        (staging / "half").write_bytes(b"x")

        assert content(locate(model, settings).path) == NEEDED
        assert leftovers(cache) == []

    @pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://host/a.tar.gz", "a.tar.gz", "http://"])
    def test_other_addresses_are_refused(self, settings: StoreSettings, url: str) -> None:
        with pytest.raises(InputError, match="expected http:// or https://"):
            locate(model_at(url), settings)

    def test_shown_addresses_have_no_secrets(self) -> None:
        assert shown_address("https://user:word@host:8443/a/b.tar.gz?token=1#x") == "https://host:8443/a/b.tar.gz"

    def test_a_pinned_revision_is_not_given_by_an_archive(self, hub_server: HubServer, settings: StoreSettings) -> None:
        url = hub_server.add_file(PATH, pack())

        with pytest.raises(ModelNotFoundError, match="an archive has no revision, and revision='v1' is asked for"):
            locate(model_at(url), replace(settings, revision="v1"))
        assert hub_server.requests == []


ATTACKS = {
    "parent": (member("../evil"), b"x"),
    "parent inside": (member("onnx/../../evil"), b"x"),
    "absolute": (member("/tmp/evil"), b"x"),
    "drive": (member("C:evil"), b"x"),
    "backslash": (member("..\\evil"), b"x"),
    "empty part": (member("a//b"), b"x"),
    "symbolic link": (member("evil", tarfile.SYMTYPE, "/etc/passwd"), b""),
    "symbolic link inside": (member("evil", tarfile.SYMTYPE, "config.json"), b""),
    "hard link": (member("evil", tarfile.LNKTYPE, "config.json"), b""),
    "character device": (member("evil", tarfile.CHRTYPE), b""),
    "block device": (member("evil", tarfile.BLKTYPE), b""),
    "pipe": (member("evil", tarfile.FIFOTYPE), b""),
    "folder outside": (member("../evil", tarfile.DIRTYPE), b""),
    "twice": (member("config.json"), b"{}"),
    "folder as file": (member("onnx"), b"x"),
    "file as folder": (member("config.json/evil"), b"x"),
}


@pytest.mark.any_hub  # ours unpacks; TestFetching shows with each line of huggingface-hub that archives come whole
class TestAttacks:
    @pytest.mark.parametrize("name", ATTACKS)
    def test_it_is_refused_and_leaves_nothing(
        self, hub_server: HubServer, settings: StoreSettings, cache: Path, tmp_path: Path, name: str
    ) -> None:
        url = hub_server.add_file(PATH, pack(ATTACKS[name]))

        with pytest.raises(UnsafeModelError):
            locate(model_at(url), settings)
        assert leftovers(cache) == []
        assert not [path for path in tmp_path.rglob("*") if "evil" in path.name or path.name == "config.json"]

    def test_a_link_cannot_redirect_a_later_file(self, tmp_path: Path) -> None:
        outside = tmp_path / "outside"
        outside.mkdir()
        archive = tmp_path / "a.tar.gz"
        archive.write_bytes(
            pack((member("onnx", tarfile.SYMTYPE, str(outside)), b""), (member("onnx/x"), b"x"), contents={})
        )

        with pytest.raises(UnsafeModelError, match="'onnx' is a link or a device"):
            extract(archive, tmp_path / "into", QUICK)
        assert list(outside.iterdir()) == []

    def test_modes_are_not_taken_over(self, tmp_path: Path) -> None:
        info = member("program")
        info.mode = 0o6777
        archive = tmp_path / "a.tar.gz"
        archive.write_bytes(pack((info, b"x"), contents={}))

        extract(archive, tmp_path / "into", QUICK)

        assert (tmp_path / "into" / "program").stat().st_mode & 0o7111 == 0

    def test_a_bomb_of_content(self, tmp_path: Path) -> None:
        archive = tmp_path / "a.tar.gz"
        archive.write_bytes(pack((member("zeros"), bytes(5_000_000)), contents={}))

        with pytest.raises(UnsafeModelError, match="unpacks to more than 1000000 bytes"):
            extract(archive, tmp_path / "into", replace(QUICK, extracted_bytes=1_000_000))
        assert list((tmp_path / "into").iterdir()) == []

    def test_a_bomb_of_members(self, tmp_path: Path) -> None:
        archive = tmp_path / "a.tar.gz"
        archive.write_bytes(pack(contents={f"file-{number}": b"x" for number in range(30)}))

        with pytest.raises(UnsafeModelError, match="more than 20 members"):
            extract(archive, tmp_path / "into", replace(QUICK, archive_members=20))

    def test_a_bomb_after_the_last_member(self, tmp_path: Path) -> None:
        archive = tmp_path / "a.tar.gz"
        archive.write_bytes(gzip.compress(gzip.decompress(pack()) + bytes(20_000_000)))

        with pytest.raises(UnsafeModelError, match="unpacks to more than"):
            extract(archive, tmp_path / "into", replace(QUICK, extracted_bytes=100_000, archive_members=10))

    def test_a_bomb_in_a_header(self, tmp_path: Path) -> None:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz", format=tarfile.PAX_FORMAT) as tar:
            info = member("small")
            info.pax_headers = {"comment": "x" * 6_000_000}
            tar.addfile(info, io.BytesIO(b""))
        archive = tmp_path / "a.tar.gz"
        archive.write_bytes(buffer.getvalue())

        with pytest.raises(UnsafeModelError, match=r"a header of \d+ bytes"):
            extract(archive, tmp_path / "into", QUICK)

    def test_a_size_that_is_a_lie(self, tmp_path: Path) -> None:
        info = member("huge")
        info.size = 1 << 40
        archive = tmp_path / "a.tar.gz"
        archive.write_bytes(gzip.compress(info.tobuf() + bytes(1024)))
        start = time.monotonic()

        with pytest.raises(UnsafeModelError, match="unpacks to more than"):
            extract(archive, tmp_path / "into", QUICK)
        assert time.monotonic() - start < 5

    @pytest.mark.parametrize(
        "damage",
        [
            lambda blob: b"",
            lambda blob: b"not an archive" * 100,
            lambda blob: blob[:-6],
            lambda blob: blob[: len(blob) // 2],
            lambda blob: blob[:-8] + b"\0\0\0\0" + blob[-4:],
            lambda blob: gzip.compress(gzip.decompress(blob)[:700]),
            lambda blob: gzip.compress(gzip.decompress(blob)[:1024] + b"broken header".ljust(2048, b"!")),
            lambda blob: gzip.compress(bytes(10240)),
        ],
        ids=["empty", "other", "no checksum", "half", "wrong checksum", "torn tar", "broken header", "no member"],
    )
    def test_damage_is_named(self, tmp_path: Path, damage: object) -> None:
        assert callable(damage)
        archive = tmp_path / "a.tar.gz"
        archive.write_bytes(damage(pack(contents={"tokenizer.json": b"x" * 400, "b": graph()})))

        with pytest.raises(IntegrityError, match="the archive is damaged"):
            extract(archive, tmp_path / "into", QUICK)

    def test_an_archive_without_the_model(self, hub_server: HubServer, settings: StoreSettings, cache: Path) -> None:
        url = hub_server.add_file(PATH, pack(contents={"small/config.json": b"{}", "small/tokenizer.json": b"{}"}))

        with pytest.raises(ModelNotFoundError, match=r"the archive lacks onnx/model\.onnx; expected onnx/"):
            locate(model_at(url), settings)
        assert leftovers(cache) == []
