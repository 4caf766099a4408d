"""JSON objects that are read key by key."""

from __future__ import annotations

import logging

import pytest

from onnxembed.errors import ModelError, UnsupportedModelError
from onnxembed.formats.facts import Facts


def facts() -> Facts:
    return Facts(
        {"size": 3, "rate": 0.5, "name": "a", "on": True, "none": None, "inner": {"deep": 1, "other": 2}, "odd": [1]},
        "folder/config.json",
    )


def test_each_type_is_read() -> None:
    read = facts()
    assert (read.whole("size"), read.number("rate"), read.text("name"), read.flag("on")) == (3, 0.5, "a", True)
    assert (read.whole("none", 7), read.optional_whole("none"), read.optional_whole("size")) == (7, None, 3)
    assert read.section("inner").whole("deep") == 1
    assert read.wholes("odd") == (1,)
    assert read.left() == {"inner.other": 2}


@pytest.mark.parametrize(("reader", "key"), [("whole", "name"), ("number", "on"), ("text", "size"), ("flag", "size")])
def test_another_type_is_named(reader: str, key: str) -> None:
    with pytest.raises(ModelError, match=rf"folder/config\.json: {key} is "):
        getattr(facts(), reader)(key)


def test_what_nobody_read_refuses_the_model_by_name() -> None:
    read = facts()
    read.section("inner").whole("deep")
    with pytest.raises(UnsupportedModelError, match=r"folder/config\.json: the key 'size' \(value 3\)"):
        read.finish((), ())
    with pytest.raises(UnsupportedModelError, match=r"'inner\.other' \(value 2\)"):
        read.finish(("size", "rate", "name", "on", "none", "odd"), ())


def test_what_the_user_accepts_is_passed_over_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    read = facts()
    read.section("inner")
    with caplog.at_level(logging.WARNING, "onnxembed.models"):
        read.finish(("size", "rate", "name", "on", "none", "odd"), ("deep", "inner.other"))
    assert [record.getMessage().split(" is not")[0] for record in caplog.records] == [
        "folder/config.json: inner.deep",
        "folder/config.json: inner.other",
    ]


def test_true_is_not_one() -> None:
    with pytest.raises(UnsupportedModelError, match="on is True; known here: 1"):
        facts().expect("on", (1,), 1)
