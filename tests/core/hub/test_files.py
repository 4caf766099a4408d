"""A model's files in a folder and in a listed repository."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from onnxembed.errors import IntegrityError, ModelError, ModelNotFoundError, UnsafeModelError
from onnxembed.hub.bring import list_repository
from onnxembed.hub.cache import Listing, UpstreamFile
from onnxembed.hub.files import Files, FolderFiles, RepositoryFiles, find_graph, graph_name
from onnxembed.hub.locate import locate
from onnxembed.hub.settings import StoreSettings, own_folder
from onnxembed.spec import ModelSource
from tests.core.hub.small import MODEL, QUICK, REPOSITORY, files, leftovers
from tests.fixtures.dense_graphs import GraphForm, write_graph
from tests.fixtures.hub_server import Fault, HubServer

if TYPE_CHECKING:
    from pathlib import Path

UNSAFE = ["../config.json", "/etc/passwd", "a/../b", "C:\\x", ""]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "model"
    for name, content in files().items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


@pytest.fixture(params=["folder", "repository"])
def some_files(request: pytest.FixtureRequest, folder: Path, hub: HubServer, settings: StoreSettings) -> Files:
    """The same files by both ways."""
    return FolderFiles(folder) if request.param == "folder" else list_repository(REPOSITORY, settings)


class TestBoth:
    def test_names_sizes_and_contents(self, some_files: Files) -> None:
        published = files()
        assert some_files.names() == tuple(sorted(published))
        for name, content in published.items():
            assert some_files.has(name)
            assert some_files.size(name) == len(content)
            assert some_files.read(name) == content

    def test_missing_files(self, some_files: Files) -> None:
        assert not some_files.has("tokenizer_config.json")
        assert not some_files.has("onnx")
        assert some_files.json("tokenizer_config.json") is None
        assert some_files.json_object("tokenizer_config.json") == {}
        for ask in (some_files.size, some_files.read):
            with pytest.raises(ModelNotFoundError, match=r"has no file 'tokenizer_config\.json'"):
                ask("tokenizer_config.json")

    @pytest.mark.parametrize("name", UNSAFE)
    def test_unsafe_names_are_refused(self, name: str, some_files: Files) -> None:
        for ask in (some_files.has, some_files.size, some_files.read, some_files.json):
            with pytest.raises(UnsafeModelError, match="does not name a file inside the model's folder"):
                ask(name)

    def test_a_file_over_the_limit_is_refused(self, some_files: Files) -> None:
        assert some_files.read("README.md", 7) == b"# Small"
        with pytest.raises(ModelError, match=r"README\.md has 7 bytes; a file of this kind has at most 6"):
            some_files.read("README.md", 6)

    def test_json(self, some_files: Files) -> None:
        assert some_files.json_object("config.json") == {"model_type": "bert"}
        with pytest.raises(ModelError, match=r"README\.md is not valid JSON in UTF-8 .*; fetch the model again"):
            some_files.json("README.md")

    def test_graphs_are_found_by_name(self, some_files: Files) -> None:
        assert graph_name(some_files, "onnx/model_int8.onnx") == "onnx/model_int8.onnx"
        assert graph_name(some_files, "elsewhere.onnx") == "onnx/model.onnx"


class TestFolder:
    @pytest.mark.parametrize("content", [b"{", b'{"a": "\xff"}', b"[" * 100_000, b"\xef\xbb\xbf{}"])
    def test_damaged_files_are_named(self, content: bytes, tmp_path: Path) -> None:
        (tmp_path / "config.json").write_bytes(content)
        with pytest.raises(ModelError) as caught:
            FolderFiles(tmp_path).json_object("config.json")
        assert str(caught.value).startswith(f"{tmp_path / 'config.json'} is not valid JSON in UTF-8")

    def test_objects_are_objects(self, tmp_path: Path) -> None:
        (tmp_path / "config.json").write_text("[1]", encoding="utf-8")
        assert FolderFiles(tmp_path).json("config.json") == [1]
        with pytest.raises(ModelError, match="holds a JSON list; expected an object"):
            FolderFiles(tmp_path).json_object("config.json")

    def test_what_a_model_is_called(self, tmp_path: Path) -> None:
        some = FolderFiles(tmp_path)
        assert (some.model_name, some.where, some.sources) == (str(tmp_path), str(tmp_path), ())
        assert some.label("1_Pooling/config.json") == str(tmp_path / "1_Pooling" / "config.json")

    def test_graphs_are_inspected_once(self, tmp_path: Path) -> None:
        write_graph(tmp_path / "model.onnx", GraphForm())
        some = FolderFiles(tmp_path)
        facts = some.graph("model.onnx")
        assert "input_ids" in {value.name for value in facts.inputs}
        assert some.graph("model.onnx") is facts

    def test_described_place_comes_first(self, tmp_path: Path) -> None:
        folder = tmp_path
        assert find_graph(folder, "onnx/special.onnx") is None
        write_graph(folder / "model.onnx", GraphForm())
        assert find_graph(folder, "onnx/special.onnx") == folder / "model.onnx"
        write_graph(folder / "onnx" / "special.onnx", GraphForm())
        assert find_graph(folder, "onnx/special.onnx") == folder / "onnx" / "special.onnx"
        (folder / "model.safetensors").touch()
        assert find_graph(folder, "model.safetensors") == folder / "model.onnx"


class TestRepository:
    def test_listing_asks_once_and_fetches_nothing(self, hub: HubServer, settings: StoreSettings) -> None:
        some = list_repository(REPOSITORY, settings)
        assert some.has("onnx/model.onnx")
        assert some.graph("onnx/model.onnx") is None
        assert (hub.listed(REPOSITORY), hub.fetched(REPOSITORY)) == (1, [])

    def test_what_a_model_is_called(self, hub: HubServer, settings: StoreSettings) -> None:
        some = list_repository(REPOSITORY, settings)
        assert (some.model_name, some.where) == (REPOSITORY, f"{REPOSITORY}@main")
        assert some.sources == (ModelSource(hf=REPOSITORY),)
        assert some.label("config.json") == f"{REPOSITORY}@main/config.json"
        with pytest.raises(ModelError, match=f"^{REPOSITORY}@main/README.md is not valid JSON"):
            some.json("README.md")

    def test_a_file_is_fetched_once_and_kept(self, hub: HubServer, settings: StoreSettings, cache: Path) -> None:
        for _ in range(2):
            assert list_repository(REPOSITORY, settings).json_object("config.json") == {"model_type": "bert"}
        assert (hub.listed(REPOSITORY), hub.fetched(REPOSITORY)) == (1, ["config.json"])
        assert leftovers(cache) == []
        offline = StoreSettings(cache_dir=settings.cache_dir, limits=QUICK, local_files_only=True)
        some = list_repository(REPOSITORY, offline)
        assert some.json_object("config.json") == {"model_type": "bert"}
        with pytest.raises(ModelNotFoundError, match=r"README\.md of .*: not in the cache, and local_files_only=True"):
            some.read("README.md")

    def test_offline_without_a_list(self, hub: HubServer, settings: StoreSettings) -> None:
        offline = StoreSettings(cache_dir=settings.cache_dir, local_files_only=True)
        with pytest.raises(ModelNotFoundError, match=r"the list of files of .* at main: not in the cache"):
            list_repository(REPOSITORY, offline)
        assert hub.requests == []

    def test_what_was_read_is_not_fetched_again_with_the_model(self, hub: HubServer, settings: StoreSettings) -> None:
        some = list_repository(REPOSITORY, settings)
        some.read("config.json")
        folder = locate(MODEL, StoreSettings(settings.cache_dir, revision=some.listing.commit, limits=QUICK))
        assert folder.revision == some.listing.commit
        assert hub.fetched(REPOSITORY).count("config.json") == 1
        hub.forget_requests()
        assert locate(MODEL, settings) == folder
        assert hub.requests == []

    def test_a_commit_of_another_tool_is_listed_as_it_is(self, hub: HubServer, settings: StoreSettings) -> None:
        """The branch may have moved; the files that are here belong to the commit that was fetched."""
        first = list_repository(REPOSITORY, settings).listing.commit
        for path in (own_folder(settings) / "listings").rglob("*.json"):
            path.unlink()
        hub.add_repo(REPOSITORY, {**files(), "config.json": b"{}"})
        some = list_repository(REPOSITORY, settings)
        assert some.listing.commit == first
        assert some.json_object("config.json") == {"model_type": "bert"}

    def test_sizes_over_the_limit_are_refused_before_a_request(self, hub: HubServer, settings: StoreSettings) -> None:
        some = list_repository(REPOSITORY, settings)
        hub.forget_requests()
        with pytest.raises(ModelError, match="at most 3"):
            some.read("config.json", 3)
        assert hub.requests == []

    def test_damaged_transfers_are_not_kept(self, hub: HubServer, settings: StoreSettings, cache: Path) -> None:
        hub.fail("GET */resolve/*/config.json", Fault(corrupt=True))
        some = list_repository(REPOSITORY, settings)
        with pytest.raises(IntegrityError, match=r"config\.json of .*: the content has the digest"):
            some.read("config.json")
        assert not list(cache.rglob("config.json"))

    def test_unknown_repositories(self, hub: HubServer, settings: StoreSettings) -> None:
        with pytest.raises(ModelNotFoundError, match="there is no such repository"):
            list_repository("org/none", settings)

    def test_unsafe_names_of_a_listing_are_left_out(self) -> None:
        names = {name: UpstreamFile(1, None) for name in ("config.json", *UNSAFE)}
        some = RepositoryFiles("org/name", "main", Listing("0" * 40, names), lambda name, limit: b"{}")
        assert some.names() == ("config.json",)
        assert some.json_object("config.json") == {}

    def test_sizes_that_a_mirror_does_not_tell(self, settings: StoreSettings) -> None:
        asked: list[tuple[str, int]] = []

        def reader(name: str, limit: int) -> bytes:
            asked.append((name, limit))
            return json.dumps({"a": 1}).encode()

        listing = Listing("0" * 40, {"config.json": UpstreamFile(None, None)})
        some = RepositoryFiles("org/name", "main", listing, reader)
        assert some.size("config.json") is None
        assert some.json_object("config.json", 9) == {"a": 1}
        assert asked == [("config.json", 9)]
