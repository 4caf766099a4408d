"""Messages of errors name the flag, where the core names the argument that it became."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from onnxembed.cli import embed, inspect
from onnxembed.cli.flags import in_flags
from onnxembed.cli.main import main
from tests.fixtures.text_models import small_model


@pytest.fixture
def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser()
    embed.add_arguments(made)
    return made


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("batch_size=0: batch_size must be >= 1", "--batch-size 0: --batch-size must be >= 1"),
        ("parallel=-1: parallel must be >= 0", "--workers -1: --workers must be >= 0"),
        ("precision='fp32': leave it out", "--precision fp32: leave it out"),
        ("cuda='cuda:7': cuda=True, cuda=False", "--device cuda:7: --device cuda, --device cpu"),
        ("because local_files_only=True forbids requests", "because --offline forbids requests"),
        ("or pass specific_model_path= a folder", "or pass --model-path a folder"),
        ("raise max_length= if", "raise --max-length if"),
        ("revision='a b' is no branch; leave revision out", "--revision 'a b' is no branch; leave --revision out"),
        ("leave model_file and variant out", "leave --model-file and --variant out"),
        # What the command has no flag for, what only looks like one, and places in the file system.
        ("pass truncate=True", "pass truncate=True"),
        ("text 0 has 9 tokens; the precision of a kind", "text 0 has 9 tokens; the precision of a kind"),
        ("/data/batch_size/max_length=3 is no folder", "/data/batch_size/max_length=3 is no folder"),
        ("'max_length' in config.json", "'max_length' in config.json"),
    ],
)
def test_the_words_of_the_command_line(message: str, expected: str, parser: argparse.ArgumentParser) -> None:
    assert in_flags(message, parser) == expected


def test_a_command_without_a_flag_keeps_the_argument() -> None:
    parser = argparse.ArgumentParser()
    inspect.add_arguments(parser)
    assert in_flags("precision='int8': kind='dense'", parser) == "precision='int8': --kind dense"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--batch-size", "0"), "--batch-size 0: --batch-size must be >= 1"),
        (("--threads", "0"), "--threads 0: --threads must be >= 1"),
        (("--workers", "-1"), "--workers -1: --workers must be >= 0"),
        (("--max-length", "0"), "--max-length 0: expected at least 1 token"),
        (("--dim", "0"), "--dim 0: --dim must be >= 1"),
        (("--device", "tpu"), "--device tpu"),
        (("--precision", "fp31"), "--precision fp31"),
        (("--variant", "q9!"), "--variant 'q9!' is the end of no graph's name"),
        (("--model-file", "x.bin"), "--model-file x.bin is neither an ONNX file nor safetensors"),
        (("--revision", "v1"), "--revision v1: MODEL is a folder"),
    ],
)
def test_a_wrong_value_is_said_by_its_flag(
    words: tuple[str, ...], expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = tmp_path / "rows.txt"
    rows.write_text("hello world\n")
    assert main(["embed", small_model(), str(rows), *words]) == 1
    shown = capsys.readouterr().err
    assert shown.replace(small_model(), "MODEL").startswith(f"onnxembed embed: {expected}"), shown
    assert len(shown.splitlines()) == 1
