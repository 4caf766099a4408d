"""BM25 vectors: fastembed's numbers in compatible mode, right ones otherwise."""

import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxembed.errors import InputError, InputTypeError
from onnxembed.sparse import bm25, terms
from onnxembed.sparse.bm25 import Bm25
from onnxembed.sparse.model import SparseTextEmbedding
from onnxembed.sparse.terms import term_id
from onnxembed.sparse.vector import SparseEmbedding
from tests.fixtures.bm25_models import make_bm25

GOLDEN: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "golden" / "bm25_fastembed.json").read_text(encoding="utf-8")
)
FEW = ["the", "is", "a", "of", "and", "to"]
BOTH = pytest.mark.parametrize("compatible", [True, False])


class Reversing:
    """A stemmer of one's own."""

    def stem_word(self, word: str) -> str:
        return "" if word == "drop" else word[::-1]


class Numbering:
    def stem_word(self, word: str) -> int:
        return len(word)


def two_letters(run: str) -> list[str]:
    return [run[start : start + 2] for start in range(0, len(run), 2)]


def one(model: Bm25, text: str) -> SparseEmbedding:
    (embedding,) = model.embed([text])
    return embedding


@BOTH
def test_known_numbers(compatible: bool) -> None:
    model = make_bm25(stopwords=FEW, compatible=compatible)
    fox, hello, x = model.embed(["The quick brown fox jumps over the lazy dog", "hello hello world", "x"])
    assert fox.indices.tolist() == [
        226376294, 741580288, 771291085, 1312749093, 1621867415, 1656251611, 1913189942,
    ]  # fmt: skip
    assert fox.values == pytest.approx([1.6608670009] * 7, abs=1e-10)
    assert hello.as_dict() == pytest.approx({74040069: 1.6786885246, 613153351: 1.9043110735}, abs=1e-10)
    assert x.as_dict() == pytest.approx({1050319643: 1.68774348}, abs=1e-8)
    (query,) = model.query_embed(["quick foxes quick"])
    assert query.as_dict() == {771291085: 1.0, 1621867415: 1.0}
    for embedding in (fox, query):
        assert (embedding.values.dtype, embedding.indices.dtype) == (np.dtype(np.float64), np.dtype(np.int64))


@pytest.mark.parametrize("language", sorted({row["language"] for row in GOLDEN}))
def test_compatible_mode_gives_fastembeds_numbers_to_the_last_digit(language: str) -> None:
    rows = [row for row in GOLDEN if row["language"] == language]
    model = make_bm25(language, compatible=True)
    texts = [row["text"] for row in rows]
    for row, document, query in zip(rows, model.embed(texts), model.query_embed(texts), strict=True):
        assert [list(entry) for entry in document.as_dict().items()] == row["document"], row["text"]
        assert query.indices.tolist() == row["query"]
        assert query.values.tolist() == [1.0] * len(row["query"])
        assert model.token_count([row["text"]]) == row["token_count"]


def test_plain_english_is_the_same_in_both_modes() -> None:
    texts = [
        "Don't re-use the foxes' dens; it's 3.14 (x) snake_case!",
        "I'm sure they'd run. Generously, running\tskis",
    ]
    compatible, right = make_bm25(compatible=True), make_bm25()
    assert list(compatible.embed(texts)) == list(right.embed(texts))
    assert len(one(right, texts[0])) == 7


def test_stems_that_share_a_number() -> None:
    early, late = "kitchens kitchens prostaglandins", "prostaglandins kitchens kitchens"
    assert term_id("kitchens") == term_id("prostaglandins") == 358434922
    model = make_bm25(compatible=True, disable_stemmer=True)
    texts = ["other words", early, late, "kitchens", "", early]
    values = [embedding.as_dict().get(358434922) for embedding in model.embed(texts)]
    assert values[1] == pytest.approx(1.6786885246, abs=1e-10)
    assert values[2] == pytest.approx(1.9043110735, abs=1e-10)
    assert values[5] == values[1]
    assert values[3] == pytest.approx(1.68774348, abs=1e-8)
    assert len(one(model, "other words")) == 2  # in a window of its own, without any shared number
    right = make_bm25(disable_stemmer=True)
    summed = 3 * 2.2 / (3 + 1.2 * (0.25 + 0.75 * 3 / 256))
    assert one(right, early) == one(right, late)
    assert one(right, early).as_dict() == {358434922: summed}


def test_a_shared_number_that_is_met_late() -> None:
    model = make_bm25(compatible=True, disable_stemmer=True, stopwords=["the"])
    kitchens, both, nothing = model.embed(["kitchens", "prostaglandins kitchens’prostaglandins", "the"])
    assert len(kitchens) == 1
    # Both stand in one text, one of them within a chunk of two words.
    assert both.as_dict() == {358434922: 1 * 2.2 / (1 + 1.2 * (1 - 0.75 + 0.75 * 3 / 256.0))}
    assert len(nothing) == 0


STEMS = [
    ("english", "running generously skis dying news sentence", "run generous ski die news sentenc"),
    ("german", "häuser größten straße", "haus grosst strass"),
    ("dutch", "lichamelijk opgevangen mogelijkheden", "licham opgevang mogelijk"),
    ("romanian", "oamenilor cunoștințe școală", "oamen cunoștinț școal"),
    ("french", "grenouilles continuellement été", "grenouill continuel été"),
    ("russian", "книгами бегущий", "книг бегущ"),
    ("spanish", "corriendo niños", "corr niñ"),
    ("italian", "abbandonata", "abbandon"),
    ("portuguese", "quilométricas", "quilométr"),
    ("swedish", "jaktkarlarne", "jaktkarl"),
    ("norwegian", "havnedistriktene", "havnedistrikt"),
    ("danish", "undersøgelse", "undersøg"),
    ("finnish", "edeltäjiinsä", "edeltäj"),
    ("hungarian", "babakocsi babájukért", "babakocs baba"),
    ("turkish", "kitapçığımızdan", "kitapçık"),
    ("arabic", "المدرسة يكتبون", "مدرس يكتب"),
    ("greek", "άνθρωποι βιβλίο", "ανθρωπ βιβλι"),
]


@BOTH
@pytest.mark.parametrize(("language", "words", "stems"), STEMS)
def test_stems(language: str, words: str, stems: str, compatible: bool) -> None:
    model = make_bm25(language, stopwords=[], compatible=compatible)
    if language == "romanian" and not compatible:
        stems = stems.replace("ș", "ş").replace("ț", "ţ")
    assert set(one(model, words).indices.tolist()) == {term_id(stem) for stem in stems.split()}


def test_tamil_words_stay_whole_only_by_default() -> None:
    text = "சென்னை தலைநகரம்"
    assert set(one(make_bm25("tamil"), text).indices.tolist()) == {term_id("சென்"), term_id("தலைநகரம்")}
    assert len(one(make_bm25("tamil", compatible=True), text)) > 2


@pytest.mark.parametrize(
    ("language", "text", "same"),
    [
        ("german", "die Straße", "STRASSE"),
        ("arabic", "ذَهَبَ الطَّالِبُ", "ذهب الطالب"),
        ("turkish", "ISPARTA İzmir", "ısparta izmir"),
        ("greek", "ΔΡΟΜΟΣ", "δρόμος"),
        ("romanian", "și națiunile", "naţiunile"),
        ("english", "me\u0301me", "méme"),
    ],
)
def test_spellings_of_one_word_meet(language: str, text: str, same: str) -> None:
    model = make_bm25(language)
    assert one(model, text).as_dict() == one(model, same).as_dict()
    assert len(one(model, same)) > 0


@BOTH
@pytest.mark.parametrize("text", ["", "   \n", "the of and", "?!…", "_", "the —", "\x01"])
def test_texts_without_words_have_the_empty_vector(text: str, compatible: bool) -> None:
    model = make_bm25(compatible=compatible)
    assert [len(embedding) for embedding in model.embed([text, "fox", text])] == [0, 1, 0]
    (query,) = model.query_embed([text])
    assert len(query) == 0
    assert list(model.embed([])) == []


def test_stop_words_of_ones_own_and_none() -> None:
    assert set(one(make_bm25(stopwords={"FOX"}), "the fox").as_dict()) == {term_id("the")}
    assert set(one(make_bm25(stopwords=set()), "the fox").as_dict()) == {term_id("the"), term_id("fox")}
    assert set(one(make_bm25(disable_stemmer=True), "the foxes").as_dict()) == {term_id("the"), term_id("foxes")}
    assert set(one(make_bm25(disable_stemmer=True, stopwords=["the"]), "the foxes").as_dict()) == {term_id("foxes")}


def test_a_folder_of_stop_words(tmp_path: Path) -> None:
    (tmp_path / "english.txt").write_text("fox\n", encoding="utf-8")
    assert set(one(make_bm25(stop_words_folder=str(tmp_path)), "the fox").as_dict()) == {term_id("the")}
    with pytest.raises(InputError, match="is no folder"):
        make_bm25(stop_words_folder=tmp_path / "nowhere")
    with pytest.raises(InputTypeError, match="stop_words_folder=3"):
        make_bm25(stop_words_folder=3)


@BOTH
def test_long_words_and_stemmers_of_ones_own(compatible: bool) -> None:
    model = make_bm25(stemmer=Reversing(), token_max_length=4, compatible=compatible)
    assert set(one(model, "abcd abcde drop").as_dict()) == {term_id("dcba")}
    assert one(model, "abcd abcde drop").values.tolist() == one(model, "abcd").values.tolist()
    with pytest.raises(InputTypeError, match=r"stem_word\('fox'\) gave 3"):
        one(make_bm25(stemmer=Numbering(), compatible=compatible), "fox")


def test_a_segmenter() -> None:
    assert set(one(make_bm25(segmenter=two_letters), "我来到北京").as_dict()) == {
        term_id("我来"), term_id("到北"), term_id("京"),
    }  # fmt: skip
    assert len(one(make_bm25(), "我来到北京")) == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"k": -0.1}, "k=-0.1: expected a number at least 0"),
        ({"k": float("nan")}, "k=nan"),
        ({"b": 1.5}, "b=1.5: expected a number from 0 to 1"),
        ({"avg_len": 0}, "avg_len=0: expected a number above 0"),
        ({"token_max_length": 0}, "token_max_length=0"),
        ({"language": "englsh"}, "Did you mean 'english'"),
        ({"stemmer": Reversing(), "disable_stemmer": True}, "contradict"),
        ({"segmenter": two_letters, "compatible": True}, "know no segmenter"),
        ({"idf_in_query": True}, "needs statistics="),
    ],
)
def test_values_that_cannot_be_used(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_bm25(**arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"k": "1"}, "k='1' is a str"),
        ({"b": True}, "b=True"),
        ({"compatible": "false"}, "compatible='false'"),
        ({"stemmer": object()}, "has no method stem_word"),
        ({"segmenter": 3}, "segmenter=3"),
        ({"stopwords": "the"}, "stopwords='the'"),
        ({"stopwords": [1]}, "stopwords holds 1"),
        ({"statistics": {}}, "expected Bm25Statistics"),
    ],
)
def test_types_that_cannot_be_used(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputTypeError, match=message):
        make_bm25(**arguments)


def test_languages_without_a_stemmer() -> None:
    assert set(one(make_bm25("klingon", disable_stemmer=True), "nuqneH").as_dict()) == {term_id("nuqneh")}
    assert set(one(make_bm25("klingon", stemmer=Reversing()), "nuqneH").as_dict()) == {term_id("henqun")}
    assert make_bm25("DE").settings.options.language == "german"


def test_wrong_texts_are_told_at_the_call_or_as_they_are_read() -> None:
    model = SparseTextEmbedding("Qdrant/bm25")
    with pytest.raises(InputTypeError, match="text 1 is None"):
        model.embed(["a", None])  # type: ignore[list-item]
    with pytest.raises(InputTypeError, match="query is an int"):
        model.query_embed(3)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="lone surrogate"):
        list(model.embed(text for text in ["a", "\ud800"]))
    with pytest.raises(InputError, match="parallel=-1"):
        model.embed(["a"], parallel=-1)


def test_any_iterable_is_streamed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bm25, "WINDOW_TEXTS", 3)
    monkeypatch.setattr(bm25, "WINDOW_CHARACTERS", 100)
    model = make_bm25()
    read = []

    def texts() -> Iterator[str]:
        for number in range(8):
            read.append(number)
            yield f"word{number} " * (30 if number == 4 else 1)

    stream = model.embed(texts())
    assert read == []
    first = next(stream)
    assert read == [0, 1, 2]
    expected = model.encode(list(texts())).split()
    assert [first, *stream] == expected == list(model.embed(list(texts()))) == list(model.embed(tuple(texts())))


def test_what_is_remembered_is_bounded_and_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bm25, "WINDOW_TEXTS", 2)
    texts = [f"word{number} 北京大{number} kitchens prostaglandins" for number in range(20)]
    expected = list(make_bm25(compatible=True, disable_stemmer=True).embed(texts))
    monkeypatch.setattr(bm25, "MEMORY_LIMIT", 1_000)
    model = make_bm25(compatible=True, disable_stemmer=True)
    assert list(model.embed(texts)) == expected
    assert model._numbers.terms.size < 5_000
    assert terms.MEMORY_LIMIT == 32_000_000


def test_pickles_as_its_settings() -> None:
    model = make_bm25("de", k=1.5, stopwords=["und"])
    before = len(pickle.dumps(model))
    expected = list(model.embed(["Häuser und Straßen " * 20] * 3))
    sent = pickle.dumps(model)
    assert len(sent) == before < 1_000
    back = pickle.loads(sent)
    assert back.settings == model.settings
    assert list(back.embed(["Häuser und Straßen " * 20] * 3)) == expected


def test_parameters_enter_the_formula() -> None:
    model = make_bm25(k=2, b=0, avg_len=10)
    assert one(model, "fox fox dog").as_dict() == {term_id("fox"): 2 * 3 / (2 + 2), term_id("dog"): 1 * 3 / (1 + 2)}
    assert model.avg_len == 10.0
    assert set(one(make_bm25(k=0), "fox fox dog").values.tolist()) == {1.0}


def test_token_count_counts_what_filters_drop() -> None:
    model = make_bm25()
    assert model.token_count(["The quick fox, the fox", "", "我来到"]) == 5 + 0 + 2
    assert model.token_count(["don't"]) == 2


@settings(max_examples=150, deadline=None)
@given(st.lists(st.text(max_size=60), max_size=8), st.booleans())
def test_any_text_has_a_vector_whatever_its_neighbours(texts: list[str], compatible: bool) -> None:
    model = make_bm25(compatible=compatible)
    together = model.encode(texts).split()
    assert len(together) == len(texts)
    for text, embedding in zip(texts, together, strict=True):
        assert SparseEmbedding(embedding.values, embedding.indices) == embedding
        assert make_bm25(compatible=compatible).encode([text]).split() == [embedding]
        (query,) = model.query_embed([text])
        assert np.array_equal(query.indices, embedding.indices)
        assert ((embedding.values > 0) & (embedding.values < 2.2)).all()
