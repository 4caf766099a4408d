"""How a reranker that is a language model is asked: its template read without being run, and long pairs cut."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from onnxembed import TextCrossEncoder
from onnxembed.errors import TextTooLongError, UnsupportedModelError
from onnxembed.rerank.chat_template import parse_chat_template
from tests.fixtures.model_rows import Row, all_rows, write_row

QUERY_PART = '{%- set q = messages | selectattr("role", "eq", "query") | map(attribute="content") | first -%}\n'
DOCUMENT_PART = '{%- set d = messages | selectattr("role", "eq", "document") | map(attribute="content") | first -%}\n'
SYSTEM_PART = (
    '{%- set i = messages | selectattr("role", "eq", "system") | map(attribute="content") | first '
    '| default("find it", true) -%}\n'
)


def test_parts_stand_in_the_text() -> None:
    template = parse_chat_template(
        f"{SYSTEM_PART}{QUERY_PART}{DOCUMENT_PART}<s>{{{{ i }}}}|{{{{q}}}}|{{{{ d }}}}</s>\n\n", "x"
    )
    assert template.render("", "what?", "that {{ q }}") == "<s>find it|what?|that {{ q }}</s>\n"
    assert template.render("rank it", "a", "b") == "<s>rank it|a|b</s>\n"


@pytest.mark.parametrize(
    "source",
    [
        "",
        "{{ messages }}",
        f"{QUERY_PART}{{{{ q }}}}",
        f"{QUERY_PART}{DOCUMENT_PART}{{{{ q }}}} {{{{ d }}}}{{% if x %}}1{{% endif %}}",
        f"{QUERY_PART}{DOCUMENT_PART}{{{{ q | upper }}}} {{{{ d }}}}",
        f"{QUERY_PART}{DOCUMENT_PART}{{{{ q }}}} {{{{ d }}}} {{{{ other }}}}",
    ],
)
def test_other_templates_are_refused(source: str) -> None:
    with pytest.raises(UnsupportedModelError, match=r"t.jinja is no template of a reranker that is known here"):
        parse_chat_template(source, "t.jinja")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    row = next(param.values[0] for param in all_rows("rerank") if param.id == "decoder-qwen3-yes-no")
    assert isinstance(row, Row)
    return write_row(row, tmp_path_factory.mktemp("yes-no"))


def test_long_pairs_are_cut_before_the_last_words(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = TextCrossEncoder(folder)
    assert model.max_length == 256
    with caplog.at_level(logging.WARNING):
        first, other = model.rerank("fox", ["dog " * 400, "dog " * 500])
    assert "pair 0 is longer than the limit of 256 tokens" in caplog.text
    assert first == pytest.approx(other, abs=1e-6)  # what is cut does not matter
    assert model.token_count(("fox", "dog " * 400)) == 256
    with pytest.raises(TextTooLongError):
        list(TextCrossEncoder(folder, truncate=False).rerank("fox", ["dog " * 400]))


def test_windows_are_refused(folder: Path) -> None:
    with pytest.raises(UnsupportedModelError, match="windows= cannot be used"):
        list(TextCrossEncoder(folder, windows="max").rerank("fox", ["dog"]))


def test_yes_minus_no_is_the_score(folder: Path) -> None:
    model = TextCrossEncoder(folder)
    pairs = [("fox", "dog"), ("fox", "a fox")]
    scores = [float(score[0]) for score in model.label_scores(pairs)]
    assert list(model.rerank_pairs(pairs, activation="sigmoid")) == pytest.approx(scores, abs=1e-6)
    (best, _) = model.rank("fox", ["dog", "a fox"])
    assert best.index == int(scores[1] > scores[0])
