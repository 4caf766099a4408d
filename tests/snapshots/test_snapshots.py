"""What users can see is what was agreed on: a difference is a line of a snapshot, to be reviewed."""

import difflib

import pytest

from tests.snapshots.loaded import HEAVY
from tests.snapshots.snapshots import FOLDER, IMPORT_TIME, REWRITE, SNAPSHOTS, kept, made


@pytest.mark.parametrize("name", SNAPSHOTS)
def test_nothing_changed_unseen(name: str) -> None:
    before, after = kept(name).splitlines(), made(name).splitlines()
    difference = "\n".join(difflib.unified_diff(before, after, f"{name}, agreed on", f"{name}, now", lineterm="", n=2))
    if difference:
        pytest.fail(f"{difference}\n\nIf this is meant, write the snapshots again: {REWRITE}", pytrace=False)


def test_every_file_has_its_maker() -> None:
    assert {path.name for path in FOLDER.glob("*.txt")} == {*SNAPSHOTS, IMPORT_TIME}


def test_the_class_for_texts_comes_without_the_heavy_packages() -> None:
    sections = kept("loaded.txt").split("== ")
    (section,) = (one for one in sections if one.startswith("from onnxembed import TextEmbedding\n"))
    packages = section.splitlines()[1].removeprefix("packages of others: ").split(", ")
    assert not {*packages} & {*HEAVY}


def test_import_time_is_told() -> None:
    assert "from onnxembed import TextEmbedding: " in kept(IMPORT_TIME)
