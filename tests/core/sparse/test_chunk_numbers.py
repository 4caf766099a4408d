"""The table in front of the terms gives what the terms give."""

import random
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxembed.sparse.chunk_numbers import ChunkNumbers
from onnxembed.sparse.terms import END_NUMBER, FIRST_GROUP, Terms
from tests.fixtures.bm25_models import make_bm25


def new_terms() -> Terms:
    chosen = make_bm25(disable_stemmer=True).settings
    return chosen.terms(chosen.words())


def expected(joined: bytes, terms: Terms) -> list[int]:
    return [terms[chunk] for chunk in joined.split()]


@pytest.mark.parametrize(
    "joined",
    [
        b"",
        b"   ",
        b"x",
        b"  fox fox \x01 dog  ",
        b"12345678 123456789 1234567812345678 12345678123456789 " + b"y" * 39 + b" " + b"z" * 41,
        "straße größe 北京大学 naïve’s".encode(),
    ],
)
def test_chunks_of_every_length_cold_and_warm(joined: bytes) -> None:
    numbers = ChunkNumbers(new_terms())
    for _ in range(2):
        assert numbers.of(joined).tolist() == expected(joined, numbers.terms)


def test_special_numbers() -> None:
    numbers = ChunkNumbers(new_terms())
    assert numbers.of("\x01 a’b".encode()).tolist() == [END_NUMBER, FIRST_GROUP]
    assert len(numbers.terms.groups[0]) == 2


def test_a_table_that_is_too_small_only_forgets() -> None:
    rng = random.Random(1)
    numbers = ChunkNumbers(new_terms(), bits=4)
    for _ in range(50):
        joined = b" ".join(b"word%d" % rng.randrange(200) for _ in range(100))
        assert numbers.of(joined).tolist() == expected(joined, numbers.terms)


def test_what_is_known_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = ChunkNumbers(new_terms())
    first = numbers.of(b"fox dog fox").tolist()
    numbers.terms.clear()
    monkeypatch.setattr(Terms, "__missing__", None)
    assert numbers.of(b"fox fox dog").tolist() == [first[0], first[0], first[1]]


def test_threads_share_a_table() -> None:
    numbers = ChunkNumbers(new_terms(), bits=6)
    wrong: list[bytes] = []

    def work(seed: int) -> None:
        rng = random.Random(seed)
        terms = new_terms()
        for _ in range(100):
            joined = b" ".join(b"word%d" % rng.randrange(150) for _ in range(60))
            if numbers.of(joined).tolist() != expected(joined, terms):
                wrong.append(joined)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=20).map(lambda raw: bytes(97 + byte % 3 for byte in raw)), max_size=30))
def test_like_chunks_are_told_apart(chunks: list[bytes]) -> None:
    numbers = ChunkNumbers(new_terms())
    joined = b" ".join(chunks)
    assert numbers.of(joined).tolist() == expected(joined, numbers.terms)
    assert numbers.of(joined).tolist() == expected(joined, numbers.terms)
