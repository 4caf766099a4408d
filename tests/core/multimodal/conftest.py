"""Small multimodal models, each written once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.multimodal_models import Form, write_form

FormFolder = Callable[[Form], Path]


@pytest.fixture(scope="session")
def form_folder(tmp_path_factory: pytest.TempPathFactory) -> FormFolder:
    """The folder of a form, written on first use; not to be changed."""
    root = tmp_path_factory.mktemp("multimodal")
    written: dict[Form, Path] = {}

    def folder(form: Form) -> Path:
        if form not in written:
            written[form] = write_form(root / str(len(written)), form)
        return written[form]

    return folder


@pytest.fixture(scope="session")
def golden() -> dict[str, Any]:
    """What the peers give; made by ``tests/golden/make_multimodal.py``."""
    path = Path(__file__).parents[2] / "golden" / "multimodal.json"
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content
