"""Small dense models of every kind, written once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fixtures.dense_models import variant, write_variant

FolderOf = Callable[[str], Path]


@pytest.fixture(scope="session")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> FolderOf:
    """The folder of a variant, written on first use; not to be changed."""
    root = tmp_path_factory.mktemp("variants")
    written: dict[str, Path] = {}

    def folder(name: str) -> Path:
        if name not in written:
            written[name] = write_variant(root / name, variant(name))
        return written[name]

    return folder
