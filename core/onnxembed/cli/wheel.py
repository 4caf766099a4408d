"""Build the empty wheel that keeps onnxruntime away where another build of it, such as onnxruntime-gpu, is installed.

pip install the wheel that is named: then no later installation brings the build for processors back.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from onnxembed.care.stand_in import runtime_stand_in


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare where the wheel goes."""
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="where the wheel is written")


def run(arguments: argparse.Namespace) -> None:
    """Print the wheel's path."""
    print(runtime_stand_in(arguments.folder))
