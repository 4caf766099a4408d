"""Whatever goes wrong is an error of this package, with the right diagnosis."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import onnxembed
from onnxembed import LateInteractionTextEmbedding, TextCrossEncoder, TextEmbedding
from onnxembed.errors import (
    InputError,
    InputTypeError,
    ModelError,
    OnnxEmbedError,
    ProviderError,
    UnknownModelError,
)
from onnxembed.runtime.providers import Device, ProviderRequest, parse_request
from tests.fixtures.dense_models import variant as dense_variant
from tests.fixtures.dense_models import write_variant as write_dense
from tests.fixtures.late_interaction_models import FORMS, write_form
from tests.fixtures.rerank_models import variant, write_variant
from tests.fixtures.small_models import write_bert_folder


def edited(folder: Path, name: str, edit: Callable[[Any], object]) -> Path:
    write_bert_folder(folder)
    content = json.loads((folder / name).read_text(encoding="utf-8"))
    edit(content)
    (folder / name).write_text(json.dumps(content), encoding="utf-8")
    return folder


def _deep(depth: int) -> list[Any]:
    nested: list[Any] = []
    for _ in range(depth):
        nested = [nested]
    return nested


EDITS: tuple[tuple[str, Callable[[Any], object]], ...] = (
    ("tokenizer.json", lambda content: content["model"]["vocab"].update(hello=2**32 - 1)),
    ("tokenizer.json", lambda content: content["post_processor"]["special_tokens"].pop("[CLS]")),
    (
        "tokenizer.json",
        lambda content: content.update(normalizer={"type": "Precompiled", "precompiled_charsmap": "AA"}),
    ),
    (
        "tokenizer.json",
        lambda content: content.update(model={"type": "Unigram", "unk_id": None, "vocab": [["a", 0.0]]}),
    ),
    ("tokenizer.json", lambda content: content["model"].update(unk_token="zz")),
    ("tokenizer.json", lambda content: content.update(padding=_deep(100))),
    ("config.json", lambda content: content.update(pad_token_id=2**63)),
    ("config.json", lambda content: content.update(layer_norm_eps=10**400)),
    ("config.json", lambda content: content.update(hidden_size=2**63)),
    ("config.json", lambda content: content.update(vocab_size=2)),
    ("tokenizer_config.json", lambda content: content.update(model_max_length=2**63)),
)


@pytest.mark.parametrize(("name", "edit"), EDITS)
def test_files_that_break_other_libraries(name: str, edit: Callable[[Any], object], tmp_path: Path) -> None:
    """Panics of Rust are no `Exception`, so that nobody would catch them."""
    folder = edited(tmp_path, name, edit)
    with contextlib.suppress(OnnxEmbedError):
        TextEmbedding(folder, max_length=16).embed_to_array(["hello", "a b c \N{GRINNING FACE}"])


def test_panics_are_of_the_family(tmp_path: Path) -> None:
    folder = edited(tmp_path, *EDITS[1])
    with pytest.raises(ModelError, match=r"tokenizer.json cannot be used \(PanicException: "):
        TextEmbedding(folder)


def test_texts_that_the_tokenizer_fails_on_are_named(tmp_path: Path) -> None:
    model = TextEmbedding(edited(tmp_path, *EDITS[3]), max_length=16)
    with pytest.raises(ModelError, match=r"the model's tokenizer fails on text 1 \(.*unk_id"):
        model.embed_to_array(["a", "b"])


def test_stages_with_long_names(tmp_path: Path) -> None:
    write_bert_folder(tmp_path)
    stages = [{"path": "a" * 300, "type": "sentence_transformers.models.Pooling"}]
    (tmp_path / "modules.json").write_text(json.dumps(stages), encoding="utf-8")
    with pytest.raises(ModelError, match="a folder of 300 characters"):
        TextEmbedding(tmp_path)


@pytest.mark.parametrize("name", ["~nobody-of-this-name/model", "\0", "a\0b", "\ud800", "x" * 5000, "~\ud800"])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(OnnxEmbedError):
        TextEmbedding(name)
    with pytest.raises(OnnxEmbedError):
        TextEmbedding("BAAI/bge-small-en-v1.5", specific_model_path=name, lazy_load=True)


class BytesPath:
    """A path that is bytes, whose text would be "b'...'"."""

    def __fspath__(self) -> bytes:
        return b"/tmp"


@pytest.mark.parametrize("option", ["cache_dir", "specific_model_path"])
def test_paths_of_bytes(option: str) -> None:
    with pytest.raises(InputTypeError, match=f"{option}=.*expected the path of a folder"):
        TextEmbedding("BAAI/bge-small-en-v1.5", lazy_load=True, **{option: BytesPath()})  # type: ignore[arg-type]
    with pytest.raises(InputError, match="holds a character that no path has"):
        TextEmbedding("BAAI/bge-small-en-v1.5", lazy_load=True, **{option: "a\0b"})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "options",
    [
        {"logid": "\ud800"},
        {"session.intra_op.allow_spinning": "\ud800"},
        {"graph_optimization_level": 77},
        {"execution_mode": 9},
        {"log_severity_level": 2**40},
        {"optimized_model_filepath": "\ud800"},
    ],
)
def test_session_options_that_do_not_fit(options: dict[str, Any], tmp_path: Path) -> None:
    write_bert_folder(tmp_path)
    with contextlib.suppress(OnnxEmbedError):
        TextEmbedding(tmp_path, session_options=options)


# -- devices by the names of other libraries ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cuda", "device_ids", "request_"),
    [
        ("cuda:0", None, ProviderRequest(None, Device.CUDA, (0,))),
        ("cuda:3", [3], ProviderRequest(None, Device.CUDA, (3,))),
        ("cpu:0", None, ProviderRequest(None, Device.CPU, ())),
    ],
)
def test_devices_with_a_number(cuda: str, device_ids: list[int] | None, request_: ProviderRequest) -> None:
    assert parse_request(None, cuda, device_ids) == request_


def test_devices_that_contradict_each_other() -> None:
    with pytest.raises(InputError, match=r"cuda='cuda:1' and device_ids=\[0\] name different devices"):
        TextEmbedding(cuda="cuda:1", device_ids=[0], lazy_load=True)


@pytest.mark.parametrize(
    ("cuda", "provider"), [("mps", "CoreMLExecutionProvider"), ("mps:0", "CoreML"), ("xpu", "OpenVINO")]
)
def test_devices_that_are_providers_here(cuda: str, provider: str) -> None:
    with pytest.raises(InputError, match=rf"cuda='{cuda}' is not understood.*pass providers=\['{provider}"):
        TextEmbedding(cuda=cuda, lazy_load=True)


def test_device_is_called_cuda() -> None:
    with pytest.raises(InputTypeError, match=r"unexpected keyword argument 'device'\. Here it is called 'cuda'"):
        TextEmbedding(device="cuda:0")  # type: ignore[call-arg]


def test_numbered_devices_need_cuda() -> None:
    import onnxruntime

    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        with pytest.raises(ProviderError, match="no CUDAExecutionProvider"):
            TextEmbedding(cuda="cuda:0", lazy_load=True)


def test_device_ids_of_any_iterable() -> None:
    assert TextEmbedding(device_ids=iter([0, 1]), lazy_load=True).options["device_ids"] == [0, 1]  # type: ignore[arg-type]


# -- the other kind's model ------------------------------------------------------------------------------------------


def test_dense_models_for_late_interaction() -> None:
    with pytest.raises(UnknownModelError, match=r"'BAAI/bge-small-en-v1.5' is a dense model: pass dense=True"):
        LateInteractionTextEmbedding("BAAI/bge-small-en-v1.5")


def test_dense_folders_for_late_interaction(tmp_path: Path) -> None:
    write_dense(tmp_path, dense_variant("mean_norm"))
    with pytest.raises(ModelError, match="pass dense=True"):
        LateInteractionTextEmbedding(tmp_path)


# -- empty queries ---------------------------------------------------------------------------------------------------


def test_empty_queries_rank(tmp_path: Path) -> None:
    texts = ["hello world", "", "the quick fox"]
    reranker = TextCrossEncoder(write_variant(tmp_path / "rerank", variant("minilm_6")))
    assert len(reranker.rank("", texts)) == 3
    assert list(reranker.rerank("", texts)) == list(reranker.rerank_pairs([("", text) for text in texts]))
    assert list(reranker.rerank("", [])) == []
    late = LateInteractionTextEmbedding(FORMS[0].name, specific_model_path=write_form(tmp_path / "late", FORMS[0]))
    assert len(late.rank("", texts)) == 3
    many = late.rank_many(["", "a"], [texts, texts])
    assert many[0] == late.rank("", texts)


def test_the_whole_family_is_known() -> None:
    family = [getattr(onnxembed.errors, name) for name in onnxembed.errors.__all__]
    assert all(issubclass(error, OnnxEmbedError) for error in family)
    assert issubclass(onnxembed.errors.MissingExtraError, ImportError)
