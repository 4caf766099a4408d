"""Builds the wheel that satisfies packages which require the distribution ``fastembed``.

python -m fastembed.stand_in FOLDER

writes fastembed-0.9.1+onnxembed-py3-none-any.whl there, and prints its path.

The wheel has no modules: it has the name, and requires ``onnxembed-fastembed``, which has them.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from onnxembed.adapters.fastembed_folder import OURS, STAND_IN_VERSION, write_stand_in

_NAME = "fastembed"
_SUMMARY = f"Stands in for {_NAME}: its modules are those of {OURS}"


def build(folder: str | Path) -> Path:
    """Write the wheel; equal calls write equal bytes.

    Args:
        folder: Where to; made if it is not there.

    Returns:
        The wheel's path.
    """
    return write_stand_in(Path(folder), _NAME, STAND_IN_VERSION, OURS, _SUMMARY)


def main(arguments: Sequence[str] | None = None) -> None:
    """Build the wheel that the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="python -m fastembed.stand_in",
        description=f"Build the wheel {_NAME} {STAND_IN_VERSION}, for packages that require {_NAME}.",
    )
    parser.add_argument("folder", help="where the wheel is written")
    print(build(parser.parse_args(arguments).folder))


if __name__ == "__main__":
    main()
