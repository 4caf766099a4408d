"""BM42: attention to words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tokenizers
from tokenizers import models, normalizers, pre_tokenizers, processors

from onnxembed.errors import ModelError
from onnxembed.sparse.bm42 import Bm42Weigher, Bm42Words, first_token_attention
from onnxembed.sparse.known import sparse_registry
from onnxembed.sparse.model import SparseTextEmbedding
from onnxembed.sparse.pieces import WordPieces
from onnxembed.spec import ModelSource
from onnxembed.text.graph import PaddedTokens
from onnxembed.text.tokenizer import TextTokenizer, Tokens
from onnxembed.text.tokenizer_rules import TokenizerRules
from tests.fixtures.sparse_models import TEXTS, write_bm42

NAME = "Qdrant/bm42-all-minilm-l6-v2-attentions"
EMBED, RETRIEV, HELLO, WORLD = 959644756, 1839534477, 613153351, 74040069
# As BERT's vocabulary cuts these words.
PIECES = (
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "em", "##bed", "##ding", "##s", "is", "retrieval", "."),
    *("hello", "world", "##world"),
)


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


def words(*stop_words: str) -> Bm42Words:
    return Bm42Words(WordPieces(tokenizer()), frozenset(stop_words))


def weigh(texts: list[str], attention: np.ndarray, alpha: float = 0.5) -> list[dict[int, float]]:
    encoded = tokenizer().encode(texts, 0, truncate=True)
    width = max(len(tokens.ids) for tokens in encoded)
    ids, mask = np.zeros((2, len(texts), width), dtype=np.int64)
    for row, tokens in enumerate(encoded):
        ids[row, : len(tokens.ids)] = tokens.ids
        mask[row, : len(tokens.ids)] = 1
    vectors = Bm42Weigher("attention", words("the", "is"), alpha).weigh(
        attention[:, :width] if attention.ndim == 2 else attention, PaddedTokens(ids, mask)
    )
    return [vector.as_dict() for vector in vectors]


def test_weights_of_two_heads() -> None:
    text = "The embeddings embedding is retrieval."
    places = np.arange(13, dtype=np.float32) + 1
    attention = np.zeros((1, 2, 13, 13), dtype=np.float32)
    attention[0, 0, 0], attention[0, 1, 0] = places / 100, places / 50
    (vector,) = weigh([text], attention)
    assert vector == pytest.approx({EMBED: 0.55451303, RETRIEV: 0.39079545}, abs=1e-7)


def test_weight_of_a_word_is_a_sum_and_of_a_stem_the_largest() -> None:
    # [CLS] hello hello ##world . [SEP]: the heavier of two words with one stem counts; a continuation joins its word.
    attention = np.array([[9, 0.25, 0.5, 0.125, 7, 9]])
    (vector,) = weigh(["hello hello"], attention[:, [0, 1, 2, 5]], alpha=1.0)
    assert vector == pytest.approx({HELLO: np.log1p(0.5)})
    (joined,) = weigh(["hello helloworld ."], attention, alpha=1.0)
    assert joined[HELLO] == pytest.approx(np.log1p(0.25))
    assert sorted(joined.values()) == pytest.approx([np.log1p(0.25), np.log1p(0.625)])


@pytest.mark.parametrize(("alpha", "value"), [(0.0, 1.0), (0.5, np.log1p(0.5) ** 0.5), (2, np.log1p(0.5) ** 2)])
def test_alpha_is_an_exponent(alpha: float, value: float) -> None:
    (vector,) = weigh(["hello"], np.array([[0.1, 0.5, 0.4]]), alpha)
    assert vector == pytest.approx({HELLO: value})


def test_texts_without_a_word_that_counts_have_the_empty_vector() -> None:
    attention = np.full((4, 4), 0.25)
    assert weigh(["", "the is", ".", "hello"], attention)[:3] == [{}, {}, {}]


def test_queries_are_ones() -> None:
    found = words("the").look_up(tokenizer().encode(["The world, hello world", "the", ""], 0, truncate=True))
    assert [vector.as_dict() for vector in found] == [{WORLD: 1.0, HELLO: 1.0}, {}, {}]
    assert found[0].indices.tolist() == [WORLD, HELLO]


def test_continuation_at_the_beginning_begins_a_word() -> None:
    (vector,) = words().look_up([Tokens(np.array([2, PIECES.index("##world"), 3], dtype=np.int32))])
    assert vector.indices.tolist() == [WORLD]


def test_first_token_is_found_behind_padding_too() -> None:
    attention = np.random.RandomState(0).uniform(size=(2, 3, 4, 4)).astype(np.float32)
    found = first_token_attention(attention, np.array([[1, 1, 1, 0], [0, 0, 1, 1]]), "attention")
    assert found[0] == pytest.approx(attention[0, :, 0].mean(axis=0))
    assert found[1] == pytest.approx(attention[1, :, 2].mean(axis=0))
    assert found.dtype == np.float64


@pytest.mark.parametrize("shape", [(2, 4, 4), (1, 2, 4, 4), (2, 3, 5, 5), (2, 5)])
def test_output_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelError, match="'attention_6' has the shape"):
        first_token_attention(np.zeros(shape), np.ones((2, 4), np.int64), "attention_6")


def test_queries_load_no_weights(tmp_path: Path) -> None:
    model = SparseTextEmbedding(NAME, specific_model_path=write_bm42(tmp_path), lazy_load=True)
    assert [len(vector) for vector in model.query_embed(["hello world", "the and of", "?"])] == [2, 0, 0]
    assert not model.loaded


def test_folder_without_stop_words_counts_them(tmp_path: Path) -> None:
    write_bm42(tmp_path)
    (tmp_path / "stopwords.txt").write_text("", encoding="utf-8")
    model = SparseTextEmbedding(tmp_path)
    assert [len(vector) for vector in model.embed(["the and", "the hello"])] == [2, 2]
    (tmp_path / "stopwords.txt").unlink()
    again = SparseTextEmbedding(tmp_path, max_length=47)
    assert [len(vector) for vector in again.embed(["the and", "the hello"])] == [2, 2]


def test_stop_words_that_are_not_utf_8_are_refused(tmp_path: Path) -> None:
    write_bm42(tmp_path)
    (tmp_path / "stopwords.txt").write_bytes("thé".encode("latin-1"))
    with pytest.raises(ModelError, match=r"stopwords\.txt is not UTF-8"):
        SparseTextEmbedding(NAME, specific_model_path=tmp_path)


def test_output_is_found_by_its_number_or_named(tmp_path: Path) -> None:
    write_bm42(tmp_path)
    source = ModelSource(hf="test/bm42")
    added = {"test/bm42-found": None, "test/bm42-named": "attention_6", "test/bm42-wrong": "attention_5"}
    for name, output in added.items():
        SparseTextEmbedding.add_custom_model(name, "bm42", source, "model.onnx", output_name=output)
    try:
        expected = list(SparseTextEmbedding(NAME, specific_model_path=tmp_path).embed(TEXTS[:9]))
        for name in ("test/bm42-found", "test/bm42-named"):
            model = SparseTextEmbedding(name, specific_model_path=tmp_path)
            assert model.requires_idf
            assert list(model.embed(TEXTS[:9])) == expected
        with pytest.raises(ModelError, match="no output 'attention_5'"):
            SparseTextEmbedding("test/bm42-wrong", specific_model_path=tmp_path)
    finally:
        for name in added:
            sparse_registry.remove(name)
