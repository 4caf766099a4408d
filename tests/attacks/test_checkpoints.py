"""Hostile and broken files of weights, modules and configurations: this package's error, in bounded time and memory."""

from __future__ import annotations

import json
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from onnxembed import SparseTextEmbedding, TextEmbedding
from onnxembed.compile import compile_model
from onnxembed.errors import ModelError, OnnxEmbedError, UnsafeModelError
from onnxembed.formats.safetensors import SafetensorsFile
from onnxembed.formats.weight_files import INDEX_FILE
from onnxembed.spec import GraphHead, PoolingType
from tests.fixtures.model_rows import ROWS, read_row, write_row, write_safetensors

SECONDS = 5.0
MEGABYTES = 100
LONGEST_MESSAGE = 3000

Change = Callable[[Path], None]


@contextmanager
def bounded() -> Iterator[None]:
    """Check the time and the memory that are taken inside."""
    tracemalloc.start()
    started = time.process_time()
    try:
        yield
        taken = time.process_time() - started
        peak = tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()
    assert taken < SECONDS
    assert peak < MEGABYTES


def model(folder: Path, row: str = "bert-mean") -> Path:
    return write_row(read_row(ROWS / f"{row}.json"), folder)


def tensors_of(folder: Path) -> dict[str, NDArray[Any]]:
    with SafetensorsFile(folder / "model.safetensors") as file:
        return {name: np.array(file.tensor(name)) for name in file.names}


def weights(change: Callable[[dict[str, NDArray[Any]]], object]) -> Change:
    """Change the tensors of a model."""

    def apply(folder: Path) -> None:
        tensors = tensors_of(folder)
        change(tensors)
        write_safetensors(folder / "model.safetensors", tensors)

    return apply


def config(**changes: Any) -> Change:
    """Change the configuration of a model; `None` takes a key away."""
    return edited("config.json", lambda content: content | changes)


def edited(name: str, change: Callable[[Any], Any]) -> Change:
    def apply(folder: Path) -> None:
        path = folder / name
        path.write_text(json.dumps(change(json.loads(path.read_text()))))

    return apply


def content(change: Callable[[bytes], bytes]) -> Change:
    """Change the bytes of the weights."""

    def apply(folder: Path) -> None:
        path = folder / "model.safetensors"
        path.write_bytes(change(path.read_bytes()))

    return apply


def sharded(change: Callable[[dict[str, str], dict[str, dict[str, NDArray[Any]]]], object]) -> Change:
    """Cut the weights into two files with an index, and change the index and the files."""

    def apply(folder: Path) -> None:
        tensors = tensors_of(folder)
        names = [f"model-0000{part}-of-00002.safetensors" for part in (1, 2)]
        files: dict[str, dict[str, NDArray[Any]]] = {name: {} for name in names}
        for at, (name, tensor) in enumerate(tensors.items()):
            files[names[at % 2]][name] = tensor
        places = {name: file for file, held in files.items() for name in held}
        change(places, files)
        for file, held in files.items():
            write_safetensors(folder / file, held)
        (folder / INDEX_FILE).write_text(json.dumps({"metadata": {}, "weight_map": places}))
        (folder / "model.safetensors").unlink()

    return apply


_FIRST = "model-00001-of-00002.safetensors"
_SECOND = "model-00002-of-00002.safetensors"
_NORM = "embeddings.LayerNorm.weight"


def header_length(length: int) -> Callable[[bytes], bytes]:
    return lambda whole: length.to_bytes(8, "little") + whole[8:]


BROKEN: dict[str, tuple[Change, str]] = {
    "10,000 tensors that nothing reads": (
        weights(lambda held: held.update({f"layer.{at}": np.zeros(1, np.float32) for at in range(10_000)})),
        r"unknown: layer\.0, .* and 9,?992 more",
    ),
    "a file cut short in its header": (content(lambda whole: whole[:100]), "a header of"),
    "a file cut short in its tensors": (content(lambda whole: whole[:-100]), "bytes of tensors, and"),
    "a file with more at its end": (content(lambda whole: whole + bytes(8)), "bytes of tensors, and"),
    "a header that is longer than the file": (content(header_length(1 << 40)), "more than the 100000000 allowed"),
    "a header that is shorter than it is": (content(header_length(64)), "not strict JSON"),
    "a shape that is not that of the bytes": (
        content(lambda whole: whole.replace(b'"shape": [32]', b'"shape": [31]', 1)),
        "shape",
    ),
    "a shape that overflows": (
        content(lambda whole: whole.replace(b'"shape": [32]', b'"shape": [%d]' % (1 << 62), 1)),
        "not a valid safetensors",
    ),
    "a shard that is not there": (sharded(lambda _, files: files.pop(_SECOND)), _SECOND),
    "a tensor in two shards": (
        sharded(lambda _, files: [held.update({_NORM: np.ones(32, np.float32)}) for held in files.values()]),
        "lie in a file without being listed there",
    ),
    "a tensor in another shard": (
        sharded(lambda places, _: places.update({_NORM: _SECOND if places[_NORM] == _FIRST else _FIRST})),
        "are not where it says",
    ),
    "a tensor in no shard": (sharded(lambda places, _: places.update(more=_FIRST)), "are not where it says: more"),
    "an index that leaves tensors out": (sharded(lambda places, _: places.pop(_NORM)), "without being listed"),
    "an index of 20,000 tensors": (
        sharded(lambda places, _: places.update({f"t{at}": _FIRST for at in range(20_000)})),
        "and 19,?992 more",
    ),
    "an index of 10,000 shards": (
        sharded(lambda places, _: places.update({f"t{at}": f"s{at}.safetensors" for at in range(10_000)})),
        "s0.safetensors",
    ),
    "no finite numbers": (weights(lambda held: held[_NORM].fill(np.nan)), f"{_NORM} holds numbers that are not finite"),
    "an infinite number": (
        weights(lambda held: held["encoder.layer.1.output.dense.weight"].put(7, np.inf)),
        "holds numbers that are not finite",
    ),
    "a hidden size of others": (config(hidden_size=64), r"\(180, 32\) instead of \(180, 64\)"),
    "a hidden size that overflows": (config(hidden_size=1 << 62, num_attention_heads=1 << 60), "instead of"),
    "a vocabulary that overflows": (config(vocab_size=1 << 62), "instead of"),
    "positions that overflow": (config(max_position_embeddings=1 << 62), "instead of"),
    "layers that overflow": (config(num_hidden_layers=1 << 62), "weights in all"),
    "heads that are not there": (config(num_attention_heads=0), "num_attention_heads is 0"),
    "a table that is not there": (
        weights(lambda held: held.pop("embeddings.word_embeddings.weight")),
        "missing: embeddings.word_embeddings.weight",
    ),
}


def vector(folder: Path, tmp_path: Path) -> NDArray[np.float32]:
    return TextEmbedding(folder, cache_dir=tmp_path / "cache").embed_to_array(["hello world"])


def check_refused(call: Callable[[], object], match: str, kind: type[OnnxEmbedError] = ModelError) -> None:
    with pytest.raises(kind, match=match) as caught, bounded():
        call()
    assert len(str(caught.value)) < LONGEST_MESSAGE


@pytest.mark.parametrize("name", BROKEN)
def test_broken_weights(name: str, tmp_path: Path) -> None:
    change, message = BROKEN[name]
    folder = model(tmp_path / "model")
    change(folder)
    check_refused(lambda: TextEmbedding(folder, cache_dir=tmp_path / "cache"), message, OnnxEmbedError)
    assert not list((tmp_path / "cache").rglob("*.onnx*"))
    # Nothing that is loaded depends on the class: the compiler itself says the same.
    check_refused(lambda: compile_model(folder, tmp_path / "out.onnx", pooling=PoolingType.MEAN), message)
    assert not (tmp_path / "out.onnx").exists()


@pytest.mark.parametrize(
    "name",
    [
        "../x.safetensors",
        "/etc/x.safetensors",
        "a/../../x.safetensors",
        "sub/x.safetensors",
        "C:\\x.safetensors",
        "x.bin",
    ],
)
def test_an_index_that_leads_elsewhere(name: str, tmp_path: Path) -> None:
    folder = model(tmp_path / "model")
    sharded(lambda places, _: places.update({_NORM: name}))(folder)
    write_safetensors(tmp_path / "x.safetensors", {_NORM: np.ones(32, np.float32)})
    check_refused(
        lambda: TextEmbedding(folder, cache_dir=tmp_path / "cache"),
        "expected the name of a .safetensors",
        UnsafeModelError,
    )


def test_ten_thousand_tensors_that_are_left_out_do_no_harm(tmp_path: Path) -> None:
    folder = model(tmp_path / "model")
    expected = vector(folder, tmp_path)
    weights(lambda held: held.update({f"cls.{at}": np.zeros(1, np.float32) for at in range(10_000)}))(folder)
    with bounded():
        np.testing.assert_array_equal(vector(folder, tmp_path), expected)


TIED: dict[str, tuple[str, Change, str]] = {
    "a decoder that is neither there nor shared": (
        "bert-masked",
        config(tie_word_embeddings=False),
        "missing: .*cls.predictions.decoder.weight",
    ),
    "the table that a decoder shares": (
        "bert-masked",
        weights(lambda held: held.pop("bert.embeddings.word_embeddings.weight")),
        "missing: embeddings.word_embeddings.weight",
    ),
    "the bias that has two names": (
        "bert-masked",
        weights(lambda held: held.pop("cls.predictions.bias")),
        "missing: cls.predictions.bias",
    ),
    "the table of DeBERTa's own head": (
        "deberta-v3-masked",
        weights(lambda held: held.pop("deberta.embeddings.word_embeddings.weight")),
        "missing: embeddings.word_embeddings.weight",
    ),
}


@pytest.mark.parametrize("name", TIED)
def test_shared_weights_that_are_not_there(name: str, tmp_path: Path) -> None:
    row, change, message = TIED[name]
    folder = model(tmp_path / "model", row)
    change(folder)
    check_refused(lambda: SparseTextEmbedding(folder, cache_dir=tmp_path / "cache"), message)


def test_the_words_of_t5_may_have_either_name_and_must_have_one(tmp_path: Path) -> None:
    folder = model(tmp_path / "model", "t5-mean")
    expected = vector(folder, tmp_path)
    weights(lambda held: held.update({"encoder.embed_tokens.weight": held.pop("shared.weight")}))(folder)
    np.testing.assert_array_equal(vector(folder, tmp_path), expected)
    weights(lambda held: held.pop("encoder.embed_tokens.weight"))(folder)
    check_refused(lambda: TextEmbedding(folder, cache_dir=tmp_path / "cache"), "missing: shared.weight")


SENSELESS: tuple[tuple[str, dict[str, Any], str], ...] = (
    (
        "deberta-v3-mean",
        {"max_relative_positions": 1 << 40},
        "max_relative_positions is 1099511627776, expected",
    ),
    ("deberta-v3-mean", {"position_buckets": 1 << 40}, "position_buckets is 1099511627776"),
    ("deberta-v3-mean", {"position_buckets": 7}, "expected an even number from 4 to 36"),
    ("deberta-v3-mean", {"position_buckets": 14}, r"rel_embeddings.weight \(24, 32\) instead of \(28, 32\)"),
    ("deberta-v3-mean", {"pos_att_type": "p2p"}, "pos_att_type is 'p2p'; known here: c2p, p2c"),
    ("deberta-v3-mean", {"pos_att_type": 3}, "pos_att_type is 3"),
    ("deberta-v3-mean", {"norm_rel_ebd": "batch_norm"}, "norm_rel_ebd is 'batch_norm'"),
    ("deberta-v3-mean", {"z_steps": 2}, "z_steps is 2"),
    ("deberta-v2-mean", {"conv_kernel_size": 1 << 40}, "conv_kernel_size is 1099511627776, expected an odd number"),
    ("deberta-v2-mean", {"conv_kernel_size": 5}, r"conv.conv.weight \(32, 32, 3\) instead of \(32, 32, 5\)"),
    ("deberta-v2-mean", {"conv_groups": 5}, "conv_groups is 5, expected a divisor"),
    ("deberta-v2-mean", {"conv_act": "mish"}, "conv_act is 'mish'"),
    ("deberta-mean", {"talking_head": True}, "talking_head is True"),
    ("t5-mean", {"relative_attention_max_distance": 1 << 40}, "expected at most 1000000"),
    ("t5-mean", {"relative_attention_num_buckets": 3}, "expected a whole number of at least 4"),
    ("t5-mean", {"relative_attention_num_buckets": 32}, r"\(16, 4\) instead of \(32, 4\)"),
    ("t5-mean", {"feed_forward_proj": "gated-mish"}, "feed_forward_proj is 'gated-mish'"),
    ("t5-mean", {"dense_act_fn": "gelu"}, "dense_act_fn is 'gelu'; known here: 'relu'"),
    ("t5-mean", {"is_decoder": True}, "is_decoder is True"),
    ("t5-mean", {"d_kv": 1 << 62}, "instead of"),
)


@pytest.mark.parametrize(("row", "changes", "message"), SENSELESS, ids=str)
def test_senseless_configurations(row: str, changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    folder = model(tmp_path / "model", row)
    config(**changes)(folder)
    check_refused(lambda: compile_model(folder, tmp_path / "out.onnx", head=GraphHead.VECTORS), message)


def listed(path: str) -> Change:
    """Let the list of modules give another path for the pooling."""

    def change(modules: list[dict[str, Any]]) -> list[dict[str, Any]]:
        modules[1]["path"] = path
        return modules

    return edited("modules.json", change)


@pytest.mark.parametrize("path", ["../1_Pooling", "/etc", "1_Pooling/../../x", "C:\\x", "\\\\host\\x"])
def test_modules_outside_the_folder(path: str, tmp_path: Path) -> None:
    folder = model(tmp_path / "model")
    listed(path)(folder)
    check_refused(lambda: TextEmbedding(folder, cache_dir=tmp_path / "cache"), "modules.json", UnsafeModelError)


DENSE = "2_Dense/config.json"
CONTRADICTING: dict[str, tuple[Change, str]] = {
    "a stage takes other vectors": (edited(DENSE, lambda held: held | {"in_features": 16}), "16"),
    "a stage gives other vectors": (edited(DENSE, lambda held: held | {"out_features": 16}), r"expected \[16, 32\]"),
    "a stage gives vectors that overflow": (edited(DENSE, lambda held: held | {"out_features": 1 << 62}), "expected"),
    "a stage has no bias": (edited(DENSE, lambda held: held | {"bias": True}), "expected linear.bias, linear.weight"),
    "a stage that comes 10,000 times": (
        edited("modules.json", lambda listed: [*listed[:1], *listed[1:2] * 10_000]),
        "Pooling is expected once",
    ),
}


@pytest.mark.parametrize("name", CONTRADICTING)
def test_stages_that_contradict_each_other(name: str, tmp_path: Path) -> None:
    change, message = CONTRADICTING[name]
    folder = model(tmp_path / "model", "t5-sentence")
    change(folder)
    check_refused(lambda: TextEmbedding(folder, cache_dir=tmp_path / "cache"), message)
