"""`open_model`: the class that a name or a folder's files ask for."""

from __future__ import annotations

import inspect
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import onnxembed
from onnxembed import (
    ImageEmbedding,
    LateInteractionMultimodalEmbedding,
    LateInteractionTextEmbedding,
    SparseTextEmbedding,
    TextCrossEncoder,
    TextEmbedding,
    open_model,
)
from onnxembed.errors import (
    InputError,
    InputTypeError,
    ModelNotFoundError,
    UnknownModelError,
    UnsupportedModelError,
)
from tests.fixtures import dense_models, image_models, multimodal_models, rerank_models, sparse_models
from tests.fixtures.dense_graphs import GraphForm, write_graph
from tests.fixtures.dense_tokenizers import write_json, write_tokenizer
from tests.fixtures.late_interaction_models import (
    write_files_of_tokenizer,
    write_modules,
    write_pylate_config,
    write_token_graph,
)
from tests.fixtures.small_models import write_bert_folder

SENTENCE = "sentence_transformers.models."
DENSE_LAYOUTS = ("onnx/model.onnx", "model.onnx", "model_optimized.onnx", "model.safetensors")


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def dense(folder: Path) -> None:
    dense_models.write_variant(folder, dense_models.variant("mean_norm"))


def dense_of_a_masked_model(folder: Path) -> None:
    """As all-mpnet-base-v2 is published: the architecture names a head that the graph does not have."""
    dense(folder)
    write_json(folder / "config.json", {"architectures": ["MPNetForMaskedLM"], "vocab_size": 30_527})


def dense_with_stages(folder: Path) -> None:
    write_bert_folder(folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    write_json(folder / "config.json", config | {"architectures": ["BertForMaskedLM"]})
    write_modules(folder, (f"{SENTENCE}Transformer", ""), (f"{SENTENCE}Pooling", "1_Pooling"))


def static(folder: Path) -> None:
    dense_models.write_static(folder, "words")


def weights_of_a_masked_model(folder: Path) -> None:
    write_bert_folder(folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    write_json(folder / "config.json", config | {"architectures": ["BertForMaskedLM"]})


def splade(folder: Path) -> None:
    sparse_models.write_splade(folder)
    write_json(folder / "config.json", {"vocab_size": sparse_models.VOCABULARY_SIZE})


def splade_with_stages(folder: Path) -> None:
    weights_of_a_masked_model(folder)
    write_modules(folder, (f"{SENTENCE}sparse_encoder.models.MLMTransformer", ""), (f"{SENTENCE}SpladePooling", "1"))


def pylate(folder: Path) -> None:
    write_files_of_tokenizer(folder, "wordpiece")
    write_pylate_config(folder)
    write_token_graph(folder / "model.onnx", seed=21)
    write_modules(folder, (f"{SENTENCE}Transformer", ""))


def colbert(folder: Path) -> None:
    write_files_of_tokenizer(folder, "wordpiece")
    write_json(folder / "artifact.metadata", {"query_maxlen": 12, "doc_maxlen": 20})
    write_token_graph(folder / "model.onnx", seed=21)


def cross_encoder(folder: Path) -> None:
    rerank_models.write_variant(folder, rerank_models.variant("minilm_6"))


def cross_encoder_without_a_config(folder: Path) -> None:
    rerank_models.write_variant(folder, rerank_models.variant("two_labels"))
    (folder / "config.json").unlink()


def cross_encoder_by_its_architecture(folder: Path) -> None:
    rerank_models.write_variant(folder, rerank_models.variant("flat"))
    write_json(folder / "config.json", {"architectures": ["BertForSequenceClassification"]})


def cross_encoder_of_sentence_transformers(folder: Path) -> None:
    rerank_models.write_variant(folder, rerank_models.variant("flat"))
    write_json(folder / "config_sentence_transformers.json", {"model_type": "CrossEncoder"})


def image(folder: Path) -> None:
    image_models.write_image_variant(folder, image_models.image_variant("clip"))


def image_with_a_tokenizer(folder: Path) -> None:
    image(folder)
    write_tokenizer(folder)


def image_half(folder: Path) -> None:
    image_models.write_image_variant(folder, image_models.image_variant("jina_clip"))


def multimodal(kind: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        multimodal_models.write_form(folder, multimodal_models.Form(kind))

    return write


FOLDERS: list[tuple[str, Any, type]] = [
    ("dense", dense, TextEmbedding),
    ("dense of a masked model", dense_of_a_masked_model, TextEmbedding),
    ("dense with stages", dense_with_stages, TextEmbedding),
    ("static", static, TextEmbedding),
    ("splade", splade, SparseTextEmbedding),
    ("weights of a masked model", weights_of_a_masked_model, SparseTextEmbedding),
    ("splade with stages", splade_with_stages, SparseTextEmbedding),
    ("inference free", sparse_models.write_inference_free, SparseTextEmbedding),
    ("bm42", sparse_models.write_bm42, SparseTextEmbedding),
    ("minicoil", sparse_models.write_minicoil, SparseTextEmbedding),
    ("pylate", pylate, LateInteractionTextEmbedding),
    ("colbert", colbert, LateInteractionTextEmbedding),
    ("cross encoder", cross_encoder, TextCrossEncoder),
    ("cross encoder without a config", cross_encoder_without_a_config, TextCrossEncoder),
    ("cross encoder by its architecture", cross_encoder_by_its_architecture, TextCrossEncoder),
    ("cross encoder of sentence-transformers", cross_encoder_of_sentence_transformers, TextCrossEncoder),
    ("image", image, ImageEmbedding),
    ("image with a tokenizer", image_with_a_tokenizer, ImageEmbedding),
    ("image half", image_half, ImageEmbedding),
    *(
        (f"multimodal {kind}", multimodal(kind), LateInteractionMultimodalEmbedding)
        for kind in (multimodal_models.COLPALI, multimodal_models.COLMODERNVBERT, multimodal_models.COLQWEN2)
    ),
]


@pytest.mark.parametrize(("name", "write", "facade"), FOLDERS, ids=[name for name, _, _ in FOLDERS])
def test_folders_say_their_kind(name: str, write: Callable[[Path], None], facade: type, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    write(folder)
    assert type(open_model(folder, lazy_load=True)) is facade


@pytest.mark.parametrize("name", [one.name for one in dense_models.VARIANTS if one.model_file in DENSE_LAYOUTS])
def test_every_form_of_dense_model_is_one(name: str, tmp_path: Path) -> None:
    dense_models.write_variant(tmp_path, dense_models.variant(name))
    assert type(open_model(tmp_path, lazy_load=True, threads=1)) is TextEmbedding


@pytest.mark.parametrize(
    ("name", "facade"),
    [
        ("BAAI/bge-small-en-v1.5", TextEmbedding),
        ("qdrant/BM25", SparseTextEmbedding),
        ("prithivida/Splade_PP_en_v1", SparseTextEmbedding),
        ("colbert-ir/colbertv2.0", LateInteractionTextEmbedding),
        ("BAAI/bge-reranker-base", TextCrossEncoder),
        ("Qdrant/clip-ViT-B-32-vision", ImageEmbedding),
        ("Qdrant/colpali-v1.3-fp16", LateInteractionMultimodalEmbedding),
    ],
)
def test_names_say_their_kind(name: str, facade: type) -> None:
    model = open_model(name, lazy_load=True)
    assert type(model) is facade
    assert model.model_name.casefold() == name.casefold()


def test_options_reach_the_class(tmp_path: Path) -> None:
    dense(tmp_path)
    model = open_model(
        tmp_path,
        cache_dir=tmp_path / "cache",
        threads=3,
        providers=["CPUExecutionProvider"],
        cuda=False,
        device_ids=None,
        lazy_load=True,
        local_files_only=True,
        show_progress=False,
    )
    assert not model.loaded
    expected = TextEmbedding(
        tmp_path,
        tmp_path / "cache",
        threads=3,
        providers=["CPUExecutionProvider"],
        cuda=False,
        lazy_load=True,
        local_files_only=True,
        show_progress=False,
    )
    assert model.options == expected.options
    assert open_model(tmp_path).loaded


def test_every_option_is_one_of_every_class() -> None:
    own = {name: one for name, one in inspect.signature(open_model).parameters.items() if name != "kind"}
    for facade in {facade for _, _, facade in FOLDERS}:
        parameters = inspect.signature(facade).parameters
        assert set(own) <= set(parameters)
        for name in own.keys() - {"model_name"}:
            assert (own[name].default, own[name].annotation) == (parameters[name].default, parameters[name].annotation)


def test_a_name_of_two_kinds_wants_a_kind() -> None:
    with pytest.raises(InputError, match=r"names models of 2 kinds \(dense, image\); choose one with kind='dense' or"):
        open_model("jinaai/jina-clip-v1", lazy_load=True)
    assert type(open_model("jinaai/jina-clip-v1", "dense", lazy_load=True)) is TextEmbedding
    assert type(open_model("jinaai/jina-clip-v1", kind="image", lazy_load=True)) is ImageEmbedding


def test_a_folder_that_fits_two_kinds_wants_a_kind(tmp_path: Path) -> None:
    """Both halves of a CLIP model lie side by side, as transformers.js has them."""
    image_half(tmp_path)
    write_tokenizer(tmp_path)
    write_graph(tmp_path / "onnx" / "model.onnx", GraphForm(output="sentence"))
    with pytest.raises(InputError) as caught:
        open_model(tmp_path)
    assert str(caught.value) == (
        f"the files in {tmp_path} fit models of 2 kinds (dense, image); choose one with kind='dense' or kind='image'"
    )
    assert type(open_model(tmp_path, "dense", lazy_load=True)) is TextEmbedding
    assert type(open_model(tmp_path, "image", lazy_load=True)) is ImageEmbedding


def test_a_kind_is_taken_at_its_word(tmp_path: Path) -> None:
    dense(tmp_path)
    with pytest.raises(UnsupportedModelError, match="do not say which kind of sparse model"):
        open_model(tmp_path, "sparse")
    with pytest.raises(UnknownModelError, match=r"TextCrossEncoder\.list_supported_models\(\)"):
        open_model("BAAI/bge-small-en-v1.5", "rerank")


def test_folders_of_no_kind(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModelError, match=r"do not say of which kind their model is; pass kind=, one of"):
        open_model(tmp_path)
    dense(tmp_path)
    write_json(tmp_path / "config.json", {"architectures": ["BertForTokenClassification"]})
    with pytest.raises(UnsupportedModelError, match=r"do not say of which kind"):
        open_model(tmp_path)


def test_a_name_comes_before_a_folder_and_paths_are_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    image(tmp_path / "BAAI" / "bge-small-en-v1.5")
    assert type(open_model("BAAI/bge-small-en-v1.5", lazy_load=True)) is TextEmbedding
    assert type(open_model("./BAAI/bge-small-en-v1.5", lazy_load=True)) is ImageEmbedding
    shutil.move(tmp_path / "BAAI", tmp_path / "other")
    assert type(open_model("other/bge-small-en-v1.5", lazy_load=True)) is ImageEmbedding
    with pytest.raises(ModelNotFoundError, match=r"the folder '\./nowhere' does not exist"):
        open_model("./nowhere")


@pytest.mark.parametrize(
    ("name", "offered"),
    [
        ("bge-small-en-v15", "'BAAI/bge-small-en-v1.5'"),
        ("Splade_PP", "'prithivida/Splade_PP_en_v1'"),
        ("clip-ViT-B-32-visio", "'Qdrant/clip-ViT-B-32-vision'"),
    ],
)
def test_nearest_names_of_all_kinds_are_offered(name: str, offered: str) -> None:
    with pytest.raises(UnknownModelError, match=rf"^no model is named '{name}'\. Did you mean .*{offered}"):
        open_model(name)


def test_kinds_and_names_that_are_none() -> None:
    with pytest.raises(InputError, match=r"kind='denze' is unknown; expected one of .*Did you mean 'dense'\?"):
        open_model("BAAI/bge-small-en-v1.5", "denze")
    with pytest.raises(InputTypeError, match="model_name=5: expected a model's name or the path of a folder"):
        open_model(5)  # type: ignore[arg-type]


def test_models_that_were_added_are_found(tmp_path: Path) -> None:
    from onnxembed.rerank.known import rerank_registry

    TextCrossEncoder.add_custom_model("mine/reranker", sources=onnxembed.ModelSource(hf="mine/reranker"))
    try:
        assert type(open_model("Mine/Reranker", lazy_load=True)) is TextCrossEncoder
    finally:
        rerank_registry.remove("mine/reranker")
