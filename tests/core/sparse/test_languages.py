"""Languages by name and code, and their stop words."""

from pathlib import Path

import pytest

from onnxembed.errors import InputError, InputTypeError, ModelError
from onnxembed.sparse.languages import (
    LANGUAGE_OF_CODE,
    LANGUAGES,
    LANGUAGES_WITH_STOP_WORDS,
    language_name,
    stop_words,
)

# Distinct words of NLTK's lists.
COUNTS = {
    "arabic": (701, "في"),
    "danish": (94, "og"),
    "dutch": (101, "het"),
    "english": (198, "the"),
    "finnish": (229, "ja"),
    "french": (157, "été"),
    "german": (232, "über"),
    "greek": (265, "και"),
    "hungarian": (198, "és"),
    "italian": (279, "perché"),
    "norwegian": (172, "og"),
    "portuguese": (207, "não"),
    "romanian": (356, "şi"),
    "russian": (151, "не"),
    "spanish": (313, "también"),
    "swedish": (114, "och"),
    "turkish": (53, "çok"),
}


def test_eighteen_languages_by_name_and_code() -> None:
    assert len(LANGUAGES) == 18
    assert set(LANGUAGES_WITH_STOP_WORDS) == set(COUNTS)
    for code, name in LANGUAGE_OF_CODE.items():
        assert language_name(code.upper(), stemmed=True) == name
        assert language_name(f" {name.title()} ", stemmed=True) == name


def test_unknown_languages() -> None:
    with pytest.raises(InputError, match=r"language='germn' has no stemmer\. Did you mean 'german'"):
        language_name("germn", stemmed=True)
    assert language_name("Klingon", stemmed=False) == "klingon"
    with pytest.raises(InputTypeError, match="language=3"):
        language_name(3, stemmed=True)


@pytest.mark.parametrize("language", COUNTS)
def test_carried_stop_words(language: str) -> None:
    count, member = COUNTS[language]
    words = stop_words(language)
    assert len(words) == count
    assert member in words
    assert all(word == word.strip() and word for word in words)


def test_languages_without_a_list() -> None:
    assert stop_words("tamil") == frozenset()
    assert stop_words("klingon") == frozenset()


def test_a_folder_wins(tmp_path: Path) -> None:
    (tmp_path / "english.txt").write_text("\ufeffalpha\r\n\n beta \n", encoding="utf-8")
    (tmp_path / "tamil.txt").write_text("மொழி\n", encoding="utf-8")
    (tmp_path / "german.txt").write_bytes(b"\xff\xfe\x00")
    assert stop_words("english", tmp_path) == {"alpha", "beta"}
    assert stop_words("tamil", tmp_path) == {"மொழி"}
    assert len(stop_words("french", tmp_path)) == 157
    with pytest.raises(ModelError, match=r"german.txt is not UTF-8"):
        stop_words("german", tmp_path)


def test_the_licence_lies_beside_the_lists() -> None:
    import onnxembed.sparse.languages as module

    folder = Path(module.__file__).parent / "stop_words"
    assert {path.stem for path in folder.glob("*.txt")} == set(COUNTS)
    assert "MIT License" in (folder / "LICENSE").read_text(encoding="utf-8")
    assert "llama-index-core" in (folder / "README.md").read_text(encoding="utf-8")
