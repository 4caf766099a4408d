"""Three results of a text in one pass, equal to what each class gives, and heads that cannot be used."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnxembed import (
    LateInteractionTextEmbedding,
    M3Embedding,
    M3Vectors,
    PoolingType,
    SparseKind,
    SparseTextEmbedding,
    TextEmbedding,
    open_model,
)
from onnxembed.compile import compile_model
from onnxembed.errors import InputError, ModelError, OnnxEmbedError, UnsafeModelError, UnsupportedModelError
from onnxembed.runtime.session import Session
from tests.fixtures.hub_server import HubServer, hub_server
from tests.fixtures.hub_shapes import contents
from tests.fixtures.model_rows import ROWS, TEXTS, difference, read_row, write_row
from tests.fixtures.torch_files import archive, text, torch_file

__all__ = ["hub_server"]

KINDS = ("dense", "sparse", "late_interaction")
TOLERANCE = 1e-6
_RUNS_CODE = archive({"data.pkl": b"\x80\x02cos\nsystem\n" + text("true") + b"\x85R."})


def folder(path: Path) -> Path:
    return write_row(read_row(ROWS / "bge-m3-dense.json"), path / "model")


def open_all(path: Path) -> M3Embedding:
    return M3Embedding(path, cache_dir=path.parent / "cache")


def expected(kind: str) -> Any:
    return read_row(ROWS / f"bge-m3-{kind}.json").expected["documents"]


def parts(vectors: list[M3Vectors]) -> dict[str, Any]:
    return {
        "dense": np.stack([one.dense for one in vectors]),
        "sparse": [{str(key): value for key, value in one.sparse.as_dict().items()} for one in vectors],
        "late_interaction": [one.colbert for one in vectors],
    }


def test_equals_the_reference(tmp_path: Path) -> None:
    given = parts(list(open_all(folder(tmp_path)).embed(TEXTS)))
    assert {kind: difference(expected(kind), given[kind]) < TOLERANCE for kind in KINDS} == dict.fromkeys(KINDS, True)


def test_one_pass_gives_all_three(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, runs = open_all(folder(tmp_path)), list[int]()
    run = Session.run

    def counted(self: Session, outputs: Any, feed: Any) -> Any:
        runs.append(len(outputs))
        return run(self, outputs, feed)

    monkeypatch.setattr(Session, "run", counted)
    (vectors,) = model.embed("hello world")
    assert runs == [1]
    assert vectors.dense.dtype == vectors.colbert.dtype == np.float32
    assert vectors.dense.shape == (32,)
    assert vectors.colbert.shape[1] == 8
    assert np.linalg.norm(vectors.colbert, axis=1) == pytest.approx(1)


def test_neighbours_change_nothing(tmp_path: Path) -> None:
    model = open_all(folder(tmp_path))
    together = parts(list(model.embed(TEXTS, batch_size=20)))
    alone = parts(list(model.embed(TEXTS, batch_size=1)))
    for kind in KINDS:
        assert difference(together[kind], alone[kind]) < TOLERANCE


async def test_asynchronously_and_after_a_pickle(tmp_path: Path) -> None:
    model = open_all(folder(tmp_path))
    (vectors,) = [vectors async for vectors in pickle.loads(pickle.dumps(model)).aembed(["hello world"])]
    (again,) = model.embed(["hello world"])
    np.testing.assert_array_equal(vectors.dense, again.dense)
    assert vectors.sparse == again.sparse
    assert model.fingerprint == open_all(tmp_path / "model").fingerprint
    assert model.max_length == 128


def test_the_folder_is_a_dense_model_unless_asked_otherwise(tmp_path: Path) -> None:
    path, cache = folder(tmp_path), tmp_path / "cache"
    assert isinstance(open_model(path, cache_dir=cache), TextEmbedding)
    sparse = open_model(path, "sparse", cache_dir=cache)
    assert isinstance(sparse, SparseTextEmbedding)
    assert sparse.kind is SparseKind.TOKEN_WEIGHTS
    assert isinstance(open_model(path, "late_interaction", cache_dir=cache), LateInteractionTextEmbedding)
    # One compiled graph serves all of them.
    list(M3Embedding(path, cache_dir=cache).embed("a"))
    assert len(list((cache / "onnxembed" / "compiled").glob("*/model.onnx"))) == 1


def test_sparse_vectors_can_be_cut(tmp_path: Path) -> None:
    path = folder(tmp_path)
    whole = next(iter(SparseTextEmbedding(path, cache_dir=tmp_path / "cache").embed(TEXTS[3])))
    cut = next(iter(SparseTextEmbedding(path, cache_dir=tmp_path / "cache", top_k=2).embed(TEXTS[3])))
    heaviest = sorted(whole.as_dict().items(), key=lambda item: -item[1])[:2]
    assert cut.as_dict() == dict(heaviest)


def test_a_graph_that_is_published_serves_as_well(tmp_path: Path) -> None:
    path = folder(tmp_path)
    (path / "onnx").mkdir()
    compile_model(path, path / "onnx" / "model.onnx", pooling=PoolingType.CLS)
    (path / "model.safetensors").unlink()
    given = parts(list(open_all(path).embed(TEXTS)))
    assert {kind: difference(expected(kind), given[kind]) < TOLERANCE for kind in KINDS} == dict.fromkeys(KINDS, True)
    sparse = list(SparseTextEmbedding(path, cache_dir=tmp_path / "cache").embed(TEXTS))
    assert [one.as_dict() for one in sparse] == [
        {int(key): value for key, value in one.items()} for one in given["sparse"]
    ]
    colbert = list(LateInteractionTextEmbedding(path, cache_dir=tmp_path / "cache").embed(TEXTS))
    assert difference(given["late_interaction"], colbert) < TOLERANCE


BROUGHT: dict[str, tuple[type, list[str]]] = {
    "all": (M3Embedding, ["colbert_linear.pt", "model.safetensors", "sparse_linear.pt"]),
    "dense": (TextEmbedding, ["model.safetensors"]),
    "sparse": (SparseTextEmbedding, ["model.safetensors", "sparse_linear.pt"]),
    "late_interaction": (LateInteractionTextEmbedding, ["colbert_linear.pt", "model.safetensors"]),
}


@pytest.mark.parametrize("name", BROUGHT)
def test_by_the_name_of_a_repository(
    name: str, hub_server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", hub_server.url)
    hub_server.add_repo("someone/m3", contents(folder(tmp_path)))
    model_class, large = BROUGHT[name]
    model = model_class("someone/m3", cache_dir=tmp_path / "cache")
    assert len(list(model.embed(TEXTS))) == len(TEXTS)
    fetched = hub_server.fetched("someone/m3")
    assert [file for file in fetched if not file.endswith(".json")] == large
    hub_server.forget_requests()
    again = model_class("someone/m3", cache_dir=tmp_path / "cache", local_files_only=True, threads=1)
    assert again.fingerprint == model.fingerprint
    assert hub_server.requests == []


OPEN: dict[str, Callable[..., object]] = {
    "sparse_linear.pt": SparseTextEmbedding,
    "colbert_linear.pt": LateInteractionTextEmbedding,
}
WRONG: dict[str, tuple[bytes, type[OnnxEmbedError], str]] = {
    "a global outside tensors": (_RUNS_CODE, UnsafeModelError, "'os.system'"),
    "an older pickle": (b"\x80\x02cos\nsystem\n.", UnsafeModelError, "no archive of tensors"),
    "another width": (
        torch_file({"weight": np.ones((1, 16), np.float32), "bias": np.ones(1, np.float32)}),
        ModelError,
        "16",
    ),
    "no bias": (
        torch_file({"weight": np.ones((1, 32), np.float32)}),
        ModelError,
        "holds weight; expected bias, weight",
    ),
    "a bias of others": (
        torch_file({"weight": np.ones((1, 32), np.float32), "bias": np.ones(3, np.float32)}),
        ModelError,
        r"weight has the shape \[1, 32\] and bias \[3\]",
    ),
    "no finite numbers": (
        torch_file({"weight": np.full((1, 32), np.nan, np.float16), "bias": np.ones(1, np.float32)}),
        ModelError,
        "not finite",
    ),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("head", OPEN)
def test_heads_that_cannot_be_used(head: str, name: str, tmp_path: Path) -> None:
    content, error, message = WRONG[name]
    path = folder(tmp_path)
    (path / head).write_bytes(content)
    for open_it in (OPEN[head], M3Embedding):
        with pytest.raises(error, match=message):
            list(open_it(path, cache_dir=tmp_path / "cache").embed("a"))  # type: ignore[attr-defined]
    # The other results do not need it.
    assert TextEmbedding(path, cache_dir=tmp_path / "cache").embed_to_array("a").shape == (1, 32)


def test_a_model_without_heads(tmp_path: Path) -> None:
    path = folder(tmp_path)
    (path / "colbert_linear.pt").unlink()
    with pytest.raises(UnsupportedModelError, match=r"lacks sparse_linear\.pt or colbert_linear\.pt"):
        M3Embedding(path, cache_dir=tmp_path / "cache")


def test_known_models_are_those_with_both_heads() -> None:
    assert M3Embedding.list_supported_models() == []
    with pytest.raises(InputError, match="nosuch"):
        M3Embedding("nosuch")
