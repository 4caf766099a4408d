"""Texts and the words that a reader sees in them."""

from collections.abc import Iterable

import pytest

from onnxembed.errors import InputTypeError
from onnxembed.sparse.words import END, CompatibleWords, UnicodeWords, Words, join


def words_of(words: Words, text: str) -> list[str]:
    chunks = join([text], words).split()
    return [trimmed for chunk in chunks for word in words.split(chunk.decode()) if (trimmed := words.trim(word))]


SPEAKERS_TABLE = [
    ("tamil", "தமிழ் மொழி", ["தமிழ்", "மொழி"]),
    ("english", "हिन्दी भाषा", ["हिन्दी", "भाषा"]),
    ("english", "क्‍ष", ["क्ष"]),
    ("english", "বাংলা ভাষা", ["বাংলা", "ভাষা"]),
    ("english", "สวัสดี", ["สวั", "วัส", "สดี"]),
    ("english", "ราคา ๑๒ บาท", ["รา", "าค", "คา", "๑๒", "บา", "าท"]),
    ("english", "ភាសាខ្មែរ", ["ភាសា", "សាខ្មែ", "ខ្មែរ"]),
    ("arabic", "ذَهَبَ الطَّالِبُ", ["ذهب", "الطالب"]),
    ("arabic", "كـــتاب", ["كتاب"]),
    ("arabic", "ﻛﺘﺎﺏ", ["كتاب"]),
    ("english", "می‌خواهم", ["میخواهم"]),
    ("english", "שָׁלוֹם עולם", ["שלום", "עולם"]),
    ("turkish", "İstanbul ISPARTA Iğdır I\u0307zmir", ["istanbul", "ısparta", "ığdır", "izmir"]),
    ("english", "İstanbul ISPARTA", ["istanbul", "isparta"]),
    ("german", "Straße STRASSE strasse", ["strasse", "strasse", "strasse"]),
    ("german", "Donau\u00addampf", ["donaudampf"]),
    ("greek", "ΟΔΟΣ οδός Μαΐου", ["οδοσ", "οδόσ", "μαΐου"]),
    ("romanian", "cunoștințe", ["cunoştinţe"]),
    ("russian", "Ёлка", ["ёлка"]),
    ("english", "我来到北京", ["我来", "来到", "到北", "北京"]),
    ("english", "水", ["水"]),
    ("english", "iPhone手机3月", ["iphone", "手机", "3", "月"]),
    ("english", "がぎ カ\u3099", ["がぎ", "ガ"]),
    ("english", "ＡＢＣ ｶﾞｷﾞ", ["abc", "ガギ"]),
    ("english", "한국어", ["한국", "국어"]),
    ("english", "me\u0301me naïve", ["méme", "naïve"]),
    ("english", "don't don’t", ["don", "t", "don", "t"]),
    ("french", "l’été", ["l", "été"]),
    ("english", "snake_case _emphasis_ __ _", ["snake_case", "emphasis"]),
    ("english", "ﬁne ﬂow", ["fine", "flow"]),
    ("english", "❤️ 3️⃣ 😀 \u0301x", ["3", "x"]),
    ("english", "a\u200bb", ["a", "b"]),
    ("english", "", []),
    ("english", "—…!?", []),
]


@pytest.mark.parametrize(("language", "text", "expected"), SPEAKERS_TABLE)
def test_words_as_a_speaker_sees_them(language: str, text: str, expected: list[str]) -> None:
    assert words_of(UnicodeWords(language), text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("naïve don't snake_case _ __ a_", ["naïve", "don", "t", "snake_case", "__", "a_"]),
        ("İstanbul", ["i", "stanbul"]),
        ("தமிழ் மொழி", ["தம", "ழ", "ம", "ழ"]),
        ("हिन्दी भाषा", ["ह", "न", "द", "भ", "ष"]),
        ("ذَهَبَ الطَّالِبُ", ["ذ", "ه", "ب", "الط", "ال", "ب"]),
        ("ΟΔΟΣ ΑΣ’Α", ["οδος", "ας", "α"]),
    ],
)
def test_compatible_words(text: str, expected: list[str]) -> None:
    assert words_of(CompatibleWords(), text) == expected


def test_a_segmenter_cuts_runs_only() -> None:
    asked: list[str] = []

    def segment(run: str) -> Iterable[str]:
        asked.append(run)
        return [run[:2], " ", run[2:]]

    assert words_of(UnicodeWords("english", segment), "我们喜欢 tea 北京") == ["我们", "喜欢", "tea", "北京"]
    assert asked == ["我们喜欢", "北京"]


@pytest.mark.parametrize("wrong", ["我们", None, [1]])
def test_a_wrong_segmenter_is_told(wrong: object) -> None:
    words = UnicodeWords("english", lambda _run: wrong)  # type: ignore[arg-type, return-value]
    with pytest.raises(InputTypeError, match="segmenter gave"):
        words.split("我们")


@pytest.mark.parametrize("words", [CompatibleWords(), UnicodeWords("english"), UnicodeWords("turkish")])
def test_texts_are_separated(words: Words) -> None:
    texts = ["One, two", "", "three" + END.decode() + "four", "Ünder"]
    chunks = join(texts, words).split()
    assert chunks[:6] == [b"one" if b"O" not in chunks[0] else b"One", b"two", END, END, b"three", b"four"]
    assert chunks[6:] == [END, "Ünder".encode()]
    assert join([], words) == b""


def test_folding_of_listed_words() -> None:
    assert CompatibleWords().fold("THE") == "the"
    assert UnicodeWords("german").fold("DAß") == "dass"
    assert UnicodeWords("turkish").fold("Iğdır") == "ığdır"
    assert UnicodeWords("arabic").fold("آهٍ") == "آه"
    assert UnicodeWords("english").fold("我们") == "我们"
