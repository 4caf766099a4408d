"""What BM25 measures on a collection, and its file."""

import math
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxembed.errors import InputError, InputTypeError, ModelError
from onnxembed.sparse import statistics as module
from onnxembed.sparse.bm25 import Bm25
from onnxembed.sparse.statistics import Bm25Statistics, gather
from onnxembed.sparse.terms import term_id
from tests.fixtures.bm25_models import make_bm25

TEXTS = ["the fox and the dog", "a fox", "dogs dogs dogs", "", "birds sing; a bird sang"]


def statistics_of(texts: list[str], model: Bm25 | None = None) -> Bm25Statistics:
    found = (model or make_bm25()).fit(texts).statistics
    assert found is not None
    return found


def test_what_is_measured() -> None:
    model = make_bm25(avg_len=3).fit(TEXTS)
    found = model.statistics
    assert found is not None
    assert (found.document_count, found.token_count) == (5, 2 + 1 + 3 + 0 + 4)
    assert model.avg_len == found.avg_len == 2.0
    frequencies = dict(zip(found.ids.tolist(), found.document_frequencies.tolist(), strict=True))
    assert frequencies == {
        term_id("fox"): 2,
        term_id("dog"): 2,
        term_id("bird"): 1,
        term_id("sing"): 1,
        term_id("sang"): 1,
    }
    assert repr(found).startswith("Bm25Statistics(5 documents, 5 terms, avg_len=2, language=english")


def test_the_measured_length_is_used_and_one_given_wins() -> None:
    found = statistics_of(TEXTS)
    assert list(make_bm25(statistics=found).embed(TEXTS)) == list(make_bm25(avg_len=2.0).embed(TEXTS))
    assert make_bm25(statistics=found, avg_len=7).avg_len == 7.0


def test_idf_is_that_of_qdrants_modifier() -> None:
    found = statistics_of(TEXTS)
    weights = found.idf([term_id("fox"), term_id("bird"), term_id("unheard"), 2**31])
    expected = [math.log((5 - n + 0.5) / (n + 0.5) + 1) for n in (2, 1, 0, 0)]
    assert weights.tolist() == pytest.approx(expected, abs=1e-15)
    empty = Bm25Statistics("x", 0, 0, np.zeros(0), np.zeros(0))
    assert empty.idf([3]).tolist() == [math.log(2)]
    assert empty.avg_len == 0.0


def test_idf_in_the_query_ranks_rare_words_first() -> None:
    model = make_bm25(statistics=statistics_of(TEXTS), idf_in_query=True)
    (query,) = model.query_embed(["foxes that sing"])
    assert query.as_dict() == pytest.approx(
        {term_id("fox"): math.log(3.5 / 2.5 + 1), term_id("sing"): math.log(4.5 / 1.5 + 1)}
    )
    weights = query.as_dict()
    common, rare = (
        sum(weights[key] * value for key, value in e.as_dict().items()) for e in model.embed(["fox", "sing"])
    )
    assert rare > common
    (plain,) = make_bm25(statistics=model.statistics).query_embed(["foxes that sing"])
    assert set(plain.values.tolist()) == {1.0}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([*TEXTS, "fox bird", "ünïcode 北京"]), max_size=12), st.integers(0, 12))
def test_halves_add_up_to_the_whole(texts: list[str], cut: int) -> None:
    model = make_bm25()
    parts = [gather("same", [model.measure(half)]) for half in (texts[:cut], texts[cut:])]
    whole = gather("same", [model.measure(texts)])
    assert parts[0] + parts[1] == parts[1].merge(parts[0]) == whole


def test_many_parts_are_added_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_bm25()
    texts = [f"word{number % 7} common" for number in range(40)]
    whole = gather("same", [model.measure(texts)])
    monkeypatch.setattr(module, "PENDING_ENTRIES", 5)
    assert gather("same", (model.measure([text]) for text in texts)) == whole
    assert whole.document_frequencies.max() == 40


def test_a_stream_is_read_once() -> None:
    texts = iter(TEXTS)
    assert statistics_of(texts) == statistics_of(TEXTS)  # type: ignore[arg-type]
    assert list(texts) == []


def test_collections_without_words() -> None:
    with pytest.raises(InputError, match="found no word in 2 texts"):
        make_bm25().fit(["", "the"])
    nothing = Bm25Statistics(make_bm25().settings.identity(), 3, 0, np.zeros(0), np.zeros(0))
    with pytest.raises(InputError, match="without a single word"):
        make_bm25(statistics=nothing)


@pytest.mark.parametrize(
    "other",
    [
        make_bm25("german"),
        make_bm25(compatible=True),
        make_bm25(stopwords=["fox"]),
        make_bm25(disable_stemmer=True),
        make_bm25(token_max_length=9),
        make_bm25(segmenter=list),
    ],
)
def test_statistics_of_other_settings_are_refused(other: Bm25) -> None:
    theirs = statistics_of(TEXTS, other)
    with pytest.raises(InputError, match="cannot be used with language=english compatible=False"):
        make_bm25(statistics=theirs)
    with pytest.raises(InputError, match="cannot be used with"):
        theirs.merge(statistics_of(TEXTS))


def test_settings_that_leave_the_terms_alone_may_differ() -> None:
    assert make_bm25(statistics=statistics_of(TEXTS, make_bm25(k=3, b=0.1)), language="en").avg_len == 2.0


def test_only_statistics_merge() -> None:
    with pytest.raises(InputTypeError, match="got dict"):
        statistics_of(TEXTS).merge({})  # type: ignore[arg-type]
    assert statistics_of(TEXTS) != {}


def test_a_file_gives_back_the_same(tmp_path: Path) -> None:
    found = statistics_of([*TEXTS, *(f"word{number}" for number in range(500))])
    path = tmp_path / "statistics.npz"
    found.save(path)
    assert Bm25Statistics.load(str(path)) == found
    assert [entry.name for entry in tmp_path.iterdir()] == ["statistics.npz"]
    assert path.stat().st_size < 5_000
    first = path.read_bytes()
    found.save(path)
    assert path.read_bytes() == first


def test_a_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "statistics.npz"
    statistics_of(TEXTS).save(path)
    before = path.read_bytes()

    def fail(*_: object, **__: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez_compressed", fail)
    with pytest.raises(OSError, match="disk full"):
        statistics_of(TEXTS[:2]).save(path)
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_damaged_and_foreign_files(tmp_path: Path) -> None:
    path = tmp_path / "statistics.npz"
    statistics_of(TEXTS).save(path)
    whole = path.read_bytes()
    damaged = [b"", b"hello", whole[:-30], whole[: len(whole) // 2], whole.replace(b"PK\x01\x02", b"PK\x09\x09")]
    for start in range(0, len(whole), 37):
        damaged.append(whole[:start] + bytes(byte ^ 0xFF for byte in whole[start : start + 4]) + whole[start + 4 :])
    expected = Bm25Statistics.load(path)
    messages: list[str] = []
    for content in damaged:
        path.write_bytes(content)
        try:
            loaded = Bm25Statistics.load(path)
        except ModelError as error:
            messages.append(str(error))
        else:
            assert loaded == expected  # a few bytes of a zip file mean nothing
    assert len(messages) > 0.8 * len(damaged)
    assert all("make it again with Bm25.fit()" in message for message in messages)
    np.save(path.with_suffix(".npy"), np.arange(3))
    with pytest.raises(ModelError, match="cannot be read"):
        Bm25Statistics.load(path.with_suffix(".npy"))
    with pytest.raises(FileNotFoundError):
        Bm25Statistics.load(tmp_path / "nowhere.npz")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"format": np.array("other-9")}, "its format is 'other-9'"),
        ({"totals": np.array([1], dtype=np.int64)}, "IndexError"),
        ({"ids": np.array([2, 1], dtype=np.uint32)}, "ids are not ascending"),
        ({"ids": np.array([1, 2**31 + 1], dtype=np.uint32)}, "ids are not ascending numbers from 0 to 2"),
        ({"ids": np.array([1], dtype=np.uint32)}, "have the shape"),
        ({"ids": np.array([1.0, 2.0])}, "TypeError"),
        ({"document_frequencies": np.array([0, 1])}, "not between 1 and 3"),
        ({"document_frequencies": np.array([4, 1])}, "not between 1 and 3"),
        ({"totals": np.array([3, 1])}, "3 documents with 1 words"),
        ({"ids": np.array([None, 1], dtype=object)}, "Object arrays cannot be loaded"),
    ],
)
def test_files_that_hold_no_statistics(tmp_path: Path, changed: dict[str, np.ndarray], message: str) -> None:
    content = {
        "format": np.array("onnxembed-bm25-statistics-1"),
        "made_with": np.array("x"),
        "totals": np.array([3, 9], dtype=np.int64),
        "ids": np.array([1, 2], dtype=np.uint32),
        "document_frequencies": np.array([2, 1], dtype=np.int64),
    }
    path = tmp_path / "statistics.npz"
    np.savez(path, **content)  # type: ignore[arg-type]
    assert Bm25Statistics.load(path).idf([2]).tolist() == [math.log(2.5 / 1.5 + 1)]
    np.savez(path, **(content | changed))  # type: ignore[arg-type]
    with pytest.raises(ModelError, match=message) as caught:
        Bm25Statistics.load(path)
    assert os.fspath(path) in str(caught.value)


def test_arrays_are_read_only() -> None:
    found = statistics_of(TEXTS)
    with pytest.raises(ValueError, match="read-only"):
        found.ids[0] = 1
