"""Finds the command, runs it, and turns errors into one line and an exit status."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Protocol, cast

from onnxembed import __version__
from onnxembed.errors import OnnxEmbedError

COMMANDS = {
    "cache": "list, verify and prune what is kept",
    "calibrate": "measure each precision on your own texts, and recommend one",
    "doctor": "examine the installation, and say what mends it",
    "download": "fill a cache, for machines without a network",
    "export": "write a model into one folder that starts anywhere",
    "embed": "embed the rows of a file, and go on where an interrupted run stopped",
    "inspect": "say what a model is, and which file says so",
    "models": "list the known models",
    "rerank": "sort the rows of a file by how well they answer a query",
    "search": "find the rows of an embedded file that answer a question",
    "wheel": "keep onnxruntime away where onnxruntime-gpu or another build is installed",
}
"""What each command does. Its module, of the same name in this package, is imported when the command is called."""

FAILED = 1
INTERRUPTED = 130
"""What shells say of a program that Ctrl-C has ended."""


class Command(Protocol):
    """What the module of a command has; its docstring is the command's description."""

    __doc__: str | None

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the command's arguments."""

    def run(self, arguments: argparse.Namespace) -> int | None:
        """Do the work and print the result; a number is the exit status, ``None`` is 0."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: The words after the program's name; those of the process by default.

    Returns:
        The exit status: 0; 1 after an error of this package or of the system, whose message is on standard error; 3
        when rows were passed over; 130 after an interrupt.

    Raises:
        SystemExit: With status 2 and the usage on standard error, if the words are not understood; with 0 after the
            help or the version.
    """
    _prepare_streams()
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] not in COMMANDS:
        _front_door().parse_args(words)
    status: int | None = 0
    parser = argparse.ArgumentParser(prog=f"onnxembed {words[0]}")
    try:
        command = cast("Command", import_module(f"onnxembed.cli.{words[0]}"))
        parser.description = command.__doc__
        command.add_arguments(parser)
        status = command.run(parser.parse_intermixed_args(words[1:]))  # a file may follow options
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has what it wanted, as in ``onnxembed models | head``
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OnnxEmbedError, OSError) as error:
        from onnxembed.cli.flags import in_flags

        print(f"onnxembed {words[0]}: {in_flags(' '.join(str(error).split()), parser)}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print(f"onnxembed {words[0]}: interrupted", file=sys.stderr)
        return INTERRUPTED
    return status or 0


def _prepare_streams() -> None:
    """Have output in UTF-8 wherever it goes, and open one that was closed, as by ``>&-``, onto nothing."""
    if sys.stdout is None:
        sys.stdout = io.TextIOWrapper(io.FileIO(os.devnull, "w"), "utf-8")
    if sys.stderr is None:
        sys.stderr = io.TextIOWrapper(io.FileIO(os.devnull, "w"), "utf-8")
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A name that is no Unicode is written as JSON escapes it.
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")


def _front_door() -> argparse.ArgumentParser:
    """What answers ``--help`` and ``--version``, and refuses everything but a command."""
    parser = argparse.ArgumentParser(prog="onnxembed", description="Embeddings on ONNX Runtime, without PyTorch.")
    parser.add_argument("--version", action="version", version=f"onnxembed {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="command", required=True)
    for name, purpose in COMMANDS.items():
        commands.add_parser(name, help=purpose)
    return parser
