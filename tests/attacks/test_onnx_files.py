from __future__ import annotations

import time
from pathlib import Path

import pytest

from onnxembed.errors import ModelError
from onnxembed.formats.onnx_graph import inspect_graph
from tests.attacks.onnx_files import DAMAGED, LOCATIONS, OPERATORS, PLACES, Attack


@pytest.mark.parametrize("attack", [*OPERATORS, *LOCATIONS, *PLACES, *DAMAGED], ids=lambda attack: attack.name)
def test_refused(tmp_path: Path, attack: Attack) -> None:
    (tmp_path.parent / "secret").touch()
    path = tmp_path / attack.file_name
    path.write_bytes(attack.content())
    for name, content in attack.beside:
        (tmp_path / name).write_bytes(content)

    started = time.perf_counter()
    with pytest.raises(ModelError, match=attack.told) as caught:
        inspect_graph(path)
    assert time.perf_counter() - started < 20
    assert type(caught.value) is attack.error
    assert str(path) in str(caught.value)


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="No such file"):
        inspect_graph(tmp_path / "model.onnx")
    with pytest.raises(ModelError, match="cannot be read"):
        inspect_graph(tmp_path)
