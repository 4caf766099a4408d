"""Models by the names of Hub repositories: what is asked for, what is used, what is refused before it is fetched."""

from __future__ import annotations

import logging
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onnxembed
from onnxembed import TextEmbedding, open_model
from onnxembed.errors import InputError, InputTypeError, ModelNotFoundError, UnknownModelError, UnsupportedModelError
from tests.fixtures import dense_models, image_models, rerank_models
from tests.fixtures.hub_server import Fault, HubServer, hub_server
from tests.fixtures.hub_shapes import (
    KINDS,
    SHAPES,
    SHAPES_OF_ROWS,
    TEXTS,
    Shape,
    contents,
    graph_beside_weights,
    javascript_set,
    many_exports,
    put,
    shards,
    two_towers,
)
from tests.fixtures.hub_shapes import weights as write_weights
from tests.fixtures.images import picture
from tests.fixtures.model_rows import CLASSES, ROWS, Row, all_rows, computed, difference, read_row, write_row
from tests.fixtures.small_models import write_bert_folder

__all__ = ["hub_server"]

NAME = "someone/some-model"


@pytest.fixture(autouse=True)
def hub(hub_server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HubServer:
    """A hub, an empty cache, and short waits."""
    monkeypatch.setenv("HF_ENDPOINT", hub_server.url)
    monkeypatch.setenv("ONNXEMBED_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_DOWNLOAD_TIMEOUT", "2")
    return hub_server


def publish(hub: HubServer, folder: Path, write: Callable[[Path], object], name: str = NAME, **more: Any) -> Path:
    folder.mkdir(parents=True)
    write(folder)
    hub.add_repo(name, contents(folder), **more)
    return folder


def opened(shape: Shape, **options: Any) -> Any:
    return getattr(onnxembed, CLASSES[shape.kind])(NAME, **shape.options, **options)


def values(shape: Shape, model: Any) -> Any:
    if shape.kind == "image":
        return np.stack(list(model.embed([picture(40, 30)])))
    return np.array(list(model.rerank("hello", TEXTS))) if shape.kind == "rerank" else model.embed_to_array(TEXTS)


def asked_names(hub: HubServer) -> list[str]:
    """The files that were asked for: huggingface_hub does so by HEAD, and fetches what the cache lacks."""
    paths = [request.path for request in hub.requests if request.method == "HEAD"]
    return sorted(path.split("/resolve/")[1].partition("/")[2] for path in paths)


def asked_bytes(hub: HubServer, folder: Path) -> int:
    return sum((folder / name).stat().st_size for name in hub.fetched(NAME))


@pytest.mark.parametrize("shape", [one for one in SHAPES if one.refused is None], ids=lambda shape: shape.name)
def test_what_is_brought_of_each_shape(
    shape: Shape, hub: HubServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = publish(hub, tmp_path / "published", shape.write)
    caplog.set_level(logging.WARNING, "onnxembed")
    model = opened(shape)
    first = values(shape, model)

    expected = sorted((*shape.large, *shape.small))
    assert hub.fetched(NAME) == expected
    # One list; each file by one HEAD and one GET request of huggingface_hub.
    assert len(hub.requests) == 1 + 2 * len(expected)
    assert asked_bytes(hub, folder) == sum((folder / name).stat().st_size for name in expected)
    warnings = [record.getMessage() for record in caplog.records if "full precision" in record.getMessage()]
    assert len(warnings) == (shape.warns is not None)
    assert shape.warns is None or shape.warns in warnings[0]

    hub.forget_requests()
    for again in (opened(shape, threads=1), opened(shape, local_files_only=True, threads=2)):
        np.testing.assert_allclose(values(shape, again), first, atol=1e-6)
    assert type(open_model(NAME, shape.kind, **shape.options)) is type(model)
    assert hub.requests == []


@pytest.mark.parametrize("shape", [one for one in SHAPES if one.refused is not None], ids=lambda shape: shape.name)
def test_what_is_refused_before_anything_large_is_fetched(shape: Shape, hub: HubServer, tmp_path: Path) -> None:
    folder = publish(hub, tmp_path / "published", shape.write)
    with pytest.raises(UnsupportedModelError) as caught:
        opened(shape)
    assert str(shape.refused) in str(caught.value)
    assert NAME in str(caught.value)
    assert all(name.endswith(".json") for name in hub.fetched(NAME))
    assert len(hub.requests) == 1 + 2 * len(hub.fetched(NAME))
    assert asked_bytes(hub, folder) < 10_000


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param(row, id=name, marks=pytest.mark.skipif(not (ROWS / f"{row}.json").exists(), reason="no such row"))
        for name, row in SHAPES_OF_ROWS.items()
    ],
)
def test_what_is_brought_of_shapes_that_libraries_save(shape: str, hub: HubServer, tmp_path: Path) -> None:
    """Stages with weights of their own, folders of bodies, routers, tables: what is read, and all weights."""
    row = read_row(ROWS / f"{shape}.json")
    folder = write_row(row, tmp_path / "published")
    put(folder, "README.md", "pytorch_model.bin", "openvino/openvino_model.bin", "onnx/config.json")
    hub.add_repo(NAME, contents(folder))
    model = getattr(onnxembed, CLASSES[row.kind])(NAME, **row.options)
    found = computed(row, model)
    assert max(difference(row.expected[name], found[name]) for name in found) < 1e-6

    heads = asked_names(hub)
    assert [name for name in heads if not name.endswith((".json", ".jinja"))] == sorted(row.weights)
    assert set(heads) <= {*row.weights, *row.files}
    assert len(heads) == len(set(heads))
    # The cache holds a content once, so that of two equal files only one is fetched.
    fetched = hub.fetched(NAME)
    assert len(fetched) == len({(folder / name).read_bytes() for name in heads})
    assert len(hub.requests) == 1 + len(heads) + len(fetched)
    hub.forget_requests()
    again = getattr(onnxembed, CLASSES[row.kind])(NAME, **row.options, local_files_only=True, threads=1)
    again_found = computed(row, again)
    assert max(difference(row.expected[name], again_found[name]) for name in again_found) < 1e-6
    assert hub.requests == []


@pytest.mark.parametrize(
    "write", [graph_beside_weights, many_exports, javascript_set], ids=lambda write: write.__name__
)
def test_by_default_the_graph_in_full_precision_equals_the_folder(
    write: Callable[[Path], object], hub: HubServer, tmp_path: Path
) -> None:
    publish(hub, tmp_path / "published", write)
    write_weights(tmp_path / "weights")
    expected = TextEmbedding(tmp_path / "weights").embed_to_array(TEXTS)
    np.testing.assert_allclose(TextEmbedding(NAME).embed_to_array(TEXTS), expected, atol=1e-6)


@pytest.mark.parametrize("shape", [one for one in SHAPES if one.write is two_towers], ids=lambda shape: shape.name)
def test_a_folder_of_two_towers_equals_its_repository(shape: Shape, hub: HubServer, tmp_path: Path) -> None:
    """The graph in the usual place, which wants texts and pictures, is left alone in both."""
    folder = publish(hub, tmp_path / "published", shape.write)
    by_folder = getattr(onnxembed, CLASSES[shape.kind])(folder)
    np.testing.assert_allclose(values(shape, by_folder), values(shape, opened(shape)), atol=1e-6)


class TestRefusedInsteadOfPassedOver:
    def test_an_adapter(self, hub: HubServer, tmp_path: Path) -> None:
        """transformers would load the adapter on top of the weights."""
        folder = publish(hub, tmp_path / "published", write_weights)
        adapter = {"adapter_config.json": b'{"peft_type": "LORA"}', "adapter_model.safetensors": b"senseless"}
        hub.add_repo(NAME, contents(folder) | adapter)
        with pytest.raises(UnsupportedModelError, match=r"adapter_config\.json says that an adapter \(LoRA\)"):
            TextEmbedding(NAME)
        assert all(name.endswith(".json") for name in hub.fetched(NAME))

    def test_a_shard_that_the_repository_lacks(self, hub: HubServer, tmp_path: Path) -> None:
        folder = publish(hub, tmp_path / "published", shards)
        (folder / "model-00002-of-00002.safetensors").unlink()
        hub.add_repo(NAME, contents(folder))
        with pytest.raises(ModelNotFoundError, match=r"index\.json names model-00002-of-00002\.safetensors, which the"):
            TextEmbedding(NAME)
        assert all(name.endswith(".json") for name in hub.fetched(NAME))

    @pytest.mark.parametrize("kind", ["rerank", "sparse"])
    def test_a_graph_of_logits_as_a_dense_model(self, kind: str, hub: HubServer, tmp_path: Path) -> None:
        folder = publish(hub, tmp_path / "published", KINDS[kind])
        for name in (NAME, folder):
            with pytest.raises(UnsupportedModelError, match=r"model\.onnx gives logits alone.*TextCrossEncoder"):
                TextEmbedding(name)


class TestChoices:
    def test_a_variant_and_a_file(self, hub: HubServer, tmp_path: Path) -> None:
        publish(hub, tmp_path / "published", javascript_set)
        full = TextEmbedding(NAME)
        quantized = TextEmbedding(NAME, variant="Q4")
        assert quantized.options["variant"] == "Q4"
        assert TextEmbedding(NAME, variant="fp32").fingerprint == full.fingerprint
        assert quantized.fingerprint != full.fingerprint
        assert TextEmbedding(NAME, model_file="onnx/model_q4.onnx").fingerprint == quantized.fingerprint
        assert not np.allclose(quantized.embed_to_array(TEXTS), full.embed_to_array(TEXTS), atol=1e-3)
        assert pickle.loads(pickle.dumps(quantized)).fingerprint == quantized.fingerprint

    def test_weights_where_there_is_a_graph(self, hub: HubServer, tmp_path: Path) -> None:
        folder = publish(hub, tmp_path / "published", graph_beside_weights)
        by_graph = TextEmbedding(NAME, model_file="onnx/model.onnx").embed_to_array(TEXTS)
        hub.forget_requests()
        by_weights = TextEmbedding(NAME, model_file="model.safetensors")
        assert hub.fetched(NAME) == ["model.safetensors"]
        np.testing.assert_allclose(by_weights.embed_to_array(TEXTS), by_graph, atol=1e-6)
        assert by_weights.fingerprint == TextEmbedding(folder, model_file="model.safetensors").fingerprint

    def test_in_a_folder(self, tmp_path: Path) -> None:
        folder = tmp_path / "model"
        folder.mkdir()
        javascript_set(folder)
        full, quantized = TextEmbedding(folder), TextEmbedding(folder, variant="q4")
        assert not np.allclose(quantized.embed_to_array(TEXTS), full.embed_to_array(TEXTS), atol=1e-3)

    def test_of_a_model_of_the_catalogue(self, hub: HubServer, tmp_path: Path) -> None:
        publish(hub, tmp_path / "published", javascript_set, "Qdrant/clip-ViT-B-32-text")
        model = TextEmbedding("Qdrant/clip-ViT-B-32-text", variant="q4", lazy_load=True)
        model.token_count("hello")
        assert "onnx/model_q4.onnx" in hub.fetched("Qdrant/clip-ViT-B-32-text")
        assert "onnx/model.onnx" not in hub.fetched("Qdrant/clip-ViT-B-32-text")

    @pytest.mark.parametrize(
        ("options", "error", "message"),
        [
            (
                {"variant": "int4"},
                ModelNotFoundError,
                r"has no variant 'int4'; it holds onnx/model\.onnx \(variant 'fp32'",
            ),
            ({"model_file": "onnx/no.onnx"}, ModelNotFoundError, r"has no file 'onnx/no\.onnx'; it holds onnx/model"),
            ({"variant": "q4", "model_file": "onnx/model.onnx"}, InputError, "are two choices of one thing"),
            ({"variant": "../q4"}, InputError, "is the end of no graph's name"),
            ({"variant": 4}, InputTypeError, "expected text such as 'fp16'"),
            ({"model_file": "../model.onnx"}, InputError, "does not name a file inside the model's folder"),
            ({"model_file": "pytorch_model.bin"}, InputError, "neither an ONNX file nor safetensors"),
        ],
    )
    def test_that_are_none(
        self, options: dict[str, Any], error: type[Exception], message: str, hub: HubServer, tmp_path: Path
    ) -> None:
        folder = publish(hub, tmp_path / "published", javascript_set)
        for name in (NAME, str(folder)):
            with pytest.raises(error, match=message):
                TextEmbedding(name, **options)
        assert not [name for name in hub.fetched(NAME) if name.endswith(".onnx")]


class TestCachedByAnotherTool:
    """Nothing is asked for where another tool has brought what it needs."""

    def test_a_whole_snapshot(self, hub: HubServer, tmp_path: Path) -> None:
        from huggingface_hub import snapshot_download

        publish(hub, tmp_path / "published", graph_beside_weights)
        snapshot_download(NAME, cache_dir=tmp_path / "cache", endpoint=hub.url)
        hub.forget_requests()
        assert TextEmbedding(NAME).embed_to_array(TEXTS).shape == (3, 32)
        shutil.rmtree(next((tmp_path / "cache").glob("models--*/trees")), ignore_errors=True)  # older clients keep none
        shutil.rmtree(tmp_path / "cache" / "onnxembed", ignore_errors=True)
        assert TextEmbedding(NAME, threads=1).embed_to_array(TEXTS).shape == (3, 32)
        assert hub.requests == []

    @pytest.mark.parametrize("body", ["model.safetensors", "onnx/model.onnx"])
    def test_what_sentence_transformers_brings(self, body: str, hub: HubServer, tmp_path: Path) -> None:
        """File by file, without a list of the repository."""
        publish(hub, tmp_path / "published", graph_beside_weights)
        self.brought(hub, tmp_path / "cache", body, *SHAPES[0].small)
        assert type(open_model(NAME)) is TextEmbedding
        assert TextEmbedding(NAME).embed_to_array(TEXTS).shape == (3, 32)
        assert hub.requests == []

    def test_what_sentence_transformers_brings_of_a_plain_model(self, hub: HubServer, tmp_path: Path) -> None:
        """It asks for ``modules.json`` in vain, of which the cache keeps a note."""
        from huggingface_hub.errors import EntryNotFoundError

        publish(hub, tmp_path / "published", write_bert_folder)
        with pytest.raises(EntryNotFoundError):
            self.brought(hub, tmp_path / "cache", "modules.json")
        small = ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
        self.brought(hub, tmp_path / "cache", "model.safetensors", *small)
        assert TextEmbedding(NAME, pooling="MEAN").embed_to_array(TEXTS).shape == (3, 32)
        assert hub.requests == []

    def test_what_lacks_a_stage_is_completed(self, hub: HubServer, tmp_path: Path) -> None:
        publish(hub, tmp_path / "published", graph_beside_weights)
        self.brought(hub, tmp_path / "cache", "model.safetensors", "modules.json", "config.json", "tokenizer.json")
        TextEmbedding(NAME)
        rest = {"model.safetensors", "modules.json", "config.json", "tokenizer.json"}
        assert hub.fetched(NAME) == sorted({*SHAPES[0].small} - rest)

    def test_a_quantized_graph_of_another_tool_is_no_choice(self, hub: HubServer, tmp_path: Path) -> None:
        publish(hub, tmp_path / "published", javascript_set)
        self.brought(hub, tmp_path / "cache", "onnx/model_q4.onnx", *SHAPES[0].small)
        TextEmbedding(NAME)
        assert hub.fetched(NAME) == ["onnx/model.onnx"]

    @staticmethod
    def brought(hub: HubServer, cache: Path, *names: str) -> None:
        from huggingface_hub import hf_hub_download

        for name in names:
            hf_hub_download(NAME, name, cache_dir=cache, endpoint=hub.url)
        hub.forget_requests()


class TestNames:
    @pytest.mark.parametrize("name", ["BAAI/bge-m3", "org/none"])
    def test_that_are_nowhere(self, name: str, hub: HubServer) -> None:
        with pytest.raises(UnknownModelError, match="there is no such repository, or it is private") as caught:
            TextEmbedding(name)
        assert "Did you mean" not in str(caught.value)
        assert len(hub.requests) == 1
        with pytest.raises(UnknownModelError, match=r"local_files_only=True forbids requests"):
            open_model(name, local_files_only=True)
        assert len(hub.requests) == 1

    def test_a_slip_in_a_name_of_the_catalogue(self) -> None:
        with pytest.raises(UnknownModelError, match=r"Did you mean 'BAAI/bge-small-en-v1.5'"):
            open_model("BAAI/bge-smal-en-v1.5")

    def test_a_folder_comes_before_a_repository(
        self, hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        publish(hub, tmp_path / "published", write_weights)
        monkeypatch.chdir(tmp_path)
        assert TextEmbedding(NAME, lazy_load=True).model_name == NAME
        folder = tmp_path / NAME
        folder.mkdir(parents=True)
        write_weights(folder, seed=1)
        hub.forget_requests()
        assert TextEmbedding(NAME).model_name == str(folder)
        assert hub.requests == []

    def test_a_revision_is_kept_and_the_commit_pinned(self, hub: HubServer, tmp_path: Path) -> None:
        publish(hub, tmp_path / "one", write_weights)
        first = TextEmbedding(NAME, lazy_load=True)
        publish(hub, tmp_path / "two", lambda folder: write_weights(folder, seed=1))
        # The branch has moved after the files were listed: they are those of the commit that was listed.
        assert first.fingerprint == TextEmbedding(tmp_path / "one").fingerprint
        publish(hub, tmp_path / "three", lambda folder: write_weights(folder, seed=2), revision="v3")
        third = TextEmbedding(NAME, revision="v3")
        assert third.options["revision"] == "v3"
        assert len({first.fingerprint, third.fingerprint, TextEmbedding(tmp_path / "two").fingerprint}) == 3
        with pytest.raises(ModelNotFoundError, match=r"the repository has no such revision; check revision= \(404\)"):
            TextEmbedding(NAME, revision="v4")

    def test_a_hub_that_cannot_be_asked(self, hub: HubServer, tmp_path: Path) -> None:
        publish(hub, tmp_path / "published", write_weights)
        hub.fail("*", Fault(status=404, headers=(("x-error-code", "EntryNotFound"),)))
        with pytest.raises(ModelNotFoundError):
            TextEmbedding(NAME)
        hub.heal()
        assert TextEmbedding(NAME).loaded

    def test_lazy_loading_reads_what_describes_the_model(self, hub: HubServer, tmp_path: Path) -> None:
        publish(hub, tmp_path / "published", graph_beside_weights)
        model = TextEmbedding(NAME, lazy_load=True)
        assert not model.loaded
        assert not [name for name in hub.fetched(NAME) if not name.endswith(".json")]
        again = pickle.loads(pickle.dumps(model))
        assert again.embed_to_array(TEXTS).shape == (3, 32)
        assert model.options["query_prompt"] == "q: "


class TestLogins:
    TOKEN = "hf_secretsecretsecret"  # of a hub in this process

    def test_a_token_opens_a_private_repository(
        self, hub: HubServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        publish(hub, tmp_path / "published", write_weights, token=self.TOKEN)
        for token in (None, False, "hf_wrong"):
            with pytest.raises(UnknownModelError, match="or it is private; check the name, or pass token="):
                TextEmbedding(NAME, token=token)
        model = TextEmbedding(NAME, token=self.TOKEN)
        assert {request.authorization for request in hub.requests[3:]} == {f"Bearer {self.TOKEN}"}
        shown = f"{model!r} {model.options} {model._options} {model._settings} {caplog.text}"
        assert self.TOKEN not in shown
        assert self.TOKEN.encode() not in pickle.dumps(model)
        assert pickle.loads(pickle.dumps(model)).options["token"] is None
        assert TextEmbedding(**model.options).options == model.options

    def test_a_gated_repository_says_where_to_accept(self, hub: HubServer, tmp_path: Path) -> None:
        publish(hub, tmp_path / "published", write_weights)
        hub.fail("* */resolve/*", Fault(status=403, headers=(("x-error-code", "GatedRepo"),)))
        with pytest.raises(ModelNotFoundError) as caught:
            TextEmbedding(NAME)
        assert f"gated: accept its conditions at {hub.url}/{NAME}, then pass token=" in str(caught.value)

    @pytest.mark.parametrize("token", ["", "two words", 5, b"hf_x"])
    def test_what_is_no_token(self, token: Any) -> None:
        with pytest.raises((InputError, InputTypeError), match=r"^token is") as caught:
            TextEmbedding(NAME, token=token)
        assert "two words" not in str(caught.value)


_VARIANTS: list[tuple[str, Any]] = [
    *(("dense", one) for one in dense_models.VARIANTS if one.model_file.endswith(".onnx") and one.name != "jina_v3"),
    *(("image", one) for one in image_models.VARIANTS),
    *(("rerank", one) for one in rerank_models.VARIANTS),
]
_SOME = {"cls_2d", "external", "clip", "resnet50", "minilm_6"}


@pytest.mark.parametrize(
    ("kind", "variant"),
    [
        pytest.param(kind, one, id=f"{kind}-{one.name}", marks=[] if one.name in _SOME else pytest.mark.full)
        for kind, one in _VARIANTS
    ],
)
def test_graphs_of_every_form_by_name_equal_their_folder(
    kind: str, variant: Any, hub: HubServer, tmp_path: Path
) -> None:
    """What only the graph says, such as which output is the vector, is read when it is here."""
    writers: dict[str, Any] = {
        "dense": dense_models.write_variant,
        "image": image_models.write_image_variant,
        "rerank": rerank_models.write_variant,
    }
    folder = publish(hub, tmp_path / "published", lambda place: writers[kind](place, variant))
    facade, shape = getattr(onnxembed, CLASSES[kind]), Shape(variant.name, writers[kind], kind)
    np.testing.assert_allclose(values(shape, facade(NAME)), values(shape, facade(folder)), atol=1e-6)
    assert facade(NAME).loaded


def test_a_mirror_that_answers_no_head_requests(hub: HubServer, tmp_path: Path) -> None:
    folder = publish(hub, tmp_path / "published", graph_beside_weights)
    hub.knows_head = False
    np.testing.assert_allclose(
        TextEmbedding(NAME).embed_to_array(TEXTS), TextEmbedding(folder).embed_to_array(TEXTS), atol=1e-6
    )
    hub.forget_requests()
    assert TextEmbedding(NAME, threads=1).loaded
    assert hub.requests == []


_ROWS = all_rows()
_FEW = {"bert-mean", "distilbert-mean", "bert-classification", "bert-masked"}


@pytest.mark.parametrize(
    "row", [one if one.id in _FEW else pytest.param(*one.values, id=one.id, marks=pytest.mark.full) for one in _ROWS]
)
def test_rows_by_name(row: Row, hub: HubServer, tmp_path: Path) -> None:
    folder = write_row(row, tmp_path / "published")
    hub.add_repo(NAME, contents(folder))
    model = getattr(onnxembed, CLASSES[row.kind])(NAME, **row.options)
    found = computed(row, model)
    assert max(difference(row.expected[name], found[name]) for name in found) < 1e-6
    weights = sorted(name for name in row.weights if name.endswith(".safetensors"))
    assert [name for name in asked_names(hub) if name.endswith(".safetensors")] == weights
