"""Fetching from a hub: what is asked for, what is kept, and what a failure leaves behind."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from onnxembed.errors import InputError, IntegrityError, ModelNotFoundError, UnsafeModelError
from onnxembed.hub.locate import locate
from onnxembed.hub.settings import StoreSettings
from onnxembed.spec import ModelSource
from tests.core.hub.small import (
    MODEL,
    QUICK,
    REPOSITORY,
    WANTED,
    content,
    files,
    graph,
    graph_with_data,
    leftovers,
    partials,
)
from tests.fixtures.hub_server import Fault, HubServer

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = f"models--{REPOSITORY.replace('/', '--')}"
GRAPH_PATTERN = "GET */resolve/*/onnx/model.onnx"


def check_whole(found: dict[str, bytes], factor: float = 2.0) -> None:
    """Every wanted file, with the published bytes, and nothing else."""
    published = files(factor)
    assert found == {name: published[name] for name in WANTED}


class TestFreshDownload:
    def test_only_the_needed_files_are_fetched_once_each(self, hub: HubServer, settings: StoreSettings) -> None:
        folder = locate(MODEL, settings)

        check_whole(content(folder.path))
        assert hub.fetched(REPOSITORY) == WANTED
        assert hub.listed(REPOSITORY) == 1
        assert len([request for request in hub.requests if request.method == "GET"]) == 1 + len(WANTED)

    def test_result_names_repository_and_commit(self, hub: HubServer, settings: StoreSettings, cache: Path) -> None:
        commit = hub.add_repo(REPOSITORY, files())

        folder = locate(MODEL, settings)

        assert folder.revision == commit
        assert folder.source == f"hub {REPOSITORY}@{commit}"
        assert folder.path == cache / FOLDER / "snapshots" / commit

    def test_cache_has_the_shared_layout(self, hub: HubServer, settings: StoreSettings, cache: Path) -> None:
        folder = locate(MODEL, settings)

        digest = hashlib.sha256(graph()).hexdigest()
        assert (cache / FOLDER / "refs" / "main").read_text() == folder.revision
        assert (folder.path / "onnx" / "model.onnx").readlink().as_posix() == f"../../../blobs/{digest}"
        assert len(list((cache / FOLDER / "blobs").iterdir())) == len(WANTED)
        assert leftovers(cache) == []
        assert not (cache / "onnxembed" / "partial" / FOLDER).exists()

    def test_the_hubs_own_client_reads_what_was_written(
        self, hub: HubServer, settings: StoreSettings, cache: Path
    ) -> None:
        from huggingface_hub import hf_hub_download, scan_cache_dir

        folder = locate(MODEL, settings)

        path = hf_hub_download(REPOSITORY, "tokenizer.json", cache_dir=cache, local_files_only=True)
        assert path == str(folder.path / "tokenizer.json")
        (repository,) = scan_cache_dir(cache).repos
        assert [revision.refs for revision in repository.revisions] == [frozenset({"main"})]

    def test_a_second_time_asks_nothing(self, hub: HubServer, settings: StoreSettings) -> None:
        first = locate(MODEL, settings)
        hub.forget_requests()

        assert locate(MODEL, settings) == first
        assert hub.requests == []

    def test_another_file_of_a_cached_commit_is_added(self, hub: HubServer, settings: StoreSettings) -> None:
        locate(MODEL, settings)
        hub.forget_requests()

        folder = locate(replace(MODEL, additional_files=("README.md",)), settings)

        assert (folder.path / "README.md").read_bytes() == b"# Small"
        assert hub.fetched(REPOSITORY) == ["README.md"]

    def test_external_data_is_fetched_too(self, hub: HubServer, settings: StoreSettings) -> None:
        model, data = graph_with_data()
        hub.add_repo(REPOSITORY, {**files(), "onnx/model.onnx": model, "onnx/model.onnx_data": data})

        folder = locate(MODEL, settings)

        assert (folder.path / "onnx" / "model.onnx_data").read_bytes() == data
        hub.forget_requests()
        locate(MODEL, settings)
        assert hub.requests == []

    def test_missing_external_data_is_named(self, hub: HubServer, settings: StoreSettings, cache: Path) -> None:
        hub.add_repo(REPOSITORY, {**files(), "onnx/model.onnx": graph_with_data()[0]})

        with pytest.raises(ModelNotFoundError, match=r"lacks 'onnx/model\.onnx_data', where the graph keeps"):
            locate(MODEL, settings)
        assert not (cache / FOLDER / "refs" / "main").exists()

    def test_external_data_outside_the_folder_is_refused(
        self, hub: HubServer, settings: StoreSettings, tmp_path: Path
    ) -> None:
        hub.add_repo(REPOSITORY, {**files(), "onnx/model.onnx": graph_with_data("../../../../secret")[0]})

        with pytest.raises(UnsafeModelError):
            locate(MODEL, settings)
        assert hub.fetched(REPOSITORY) == WANTED

    def test_weights_stand_in_where_the_repository_has_no_graph(self, hub: HubServer, settings: StoreSettings) -> None:
        tree = {name: blob for name, blob in files().items() if not name.startswith("onnx/")}
        hub.add_repo(REPOSITORY, {**tree, "model.safetensors": b"weights"})

        folder = locate(MODEL, settings)

        assert (folder.path / "model.safetensors").read_bytes() == b"weights"
        hub.forget_requests()
        assert locate(MODEL, settings) == folder
        assert hub.requests == []

    def test_a_repository_without_the_files_is_told_what_it_lacks(
        self, hub: HubServer, settings: StoreSettings
    ) -> None:
        hub.add_repo(REPOSITORY, {"README.md": b"x"})

        with pytest.raises(ModelNotFoundError, match=r"expected onnx/model\.onnx and tokenizer.*found README\.md"):
            locate(MODEL, settings)
        assert hub.fetched(REPOSITORY) == []

    def test_nothing_is_printed(
        self, hub: HubServer, settings: StoreSettings, capfd: pytest.CaptureFixture[str]
    ) -> None:
        locate(MODEL, settings)

        assert capfd.readouterr() == ("", "")

    def test_the_environment_is_left_alone(self, hub: HubServer, settings: StoreSettings) -> None:
        before = dict(os.environ)

        locate(MODEL, settings)

        assert dict(os.environ) == before


class TestMirrors:
    """Mirrors that list names only: contents get their own digest for a name."""

    @pytest.fixture
    def mirror(self, hub: HubServer) -> HubServer:
        commit = hub.add_repo(REPOSITORY, files())
        answer = {"sha": commit, "siblings": [{"rfilename": name} for name in files()]}
        hub.add_file(f"/api/models/{REPOSITORY}/revision/main", json.dumps(answer).encode())
        return hub

    def test_files_are_fetched_once(self, mirror: HubServer, settings: StoreSettings) -> None:
        folder = locate(MODEL, settings)

        check_whole(content(folder.path))
        mirror.forget_requests()
        assert locate(MODEL, settings) == folder
        assert mirror.requests == []

    def test_a_truncated_body_is_resumed(self, mirror: HubServer, settings: StoreSettings) -> None:
        mirror.fail(GRAPH_PATTERN, Fault(truncate_at=40, times=1))

        check_whole(content(locate(MODEL, settings).path))

    @pytest.mark.parametrize(
        "answer",
        [
            {},
            [],
            {"sha": "main", "siblings": []},
            {"sha": "../../x", "siblings": []},
            {"sha": "a" * 40, "siblings": [{"name": 1}]},
            {"sha": "a" * 40, "siblings": [{"rfilename": "a", "size": "big"}]},
        ],
    )
    def test_answers_of_another_kind_are_refused(self, hub: HubServer, settings: StoreSettings, answer: object) -> None:
        hub.add_file(f"/api/models/{REPOSITORY}/revision/main", json.dumps(answer).encode())

        with pytest.raises(ModelNotFoundError, match="check HF_ENDPOINT"):
            locate(MODEL, settings)

    def test_a_digest_that_is_a_path_is_not_followed(
        self, hub: HubServer, settings: StoreSettings, cache: Path
    ) -> None:
        commit = hub.add_repo(REPOSITORY, files())
        listed = [
            {"rfilename": name, "size": len(blob), "lfs": {"sha256": "../../../evil", "size": len(blob)}}
            for name, blob in files().items()
        ]
        answer = {"sha": commit, "siblings": listed}
        hub.add_file(f"/api/models/{REPOSITORY}/revision/main", json.dumps(answer).encode())

        check_whole(content(locate(MODEL, settings).path))
        assert not [path for path in cache.parent.rglob("*") if "evil" in path.name]


class TestBrokenTransfers:
    def test_a_truncated_body_is_resumed(self, hub: HubServer, settings: StoreSettings, cache: Path) -> None:
        large = bytes(range(256)) * 1000
        hub.add_repo(REPOSITORY, {**files(), "large.bin": large})
        hub.fail("GET */large.bin", Fault(truncate_at=100_000, times=1))

        folder = locate(replace(MODEL, additional_files=("large.bin",)), settings)

        assert (folder.path / "large.bin").read_bytes() == large
        ranges = [request.range for request in hub.requests if request.path.endswith("/large.bin")]
        assert [text for text in ranges if text is not None] == ["bytes=65536-"]
        assert leftovers(cache) == []

    def test_a_later_call_fetches_what_a_failed_one_could_not(
        self, hub: HubServer, settings: StoreSettings, cache: Path
    ) -> None:
        hub.fail(GRAPH_PATTERN, Fault(truncate_at=25))
        failure = r"onnx/model\.onnx of org/Small-Model: .*(\(tried 3 times\)|no progress for 2 seconds)"
        with pytest.raises(ModelNotFoundError, match=failure):
            locate(MODEL, settings)
        assert not (cache / FOLDER / "refs").exists()
        hub.heal()
        hub.forget_requests()

        folder = locate(MODEL, settings)

        check_whole(content(folder.path))
        assert hub.fetched(REPOSITORY) == ["onnx/model.onnx"]
        assert partials(cache) == []

    @pytest.mark.parametrize("part", [b"not the start of the graph", b"x" * 10_000], ids=["damaged", "too long"])
    def test_parts_that_killed_processes_left_are_of_no_harm(
        self, hub: HubServer, settings: StoreSettings, cache: Path, part: bytes
    ) -> None:
        digest = hashlib.sha256(graph()).hexdigest()
        (cache / FOLDER / "blobs").mkdir(parents=True)
        for name in (f"{digest}.incomplete", f"{digest}.0a1b2c3d.incomplete"):
            (cache / FOLDER / "blobs" / name).write_bytes(part)

        check_whole(content(locate(MODEL, settings).path))
        assert partials(cache) == []

    def test_wrong_bytes_once_are_fetched_again(
        self, hub: HubServer, settings: StoreSettings, caplog: pytest.LogCaptureFixture
    ) -> None:
        hub.fail(GRAPH_PATTERN, Fault(corrupt=True, times=1))

        check_whole(content(locate(MODEL, settings).path))
        assert "came damaged (attempt 1 of 2)" in caplog.text

    @pytest.mark.parametrize("name", ["onnx/model.onnx", "tokenizer.json"])
    def test_wrong_bytes_always_are_an_error_and_are_not_kept(
        self, hub: HubServer, settings: StoreSettings, cache: Path, name: str
    ) -> None:
        hub.fail(f"GET */resolve/*/{name}", Fault(corrupt=True))

        with pytest.raises(IntegrityError, match=rf"{name} of org/Small-Model: the content has the digest"):
            locate(MODEL, settings)
        assert not (cache / FOLDER / "refs").exists()
        published = {hashlib.sha256(blob).hexdigest() for blob in files().values()}
        kept = {hashlib.sha256(blob).hexdigest() for blob in content(cache / FOLDER).values()}
        assert kept <= published
        hub.heal()
        check_whole(content(locate(MODEL, settings).path))

    def test_more_bytes_than_listed_are_refused(self, hub: HubServer, settings: StoreSettings) -> None:
        hub.fail("GET */tokenizer.json", Fault(status=200, headers=()))
        hub.add_repo(REPOSITORY, {**files(), "tokenizer.json": b"{"})

        with pytest.raises(ModelNotFoundError, match="should be of size 1 but has size"):
            locate(MODEL, settings)

    @pytest.mark.parametrize("knows_head", [True, False])
    def test_a_body_without_an_end_does_not_fill_the_disk(
        self, hub: HubServer, settings: StoreSettings, cache: Path, knows_head: bool
    ) -> None:
        hub.knows_head = knows_head
        hub.fail("GET */onnx/model.onnx", Fault(endless=True))

        with pytest.raises(ModelNotFoundError, match=r"the server sends more than (the )?expected"):
            locate(MODEL, settings)
        assert sum(len(blob) for blob in content(cache).values()) < 200_000

    @pytest.mark.parametrize(
        "fault", [Fault(hang=True), Fault(hang_at=10), Fault(drip=True)], ids=["silent", "stops", "drips"]
    )
    def test_a_hanging_server_ends_in_time(
        self, hub: HubServer, settings: StoreSettings, cache: Path, fault: Fault
    ) -> None:
        hub.fail(GRAPH_PATTERN, fault)
        start = time.monotonic()

        with pytest.raises(ModelNotFoundError, match=r"onnx/model\.onnx of .*(no progress for 2 seconds|no answer)"):
            locate(MODEL, settings)
        assert time.monotonic() - start < 15
        hub.heal()
        check_whole(content(locate(MODEL, settings).path))

    def test_a_hanging_list_ends_in_time(self, hub: HubServer, settings: StoreSettings) -> None:
        hub.fail("GET /api/*", Fault(hang=True))

        with pytest.raises(ModelNotFoundError, match=r"the list of files of org/Small-Model at main: no answer within"):
            locate(MODEL, settings)

    def test_a_dripping_list_ends_in_time(self, hub: HubServer, settings: StoreSettings) -> None:
        hub.fail("GET /api/*", Fault(drip=True))

        with pytest.raises(ModelNotFoundError, match=r"the list of files of .*: no progress for 2 seconds, given up"):
            locate(MODEL, settings)

    def test_a_reset_is_tried_again(self, hub: HubServer, settings: StoreSettings) -> None:
        hub.fail("GET *", Fault(reset=True, times=1))

        check_whole(content(locate(MODEL, settings).path))

    def test_no_server_at_all(self, monkeypatch: pytest.MonkeyPatch, settings: StoreSettings) -> None:
        monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")

        with pytest.raises(ModelNotFoundError, match=r"the connection failed: .*\(tried 3 times\)") as caught:
            locate(MODEL, settings)
        assert isinstance(caught.value.__cause__, ModelNotFoundError)

    def test_a_page_that_is_no_hub(self, hub: HubServer, settings: StoreSettings) -> None:
        hub.fail("GET /api/*", Fault(status=200))

        with pytest.raises(ModelNotFoundError, match="does not answer like a Hub; check HF_ENDPOINT"):
            locate(MODEL, settings)

    @pytest.mark.parametrize("endpoint", ["ftp://hub", "hub.example", "http://"])
    def test_a_bad_endpoint(self, monkeypatch: pytest.MonkeyPatch, settings: StoreSettings, endpoint: str) -> None:
        monkeypatch.setenv("HF_ENDPOINT", endpoint)

        with pytest.raises(InputError, match="HF_ENDPOINT is not the address of a Hub"):
            locate(MODEL, settings)


class TestRefusals:
    @pytest.mark.parametrize(
        ("status", "code", "message"),
        [
            (401, "", r"wants a login \(401\).*HF_TOKEN"),
            (401, "GatedRepo", r"gated: accept its conditions.*HF_TOKEN.*\(401\)"),
            (403, "", r"access is refused \(403\).*HF_TOKEN"),
            (404, "", r"it is not there \(404\)"),
            (418, "", r"status 418"),
        ],
    )
    @pytest.mark.parametrize("pattern", ["GET /api/*", GRAPH_PATTERN], ids=["list", "file"])
    def test_a_refusal_is_final(
        self, hub: HubServer, settings: StoreSettings, cache: Path, pattern: str, status: int, code: str, message: str
    ) -> None:
        hub.fail(pattern, Fault(status=status, headers=(("X-Error-Code", code),) if code else ()))

        with pytest.raises(ModelNotFoundError, match=message):
            locate(MODEL, settings)
        assert hub.listed(REPOSITORY) == 1
        assert hub.fetched(REPOSITORY).count("onnx/model.onnx") == (pattern == GRAPH_PATTERN)
        assert not (cache / FOLDER / "refs").exists()
        assert leftovers(cache) == []
        hub.heal()
        check_whole(content(locate(MODEL, settings).path))

    def test_an_unknown_repository(self, hub: HubServer, settings: StoreSettings) -> None:
        model = replace(MODEL, sources=(ModelSource(hf="org/none"),))

        with pytest.raises(ModelNotFoundError, match=r"Hub repository org/none: .*no such repository"):
            locate(model, settings)

    def test_an_unknown_revision(self, hub: HubServer, settings: StoreSettings) -> None:
        with pytest.raises(ModelNotFoundError, match=r"no such revision; check revision= \(404\)"):
            locate(MODEL, replace(settings, revision="v9"))

    def test_too_many_requests_waits_as_told(self, hub: HubServer, settings: StoreSettings) -> None:
        hub.fail(GRAPH_PATTERN, Fault(status=429, headers=(("Retry-After", "1"),), times=1))
        start = time.monotonic()

        patient = replace(settings, limits=replace(QUICK, stall_seconds=20.0))
        check_whole(content(locate(MODEL, patient).path))
        assert time.monotonic() - start >= 1.0

    def test_a_wait_over_the_bound_ends_at_once(self, hub: HubServer, settings: StoreSettings) -> None:
        hub.fail("GET /api/*", Fault(status=429, headers=(("Retry-After", "600"),)))

        with pytest.raises(ModelNotFoundError, match="asks to wait 600 seconds: try again then"):
            locate(MODEL, settings)
        assert hub.listed(REPOSITORY) == 1

    @pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
    def test_a_passing_failure_is_tried_again(self, hub: HubServer, settings: StoreSettings, status: int) -> None:
        hub.fail("GET *", Fault(status=status, times=2))

        check_whole(content(locate(MODEL, settings).path))
        assert hub.listed(REPOSITORY) == 3

    def test_a_lasting_failure_ends_without_a_last_pause(self, hub: HubServer, settings: StoreSettings) -> None:
        hub.fail("GET *", Fault(status=500))
        # A pause after the last attempt would be the longest of all.
        limits = replace(QUICK, attempts=2, backoff_seconds=30.0, backoff_cap_seconds=0.2)
        start = time.monotonic()

        with pytest.raises(ModelNotFoundError, match=r"the server failed \(500\) \(tried 2 times\)"):
            locate(MODEL, replace(settings, limits=limits))
        assert 0.2 <= time.monotonic() - start < 30
        assert hub.listed(REPOSITORY) == 2


class TestTokens:
    def test_a_private_repository_opens_with_the_token(
        self, hub: HubServer, settings: StoreSettings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hub.add_repo(REPOSITORY, files(), token="hf_secret")
        with pytest.raises(ModelNotFoundError, match="set HF_TOKEN"):
            locate(MODEL, settings)
        monkeypatch.setenv("HF_TOKEN", "hf_secret")

        check_whole(content(locate(MODEL, settings).path))

    def test_the_token_is_in_no_message_and_no_log(
        self,
        hub: HubServer,
        settings: StoreSettings,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        caplog.set_level(logging.DEBUG, logger="onnxembed")
        monkeypatch.setenv("HF_TOKEN", "hf_wrong")
        hub.add_repo(REPOSITORY, files(), token="hf_secret")

        with pytest.raises(ModelNotFoundError) as caught:
            locate(MODEL, settings)
        assert "hf_wrong" not in f"{caught.value}{caplog.text}"


class TestPublishedDigests:
    def test_a_right_digest_passes(self, hub: HubServer, settings: StoreSettings) -> None:
        digest = hashlib.sha256(graph()).hexdigest()
        model = replace(MODEL, sources=(ModelSource(hf=REPOSITORY, sha256=(("onnx/model.onnx", digest.upper()),)),))

        check_whole(content(locate(model, settings).path))

    def test_a_listed_digest_that_differs_is_refused_before_the_download(
        self, hub: HubServer, settings: StoreSettings
    ) -> None:
        model = replace(MODEL, sources=(ModelSource(hf=REPOSITORY, sha256=(("onnx/model.onnx", "0" * 64),)),))

        with pytest.raises(IntegrityError, match=r"onnx/model\.onnx of org/Small-Model at .* expected 0{64}"):
            locate(model, settings)
        assert hub.fetched(REPOSITORY) == []

    def test_a_small_files_digest_is_checked_after_the_download(
        self, hub: HubServer, settings: StoreSettings, cache: Path
    ) -> None:
        model = replace(MODEL, sources=(ModelSource(hf=REPOSITORY, sha256=(("tokenizer.json", "0" * 64),)),))

        with pytest.raises(IntegrityError, match=r"tokenizer\.json does not have the published SHA-256 0{64}"):
            locate(model, settings)
        assert not (cache / FOLDER / "refs").exists()

    def test_a_damaged_cached_file_is_replaced(self, hub: HubServer, settings: StoreSettings) -> None:
        digest = hashlib.sha256(graph()).hexdigest()
        model = replace(MODEL, sources=(ModelSource(hf=REPOSITORY, sha256=(("onnx/model.onnx", digest),)),))
        path = locate(model, settings).path / "onnx" / "model.onnx"
        path.resolve().write_bytes(graph(3.0))
        hub.forget_requests()

        folder = locate(model, settings)

        check_whole(content(folder.path))
        assert hub.fetched(REPOSITORY) == ["onnx/model.onnx"]
