"""MiniCOIL: words with senses, and the others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers
from tokenizers import models, normalizers, pre_tokenizers, processors

from onnxembed.errors import ModelError
from onnxembed.sparse.minicoil import MiniCoilWeigher, WordWeights
from onnxembed.sparse.minicoil_words import MiniCoilTables, MiniCoilWords, Vocabulary, load_minicoil
from onnxembed.sparse.model import SparseTextEmbedding
from onnxembed.sparse.pieces import WordPieces
from onnxembed.sparse.spec import MATRICES_FILE, WORDS_FILE
from onnxembed.sparse.vector import SparseEmbedding
from onnxembed.text.graph import PaddedTokens
from onnxembed.text.tokenizer import TextTokenizer, load_tokenizer
from onnxembed.text.tokenizer_rules import TokenizerRules
from tests.fixtures.dense_graphs import HIDDEN
from tests.fixtures.sparse_models import MINICOIL_WORDS, TEXTS, write_minicoil

NAME = "Qdrant/minicoil-v1"
# The pieces into which BERT's vocabulary cuts the words of the example.
PIECES = (
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "bats", "and", "a", "bat", "retrieve", "vectors", ","),
    *("ax", "##iot", "##ic", "9°", "x°bat", "##bat", "y" * 41),
)
NUMBERS = {"bat": 1, "vector": 2, "retrieval": 3}
STEMS = {"bat": "bat", "vector": "vector", "retriev": "retrieval"}
TEXT = "The bats and a bat retrieve vectors, axiotic 9° bat"
FIRST_UNKNOWN = 64_000
AND, A, AXIOT, NINE = 1515436845, 1009148850, 379413480, 613212321
SENSES = [
    [0.56453449, -0.14039822, 0.57135642, 0.57891363],
    [-0.57929838, 0.10272932, 0.55996448, 0.58335221],
    [-0.50512195, 0.4711007, 0.51118481, 0.51147443],
]
DOCUMENT = [
    [1.11089075, -0.27627558, 1.1243149, 1.13918602],
    [-0.94125295, 0.16691618, 0.90983891, 0.94783968],
    [-0.82072985, 0.76545161, 0.83058095, 0.83105147],
]
WEIGHTS = WordWeights(1.2, 0.75, 150.0)


def tokenizer() -> TextTokenizer:
    backend = tokenizers.Tokenizer(
        models.WordPiece({piece: number for number, piece in enumerate(PIECES)}, unk_token="[UNK]")
    )
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.add_special_tokens(list(PIECES[:4]))
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return TextTokenizer(backend, TokenizerRules(64, "test", False, False, 0), add_special_tokens=True)


def words(*stop_words: str) -> MiniCoilWords:
    return MiniCoilWords(WordPieces(tokenizer()), Vocabulary(NUMBERS, STEMS, 4), frozenset(stop_words))


def example(weights: WordWeights | None, *texts: str, stop_words: tuple[str, ...] = ("the", "is")) -> Any:
    """Vectors of texts, each of whose tokens have random vectors of their own, the same in every text."""
    random = np.random.default_rng(0)
    senses = random.standard_normal((4, 3, 4)).astype(np.float32)
    tokens = random.standard_normal((16, 3)).astype(np.float32)
    encoded = tokenizer().encode(texts, 0, truncate=True)
    width = max(len(one.ids) for one in encoded)
    ids, mask = np.zeros((2, len(texts), width), dtype=np.int64)
    hidden = np.full((len(texts), width, 3), 7, dtype=np.float32)
    for row, one in enumerate(encoded):
        count = len(one.ids)
        ids[row, :count], mask[row, :count], hidden[row, :count] = one.ids, 1, tokens[:count]
    weigher = MiniCoilWeigher("hidden", MiniCoilTables(words(*stop_words), senses), weights)
    return weigher.weigh(hidden, PaddedTokens(ids, mask))


def expected(senses: list[list[float]], value: float) -> dict[int, float]:
    known = {4 * number + place: x for number, sense in enumerate(senses, 1) for place, x in enumerate(sense)}
    return known | dict.fromkeys((AND, A, AXIOT, NINE), value)


def test_words_of_the_example() -> None:
    (tokens,) = tokenizer().encode([TEXT], 0, truncate=True)
    found = words("the", "is").resolve(tokens.ids)
    assert found.pieces.tolist() == [0, 0, 1, 0, 0, 1, 3, 2, 0, 0, 0, 0, 0, 1, 0]
    assert found.known.tolist() == [1, 1, 3, 2, 1]
    assert found.others.tolist() == [[AND, 0], [A, 0], [AXIOT, 0], [NINE, 0]]


def shifted(text: str) -> str:
    """In the published example the word 9° has two pieces; here an unknown sign stands for the second."""
    return text.replace("9°", "9° ~")


def test_document_of_the_example() -> None:
    (vector,) = example(WEIGHTS, shifted(TEXT))
    assert vector.as_dict() == pytest.approx(expected(DOCUMENT, 1.62481534), abs=1e-6)
    assert vector.indices.tolist() == sorted(vector.indices.tolist())
    assert (vector.values.dtype, vector.indices.dtype) == (np.float64, np.int64)


def test_query_of_the_example() -> None:
    (vector,) = example(None, shifted(TEXT))
    assert vector.as_dict() == pytest.approx(expected(SENSES, 1.0), abs=1e-6)


def test_neighbours_do_not_matter() -> None:
    texts = ["bat", shifted(TEXT), "", "the", "vectors and vectors", ", ,"]
    together = example(WEIGHTS, *texts)
    for text, vector in zip(texts, together, strict=True):
        (alone,) = example(WEIGHTS, text)
        assert alone.indices.tolist() == vector.indices.tolist()
        assert alone.values == pytest.approx(vector.values, abs=1e-6)
    assert [len(vector) for vector in together] == [4, 16, 0, 0, 5, 0]


def test_unknown_word_with_the_spelling_of_a_known_one_is_counted_there() -> None:
    """The stem of the first word's second part is bat: it counts as one more bat, where there is one."""
    (both,) = example(WEIGHTS, "x°bat bat")
    assert both.indices[:4].tolist() == [4, 5, 6, 7]
    assert len(both) == 5
    assert np.linalg.norm(both.values[:4]) == pytest.approx(float(WEIGHTS.of(np.array(2), np.array(3))), abs=1e-6)
    assert both.values[4] == pytest.approx(float(WEIGHTS.of(np.array(1), np.array(3))))
    (alone,) = example(WEIGHTS, "x°bat")
    assert len(alone) == 2
    assert alone.indices.min() >= FIRST_UNKNOWN


def test_stop_word_that_is_known_does_not_count_and_harms_none() -> None:
    """fastembed drops the whole entry of the word that shares its spelling."""
    (vector,) = example(WEIGHTS, "bats bat", stop_words=("bat",))
    assert vector.indices.tolist() == [4, 5, 6, 7]
    assert np.linalg.norm(vector.values) == pytest.approx(float(WEIGHTS.of(np.array(1), np.array(1))), abs=1e-6)


def test_very_long_stems_are_dropped() -> None:
    assert [len(vector) for vector in example(WEIGHTS, "y" * 41, "a")] == [0, 1]


def test_counts_and_lengths_weigh_as_in_bm25() -> None:
    weights = WordWeights(2.0, 0.5, 10.0)
    assert weights.of(np.array([1, 3]), np.array([10, 20])) == pytest.approx([1.0, 9 / 6])
    (vector,) = example(WordWeights(0.0, 0.75, 150.0), "a a and")
    assert vector.values.tolist() == [1.0, 1.0]


def test_index_ranges_of_the_published_vocabulary() -> None:
    numbers = {str(number): number for number in range(1, 19_125)}
    assert Vocabulary(numbers, {}, 4).first_unknown == 128_000


def test_options_reach_the_weights(tmp_path: Path) -> None:
    folder = write_minicoil(tmp_path)
    plain, other = (
        SparseTextEmbedding(NAME, specific_model_path=folder, **options)  # type: ignore[arg-type]
        for options in ({}, {"k": 2.0, "b": 0.0, "avg_len": 5.0})
    )
    text = "hello hello hello the vectors xyz"
    one, two = next(plain.embed(text)), next(other.embed(text))
    last = one.indices >= FIRST_UNKNOWN
    assert one.values[last] == pytest.approx(2.2 / (1 + 1.2 * (0.25 + 0.75 * 5 / 150)))
    assert two.values[last] == pytest.approx(1.0)
    assert next(plain.query_embed(text)) == next(other.query_embed(text))


def test_matrices_are_mapped_not_read(tmp_path: Path) -> None:
    folder = write_minicoil(tmp_path)
    senses = load_minicoil(folder, load_tokenizer(folder, None)).senses
    assert isinstance(senses, np.memmap)
    assert senses.shape == (len(MINICOIL_WORDS) + 1, HIDDEN, 4)


def test_vectors_have_the_form_of_all_sparse_models(tmp_path: Path) -> None:
    model = SparseTextEmbedding(NAME, specific_model_path=write_minicoil(tmp_path))
    for vector in model.embed(TEXTS[:30]):
        assert isinstance(vector, SparseEmbedding)
        assert (np.diff(vector.indices) > 0).all()


# -- files that do not fit -------------------------------------------------------------------------------------------


def refused(folder: Path, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        SparseTextEmbedding(NAME, specific_model_path=folder)


@pytest.mark.parametrize("count", [-1, 1])
def test_vocabulary_that_does_not_match_its_weights_is_refused(count: int, tmp_path: Path) -> None:
    write_minicoil(tmp_path)
    rows = len(MINICOIL_WORDS) + 1 + count
    np.save(tmp_path / MATRICES_FILE, np.zeros((rows, HIDDEN, 4), np.float32))
    refused(tmp_path, rf"holds {rows} matrices and .* {len(MINICOIL_WORDS)} words; expected one matrix more than words")


def test_matrices_of_another_encoder_are_refused(tmp_path: Path) -> None:
    write_minicoil(tmp_path)
    np.save(tmp_path / MATRICES_FILE, np.zeros((len(MINICOIL_WORDS) + 1, HIDDEN + 1, 4), np.float32))
    model = SparseTextEmbedding(NAME, specific_model_path=tmp_path)
    with pytest.raises(ModelError, match="Do graph and matrices belong together"):
        list(model.embed("hello"))


@pytest.mark.parametrize("array", [np.zeros((9, HIDDEN)), np.zeros((9, HIDDEN, 4), np.int64), np.zeros((9, HIDDEN, 0))])
def test_arrays_of_another_form_are_refused(array: np.ndarray, tmp_path: Path) -> None:
    write_minicoil(tmp_path)
    np.save(tmp_path / MATRICES_FILE, array)
    refused(tmp_path, r"expected real numbers \(words \+ 1, hidden, dim\)")


def test_arrays_with_objects_are_never_unpickled(tmp_path: Path) -> None:
    write_minicoil(tmp_path)
    np.save(tmp_path / MATRICES_FILE, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    refused(tmp_path, "is not a NumPy array that can be mapped")


def test_damaged_array_is_refused(tmp_path: Path) -> None:
    write_minicoil(tmp_path)
    content = (tmp_path / MATRICES_FILE).read_bytes()
    (tmp_path / MATRICES_FILE).write_bytes(content[: len(content) // 2])
    refused(tmp_path, "is not a NumPy array that can be mapped")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"vocab": list(MINICOIL_WORDS)}, "expected an object with a list of words"),
        ({"vocab": {"hello": 1}, "stem_mapping": {}}, "expected an object with a list of words"),
        ({"vocab": [1, 2], "stem_mapping": {}}, "expected an object with a list of words"),
        (["hello"], "holds a JSON list; expected an object"),
        ({"vocab": ["hello", "hello"], "stem_mapping": {}}, "names 1 words twice"),
        ({"vocab": ["hello"], "stem_mapping": {"fox": "fox"}}, "leads to 'fox', which is not in vocab"),
    ],
)
def test_vocabularies_of_another_form_are_refused(content: object, message: str, tmp_path: Path) -> None:
    write_minicoil(tmp_path)
    (tmp_path / WORDS_FILE).write_text(json.dumps(content), encoding="utf-8")
    refused(tmp_path, message)


def test_vocabulary_that_is_not_json_is_refused(tmp_path: Path) -> None:
    write_minicoil(tmp_path)
    (tmp_path / WORDS_FILE).write_bytes(b'{"vocab": ["\xe9"]')
    refused(tmp_path, "is not valid JSON in UTF-8")
