"""`onnxembed` and `python -m onnxembed`: help, version, what is not understood, errors."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

from onnxembed import __version__
from onnxembed.cli import models
from onnxembed.cli.main import COMMANDS, main
from onnxembed.errors import InputError, ModelNotFoundError, OnnxEmbedError
from tests.fixtures.text_models import small_model

ROOT = Path(__file__).parents[2]
HEAVY = {"numpy", "onnxruntime", "tokenizers", "huggingface_hub", "PIL", "filelock"}


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "onnxembed", *words], capture_output=True, text=True, check=False)


def loaded_by(*words: str) -> set[str]:
    """Modules that a process has loaded when a command ends."""
    code = (
        "import sys, json, contextlib, io\n"
        "from onnxembed.cli.main import main\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
        f"    main({list(words)!r})\n"
        "print(json.dumps(list(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


def status_of(*words: str) -> object:
    with pytest.raises(SystemExit) as caught:
        main(words)
    return caught.value.code


def test_help_lists_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of("--help") == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    assert shown.out.startswith("usage: onnxembed [-h] [--version] command ...\n")
    assert "    models    list the known models\n" in shown.out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of("--version") == 0
    assert capsys.readouterr().out == f"onnxembed {__version__}\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "onnxembed: error: the following arguments are required: command"),
        (("model",), "onnxembed: error: argument command: invalid choice: 'model'"),
        (("--frobnicate",), "onnxembed: error: the following arguments are required: command"),
        (("models", "--kind", "video"), "onnxembed models: error: argument --kind: invalid choice: 'video'"),
        (("models", "--dim", "many"), "onnxembed models: error: argument --dim: invalid int value: 'many'"),
    ],
    ids=" ".join,
)
def test_what_is_not_understood(words: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(*words) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("usage: onnxembed")
    assert shown.err.splitlines()[-1].startswith(message)


@pytest.mark.parametrize("error", [InputError("no\n  such thing"), ModelNotFoundError("no such thing")])
def test_errors_are_one_line(
    error: OnnxEmbedError, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: object) -> None:
        raise error

    monkeypatch.setattr(models, "run", fail)
    assert main(["models"]) == 1
    assert capsys.readouterr() == ("", "onnxembed models: no such thing\n")


def test_other_errors_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(models, "run", fail)
    with pytest.raises(ZeroDivisionError):
        main(["models"])


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (OSError(28, "No space left on device"), 1, "onnxembed models: [Errno 28] No space left on device\n"),
        (KeyboardInterrupt(), 130, "onnxembed models: interrupted\n"),
    ],
    ids=["disk", "interrupt"],
)
def test_what_the_system_says(
    error: BaseException, status: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: object) -> None:
        raise error

    monkeypatch.setattr(models, "run", fail)
    assert main(["models"]) == status
    assert capsys.readouterr() == ("", said)


def test_a_command_chooses_its_status(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "run", lambda _: 3)
    assert main(["models"]) == 3


def test_as_a_module() -> None:
    done = run("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"onnxembed {__version__}\n", "")
    assert run("model").returncode == 2


def test_as_a_program() -> None:
    project = tomllib.loads((ROOT / "core" / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    module, name = project["scripts"]["onnxembed"].split(":")
    assert getattr(import_module(module), name) is main


def test_a_reader_that_goes_early_is_no_error() -> None:
    command = [sys.executable, "-m", "onnxembed", "models", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        errors = process.stderr.read()
    assert (process.returncode, errors) == (0, b"")


@pytest.mark.parametrize("words", [("--help",), ("--version",), ("models", "--help")], ids=" ".join)
def test_help_loads_no_kind_of_model(words: tuple[str, ...]) -> None:
    loaded = loaded_by(*words)
    assert not loaded & HEAVY
    commands = {name for name in loaded if name.startswith("onnxembed.cli.")} - {"onnxembed.cli.main"}
    assert commands == ({f"onnxembed.cli.{words[0]}"} if words[0] in COMMANDS else set())
    assert "onnxembed.text.model" not in loaded


def test_listing_models_loads_nothing_heavy() -> None:
    assert not loaded_by("models") & HEAVY


def test_every_command_has_a_module_and_every_module_is_a_command() -> None:
    files = (ROOT / "core" / "onnxembed" / "cli").glob("*.py")
    there = {path.stem for path in files if "def add_arguments(" in path.read_text(encoding="utf-8")}
    assert there == {"main", *COMMANDS}  # what commands share declares no arguments of its own


@pytest.mark.parametrize(
    ("line", "status", "told"),
    [
        ("models bge-m3 >&-", 0, b""),
        ("models bge-m3 2>&-", 0, b""),
        ("embed MODEL <&-", 1, b"standard input is closed; pass a file"),
    ],
)
def test_streams_that_are_closed(line: str, status: int, told: bytes) -> None:
    words = line.replace("MODEL", shlex.quote(small_model()))
    command = f"{shlex.quote(sys.executable)} -m onnxembed {words}"
    done = subprocess.run(command, shell=True, capture_output=True, check=False)
    assert (done.returncode, b"Traceback" in done.stderr) == (status, False)
    assert told in done.stderr


def test_output_is_utf_8_wherever_it_goes() -> None:
    text = subprocess.run(
        [sys.executable, "-m", "onnxembed", "embed", small_model()],
        input="zwölf".encode(),
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=True,
    )
    assert json.loads(text.stdout.decode("utf-8"))["text"] == "zwölf"
