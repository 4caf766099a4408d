"""The pages on machines without a network and on functions: their Python lines run, their commands are understood."""

from __future__ import annotations

import re
import shlex
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from onnxembed.cli.main import COMMANDS
from tests.walls.copies import ROOT

PAGES = ("offline", "serverless")


def page(name: str) -> str:
    return (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", PAGES)
def test_python_lines_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    values: dict[str, Any] = {}
    for block in re.findall(r"^```python\n(.*?)```", page(name), re.M | re.S):
        exec(compile(block, name, "exec"), values)  # the lines of a page of this project
    if name == "serverless":
        answer = values["handler"]({"texts": ["What is a serverless function?"]}, None)
        assert answer["vectors"] == [values["vector"].tolist()]
        assert answer["fingerprint"] == values["model"].fingerprint


@pytest.mark.parametrize("name", [*PAGES, "command-line"])
def test_commands_are_understood(name: str) -> None:
    import argparse

    lines = [line for block in re.findall(r"^```sh\n(.*?)```", page(name), re.M | re.S) for line in block.splitlines()]
    ours = [shlex.split(line)[1:] for line in lines if line.startswith("onnxembed ")]
    for command, *words in ours:
        assert command in COMMANDS
        parser = argparse.ArgumentParser()
        import_module(f"onnxembed.cli.{command}").add_arguments(parser)
        parser.parse_intermixed_args(words)
