"""Builds the wheel that satisfies packages which require the distribution ``fastembed``.

python -m fastembed.stand_in FOLDER

writes fastembed-0.9.1+onnxembed-py3-none-any.whl there, and prints its path.

The wheel has no modules: it has the name, and requires ``onnxembed-fastembed``, which has them.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import zipfile
from collections.abc import Sequence
from pathlib import Path

from onnxembed.adapters.fastembed_folder import OURS, STAND_IN_VERSION

_NAME = "fastembed"
_INFO = f"{_NAME}-{STAND_IN_VERSION}.dist-info"
_FILES = {
    f"{_INFO}/METADATA": (
        "Metadata-Version: 2.1\n"
        f"Name: {_NAME}\n"
        f"Version: {STAND_IN_VERSION}\n"
        f"Summary: Stands in for fastembed: its modules are those of {OURS}\n"
        "License: Apache-2.0\n"
        "Requires-Python: >=3.11\n"
        f"Requires-Dist: {OURS}\n"
    ),
    f"{_INFO}/WHEEL": "Wheel-Version: 1.0\nGenerator: onnxembed-fastembed\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
}
# The first moment that a zip file can name, so that every build gives the same bytes.
_EPOCH = (1980, 1, 1, 0, 0, 0)


def build(folder: str | Path) -> Path:
    """Write the wheel; equal calls write equal bytes.

    Args:
        folder: Where to; made if it is not there.

    Returns:
        The wheel's path.
    """
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    record = [f"{name},sha256={_digest(text)},{len(text.encode())}" for name, text in _FILES.items()]
    listed = "\n".join([*record, f"{_INFO}/RECORD,,", ""])
    wheel = place / f"{_NAME}-{STAND_IN_VERSION}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in {**_FILES, f"{_INFO}/RECORD": listed}.items():
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), text)
    return wheel


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


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
