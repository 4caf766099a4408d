"""The process that fetches: bounded whatever a server does, silent, gone with its parent; and a cache that heals."""

from __future__ import annotations

import email.utils
import io
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, cast

import pytest

from onnxembed.errors import IntegrityError, ModelNotFoundError, UnsafeModelError
from onnxembed.hub import child, worker
from onnxembed.hub.failures import explain, status_failure
from onnxembed.hub.fetching import Fetcher, GivenUpError
from onnxembed.hub.locate import locate, repair
from onnxembed.hub.settings import StoreSettings, TransferLimits
from onnxembed.hub.shown import shown_text
from onnxembed.hub.worker import Worker
from onnxembed.spec import ModelSource
from tests.core.hub.small import MODEL, QUICK, REPOSITORY, WANTED, content, files, graph, leftovers, partials
from tests.fixtures.hub_server import Fault, HubServer

FOLDER = f"models--{REPOSITORY.replace('/', '--')}"
GRAPH_PATTERN = "GET */resolve/*/onnx/model.onnx"


def wanted() -> dict[str, bytes]:
    return {name: files()[name] for name in WANTED}


@pytest.fixture
def no_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A frozen program, which cannot start its interpreter again."""
    monkeypatch.setattr(sys, "frozen", True, raising=False)


class TestBounds:
    def test_a_given_up_process_is_ended_and_writes_no_more(
        self, hub: HubServer, settings: StoreSettings, cache: Path
    ) -> None:
        hub.fail(GRAPH_PATTERN, Fault(drip=True))
        with pytest.raises(ModelNotFoundError, match=r"onnx/model\.onnx of .*: no progress for 2 seconds, given up"):
            locate(MODEL, settings)
        state = sorted(content(cache))
        hub.heal()

        assert content(locate(MODEL, settings).path) == wanted()
        assert set(state) <= set(content(cache)) | {name for name in state if ".incomplete" in name}

    def test_a_lock_of_another_tool_is_waited_for_within_the_bound(
        self, hub: HubServer, settings: StoreSettings, cache: Path
    ) -> None:
        import hashlib

        from filelock import FileLock

        path = cache / ".locks" / FOLDER / f"{hashlib.sha256(graph()).hexdigest()}.lock"
        path.parent.mkdir(parents=True)

        with (
            FileLock(path),
            pytest.raises(ModelNotFoundError, match=r"given up; .* another program holds the file's lock"),
        ):
            locate(MODEL, settings)
        assert content(locate(MODEL, settings).path) == wanted()

    def test_a_copy_that_may_lack_optional_files_waits_for_neither_hub_nor_lock(
        self, hub: HubServer, settings: StoreSettings, cache: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        from onnxembed.hub.locks import locked

        caplog.set_level(logging.INFO)
        folder = locate(MODEL, settings)
        (folder.path / "config.json").unlink()
        limits = replace(QUICK, lock_seconds=600.0, stall_seconds=600.0)
        begin = time.monotonic()

        with locked(cache / "onnxembed" / "locks" / f"{FOLDER}.lock", limits):
            assert locate(MODEL, replace(settings, limits=limits)) == folder
        assert time.monotonic() - begin < 60
        assert "waiting at most 3 seconds" in caplog.text

    def test_every_wait_is_announced_with_its_size_and_bound(
        self, hub: HubServer, settings: StoreSettings, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, logger="onnxembed")

        locate(MODEL, settings)

        size = len(graph())
        assert (
            f"fetching onnx/model.onnx of {REPOSITORY} ({size:,} bytes); given up after 2 seconds without"
            in caplog.text
        )

    def test_the_bound_follows_the_time_that_a_user_gives_a_server(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert TransferLimits().effective_stall_seconds == 120.0
        monkeypatch.setenv("HF_HUB_DOWNLOAD_TIMEOUT", "3")
        assert TransferLimits().effective_stall_seconds == 12.0

    def test_a_process_that_dies_is_told(self, hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(worker, "_PROGRAM", "import sys; sys.exit('no memory')")

        with pytest.raises(ModelNotFoundError, match=r"ended with status 1: no memory"), Worker(QUICK) as one:
            one.call("x", {"do": "list", "url": hub.url, "max_bytes": 1})

    @pytest.mark.skipif(os.name == "nt", reason="reads the list of processes of Linux")
    def test_it_ends_with_its_parent(self, hub: HubServer, cache: Path) -> None:
        hub.fail(GRAPH_PATTERN, Fault(hang=True))
        code = (
            "import sys\nfrom onnxembed.hub.locate import locate\nfrom onnxembed.hub.settings import StoreSettings\n"
            "from tests.core.hub.small import MODEL\n"
            "locate(MODEL, StoreSettings(cache_dir=sys.argv[1]))\n"
        )
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        process = subprocess.Popen([sys.executable, "-c", code, str(cache)], env=environment)
        deadline = time.monotonic() + 60
        while "onnx/model.onnx" not in hub.fetched(REPOSITORY) and time.monotonic() < deadline:
            time.sleep(0.01)
        (worker_id,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        process.send_signal(signal.SIGKILL)
        process.wait()

        while Path(f"/proc/{worker_id}").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not Path(f"/proc/{worker_id}").exists()


class TestWithoutProcesses:
    """A thread fetches by plain requests."""

    def test_files_come(self, hub: HubServer, settings: StoreSettings, cache: Path, no_processes: None) -> None:
        large = bytes(range(256)) * 1000
        hub.add_repo(REPOSITORY, {**files(), "large.bin": large})
        hub.fail("GET *", Fault(status=503, times=1))
        hub.fail("GET */large.bin", Fault(truncate_at=100_000, times=1))
        model = replace(MODEL, additional_files=("large.bin",))

        folder = locate(model, settings)

        assert content(folder.path) == {**wanted(), "large.bin": large}
        assert (leftovers(cache), partials(cache)) == ([], [])
        assert [request.path.rsplit("/", 1)[-1] for request in hub.requests if request.range] == ["large.bin"]
        hub.forget_requests()
        assert locate(model, settings) == folder
        assert hub.requests == []

    @pytest.mark.parametrize("fault", [Fault(drip=True), Fault(hang_at=10)], ids=["drips", "stops"])
    def test_a_thread_is_given_up(
        self, hub: HubServer, settings: StoreSettings, fault: Fault, no_processes: None
    ) -> None:
        hub.fail(GRAPH_PATTERN, fault)

        with pytest.raises(
            ModelNotFoundError, match=r"onnx/model\.onnx of .*(no progress for 2|no answer within 0\.3)"
        ):
            locate(MODEL, settings)

    def test_a_thread_that_was_given_up_writes_no_more(self, hub: HubServer, tmp_path: Path) -> None:
        url = hub.add_file("/large", bytes(3_000_000))
        steps = threading.Semaphore(1)

        def tick(size: int) -> None:
            if not steps.acquire(blocking=False):
                raise GivenUpError

        fetcher = Fetcher(QUICK, tick, plain=True)
        part = tmp_path / "part"
        with pytest.raises(GivenUpError):
            fetcher.answer({"do": "archive", "url": url, "label": "x", "max_bytes": 10_000_000, "part": str(part)})
        assert part.stat().st_size < 3_000_000

    def test_an_unforeseen_error_is_told(self, monkeypatch: pytest.MonkeyPatch, no_processes: None) -> None:
        with pytest.raises(ModelNotFoundError, match=r"x: KeyError\('nonsense'\)"), Worker(QUICK) as one:
            one.call("x", {"do": "nonsense"})

    def test_it_stands_in_where_no_process_starts(
        self, hub: HubServer, settings: StoreSettings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: object, **__: object) -> None:
            raise OSError("no processes here")

        monkeypatch.setattr(subprocess, "Popen", refuse)

        assert content(locate(MODEL, settings).path) == wanted()


class TestSimpleMirrors:
    """Servers that answer neither HEAD requests nor with digests."""

    @pytest.fixture
    def mirror(self, hub: HubServer) -> HubServer:
        hub.knows_head = False
        commit = hub.add_repo(REPOSITORY, files())
        answer = {"sha": commit, "siblings": [{"rfilename": name} for name in files()]}
        hub.add_file(f"/api/models/{REPOSITORY}/revision/main", json.dumps(answer).encode())
        self.files_at = f"/{REPOSITORY}/resolve/{commit}"
        return hub

    def test_files_come_by_plain_requests(self, mirror: HubServer, settings: StoreSettings, cache: Path) -> None:
        assert content(locate(MODEL, settings).path) == wanted()
        assert mirror.fetched(REPOSITORY) == WANTED
        assert leftovers(cache) == []

    @pytest.mark.parametrize("name", ["onnx/model.onnx", "tokenizer.json", "config.json"])
    def test_a_login_page_is_not_kept(self, mirror: HubServer, settings: StoreSettings, name: str) -> None:
        page = f"{self.files_at}/{name}"
        mirror.add_file(page, b"<html>Please log in</html>")
        with pytest.raises(IntegrityError, match=rf"{name} of {REPOSITORY}: .*; nothing of it was kept"):
            locate(MODEL, settings)
        mirror.add_file(page, files()[name])

        assert content(locate(MODEL, settings).path) == wanted()

    def test_a_page_that_an_older_version_kept_is_fetched_again(
        self, mirror: HubServer, settings: StoreSettings, caplog: pytest.LogCaptureFixture
    ) -> None:
        path = locate(MODEL, settings).path / "onnx" / "model.onnx"
        path.write_bytes(b"<html>Please log in</html>")

        assert content(locate(MODEL, settings).path) == wanted()
        assert "onnx/model.onnx of org/Small-Model in the cache is damaged" in caplog.text
        assert "it is fetched again" in caplog.text


class TestHealing:
    @pytest.mark.parametrize(
        "damage",
        [
            b"<html>Please log in</html>",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n",
            b"",
            graph()[:40],
            b"\xff" * len(graph()),
        ],
        ids=["page", "pointer", "empty", "truncated", "same size"],
    )
    def test_a_damaged_graph_is_fetched_again_once(
        self, hub: HubServer, settings: StoreSettings, caplog: pytest.LogCaptureFixture, damage: bytes
    ) -> None:
        folder = locate(MODEL, settings)
        (folder.path / "onnx" / "model.onnx").resolve().write_bytes(damage)
        hub.forget_requests()

        assert locate(MODEL, settings) == folder
        assert content(folder.path) == wanted()
        assert hub.fetched(REPOSITORY) == ["onnx/model.onnx"]

    @pytest.mark.parametrize("name", WANTED)
    def test_what_turns_out_to_be_unreadable_is_fetched_again(
        self, hub: HubServer, settings: StoreSettings, caplog: pytest.LogCaptureFixture, name: str
    ) -> None:
        folder = locate(MODEL, settings)
        assert not repair(folder, MODEL, settings)
        (folder.path / name).resolve().write_bytes(b"\xff" * len(files()[name]))
        hub.forget_requests()

        assert repair(folder, MODEL, settings)
        assert content(folder.path) == wanted()
        assert (hub.fetched(REPOSITORY), hub.listed(REPOSITORY)) == ([name], 0)
        assert f"{name} of org/small were damaged in the cache and have been fetched again" in caplog.text
        assert not repair(folder, MODEL, settings)

    def test_without_requests_the_damage_is_named(self, hub: HubServer, settings: StoreSettings) -> None:
        folder = locate(MODEL, settings)
        (folder.path / "tokenizer.json").resolve().write_bytes(b"\xff" * len(files()["tokenizer.json"]))

        with pytest.raises(
            ModelNotFoundError, match=r"tokenizer\.json of .*damaged in the cache.*local_files_only=True"
        ):
            repair(folder, MODEL, replace(settings, local_files_only=True))

    def test_a_folder_of_a_user_is_left_alone(self, hub: HubServer, settings: StoreSettings, tmp_path: Path) -> None:
        folder = locate(MODEL, settings)
        mine = tmp_path / "mine"
        for name, data in wanted().items():
            (mine / name).parent.mkdir(parents=True, exist_ok=True)
            (mine / name).write_bytes(data[:3])

        assert not repair(replace(folder, path=mine), MODEL, settings)
        assert not repair(replace(folder, path=mine, revision=None), MODEL, settings)
        assert (mine / "tokenizer.json").read_bytes() == wanted()["tokenizer.json"][:3]

    def test_a_link_out_of_the_cache_loses_the_link_only(
        self, hub: HubServer, settings: StoreSettings, tmp_path: Path
    ) -> None:
        folder = locate(MODEL, settings)
        outside = tmp_path / "outside.json"
        outside.write_bytes(b"not the tokenizer")
        (folder.path / "tokenizer.json").unlink()
        (folder.path / "tokenizer.json").symlink_to(outside)

        assert content(locate(MODEL, settings).path) == wanted()
        assert outside.read_bytes() == b"not the tokenizer"


class TestStrangers:
    @pytest.mark.parametrize("header", ["ETag", "X-Linked-Etag", "X-Repo-Commit"])
    @pytest.mark.parametrize("value", ["../../../evil", '"/tmp/evil"', "..", "a/b", "a\\b"])
    def test_names_of_contents_are_no_paths(
        self, hub: HubServer, settings: StoreSettings, tmp_path: Path, header: str, value: str
    ) -> None:
        hub.fail("HEAD *", Fault(headers=((header, value),)))

        with pytest.raises(ModelNotFoundError, match=r"names a content .*; expected a digest"):
            locate(MODEL, settings)
        assert not [path for path in tmp_path.rglob("*") if "evil" in path.name]

    @pytest.mark.parametrize("user", ["user:PASSWORDx", "PASSWORDx", "user:PASSWORDx%40y"])
    @pytest.mark.parametrize(
        "fault", [Fault(status=200), Fault(status=500), Fault(status=401), Fault(reset=True)], ids=str
    )
    def test_passwords_of_the_endpoint_are_in_no_message(
        self,
        hub: HubServer,
        settings: StoreSettings,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
        user: str,
        fault: Fault,
    ) -> None:
        caplog.set_level(logging.DEBUG)
        monkeypatch.setenv("HF_ENDPOINT", hub.url.replace("//", f"//{user}@"))
        hub.fail("GET /api/*", fault)

        with pytest.raises(ModelNotFoundError) as caught:
            locate(MODEL, settings)
        assert "PASSWORDx" not in f"{caught.value!r}{caught.value.__cause__!r}{caplog.text}"

    def test_control_characters_are_escaped(self, hub: HubServer, settings: StoreSettings) -> None:
        hub.add_repo(REPOSITORY, {"\x1b[2J\nfake: line": b"x"})

        with pytest.raises(ModelNotFoundError) as caught:
            locate(MODEL, settings)
        assert "\x1b" not in str(caught.value)
        assert r"\x1b[2J\nfake: line" in str(caught.value)

    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("a\x1b[31m\r\nb", r"a\x1b[31m\r\nb"),
            ("GET http://u:p@host/x?y=a@b failed", "GET http://host/x?y=a@b failed"),
            ("x" * 700, "x" * 600 + "..."),
        ],
    )
    def test_shown_text(self, text: str, shown: str) -> None:
        assert shown_text(text) == shown


class TestWords:
    @pytest.mark.parametrize(
        ("value", "seconds"),
        [
            ("2", 2.0),
            ("0", 0.0),
            ("", None),
            ("soon", None),
            ("²", None),
            (email.utils.formatdate(0), 0.0),
            ("Thu, 01 Jan 1970 00:00:00 -0000", 0.0),
        ],
    )
    def test_retry_after(self, value: str, seconds: float | None) -> None:
        assert status_failure(503, {"retry-after": value}).wait_seconds == seconds

    def test_retry_after_a_date_far_away(self) -> None:
        later = email.utils.formatdate(time.time() + 500, usegmt=True)
        assert status_failure(429, {"retry-after": later}).wait_seconds == pytest.approx(500, abs=2)

    def test_a_full_disk_is_told_from_a_broken_line(self, tmp_path: Path) -> None:
        full = explain(OSError(28, "No space left on device"), tmp_path, 1.0)
        assert full.final
        assert full.text.startswith("the disk is full: ")
        torn = explain(ConnectionResetError(104, "Connection reset by peer"), tmp_path, 1.0)
        assert not torn.final
        assert torn.text == "the connection failed: ConnectionResetError: [Errno 104] Connection reset by peer"
        assert explain(TimeoutError("timed out"), tmp_path, 7.0).text == "no answer within 7 seconds"


class TestProgress:
    def answers(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, requests: list[dict[str, Any]]) -> bytes:
        """What the process would tell about some requests, in this process."""
        from huggingface_hub import constants, utils

        class _Left(BaseException):
            pass

        def leave(scratch: Path) -> None:
            raise _Left

        bars = cast("Any", utils).tqdm
        monkeypatch.setattr(bars, "update", bars.update)
        monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", constants.DOWNLOAD_CHUNK_SIZE)
        monkeypatch.setattr(signal, "signal", lambda *_: None)
        monkeypatch.setattr(child, "_IDLE_SECONDS", 0.5)
        monkeypatch.setattr(child, "_watch_parent", lambda parent, scratch: None)
        monkeypatch.setattr(child, "_read", lambda waiting, scratch: [waiting.put(one) for one in requests])
        monkeypatch.setattr(child, "_leave", leave)
        setup = {"report": str(tmp_path / "report"), "limits": asdict(QUICK), "token": None, "parent": os.getppid()}
        with suppress(_Left):
            child.main(setup)
        return (tmp_path / "report").read_bytes()

    def test_bytes_and_answers_are_told(
        self, hub: HubServer, cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        large = bytes(range(256)) * 2000
        commit = hub.add_repo(REPOSITORY, {"large.bin": large})
        arguments = {"repository": REPOSITORY, "name": "large.bin", "commit": commit}
        hub_arguments = {**arguments, "cache_dir": str(cache), "endpoint": hub.url}
        request = {
            "do": "file",
            "label": "large.bin",
            "url": "",
            "max_bytes": 1,
            "part": "",
            "size": len(large),
            "hub": hub_arguments,
        }
        missing = {**request, "hub": {**hub_arguments, "name": "missing.bin"}}

        told = self.answers(monkeypatch, tmp_path, [request, missing])

        ready, done, failed = (json.loads(line) for line in told.split(b"\n") if line.startswith(b"{"))
        assert ready == {"ready": True}
        assert Path(done["path"]).read_bytes() == large
        assert "no such file" in failed["error"]
        assert told.count(b".", 0, told.index(b'{"path"')) >= len(large) // (1 << 16)

    @pytest.mark.skipif(os.name == "nt", reason="needs a terminal of POSIX")
    @pytest.mark.parametrize(
        ("prelude", "variables", "asked", "drawn"),
        [
            ("", {}, None, True),
            ("", {}, False, False),
            ("", {"HF_HUB_DISABLE_PROGRESS_BARS": "1"}, None, False),
            ("", {"HF_HUB_DISABLE_PROGRESS_BARS": "1"}, True, True),
            ("from huggingface_hub.utils import disable_progress_bars; disable_progress_bars()", {}, None, False),
        ],
        ids=["terminal", "unwanted", "variable", "wanted", "call"],
    )
    def test_bars_are_the_clients_own(
        self, hub: HubServer, cache: Path, prelude: str, variables: dict[str, str], asked: bool | None, drawn: bool
    ) -> None:
        import termios

        hub.add_repo(REPOSITORY, {**files(), "large.bin": bytes(500_000)})
        code = (
            "import dataclasses, sys\nfrom onnxembed.hub.locate import locate\n"
            "from onnxembed.hub.settings import StoreSettings\n"
            f"from tests.core.hub.small import MODEL\n{prelude}\n"
            "model = dataclasses.replace(MODEL, additional_files=('large.bin',))\n"
            f"locate(model, StoreSettings(cache_dir=sys.argv[1], show_progress={asked}))\n"
        )
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **variables}
        terminal, inside = os.openpty()
        termios.tcsetwinsize(inside, (24, 100))
        try:
            process = subprocess.Popen([sys.executable, "-c", code, str(cache)], env=environment, stderr=inside)
            os.close(inside)
            told = b""
            with suppress(OSError):  # the end, on Linux
                while chunk := os.read(terminal, 1 << 16):
                    told += chunk
            assert process.wait() == 0, told
        finally:
            os.close(terminal)

        assert (b"large.bin" in told) == drawn, told


class TestArchives:
    def test_only_wanted_members_are_unpacked(self, hub: HubServer, settings: StoreSettings) -> None:
        import tarfile

        from tests.core.hub.small import graph_with_data

        model, data = graph_with_data("weights.bin")
        packed = io.BytesIO()
        contents = {
            **files(),
            "onnx/model.onnx": model,
            "onnx/weights.bin": data,
            "._config.json": b"x",
            "big": b"x" * 99,
        }
        with tarfile.open(fileobj=packed, mode="w:gz") as tar:
            for name, blob in contents.items():
                info = tarfile.TarInfo(f"small/{name}")
                info.size = len(blob)
                tar.addfile(info, io.BytesIO(blob))
        source = ModelSource(url=hub.add_file("/small.tar.gz", packed.getvalue()))

        folder = locate(replace(MODEL, sources=(source,)), settings)

        assert sorted(content(folder.path)) == sorted([*WANTED, "onnx/weights.bin"])

    def test_a_damaged_copy_is_fetched_again(
        self, hub: HubServer, settings: StoreSettings, caplog: pytest.LogCaptureFixture
    ) -> None:
        import tarfile

        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as tar:
            for name, blob in wanted().items():
                info = tarfile.TarInfo(name)
                info.size = len(blob)
                tar.addfile(info, io.BytesIO(blob))
        source = ModelSource(url=hub.add_file("/small.tar.gz", packed.getvalue()))
        model = replace(MODEL, sources=(source,))
        folder = locate(model, settings)
        assert not repair(folder, model, settings)
        (folder.path / "tokenizer.json").write_bytes(b"\xff")

        with pytest.raises(ModelNotFoundError, match=r"tokenizer\.json in .*: damaged, and local_files_only=True"):
            repair(folder, model, replace(settings, local_files_only=True))
        assert repair(folder, model, settings)
        assert content(folder.path) == wanted()
        assert "tokenizer.json of org/small were damaged in the cache" in caplog.text


def test_dripping_archives_are_given_up(hub: HubServer, settings: StoreSettings, cache: Path) -> None:
    url = hub.add_file("/small.tar.gz", b"x")
    hub.fail("GET /small*", Fault(drip=True))

    with pytest.raises(ModelNotFoundError, match="the archive: no progress for 2 seconds, given up"):
        locate(replace(MODEL, sources=(ModelSource(url=url),)), settings)
    assert leftovers(cache) == []


def test_unsafe_graphs_are_not_taken_for_damaged(hub: HubServer, settings: StoreSettings) -> None:
    from tests.core.hub.small import graph_with_data

    hub.add_repo(REPOSITORY, {**files(), "onnx/model.onnx": graph_with_data("../../secret")[0]})
    with pytest.raises(UnsafeModelError):
        locate(MODEL, settings)
    assert hub.fetched(REPOSITORY).count("onnx/model.onnx") == 1
