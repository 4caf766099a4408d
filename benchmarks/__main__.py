"""All benchmarks, one after another, and the pages made from them: ``python -m benchmarks``, or ``make bench``.

``--quick`` tries every part on few inputs, in under 3 minutes on a quiet machine, and changes no page; its figures are
rough. ``--all`` adds what takes longer than the rest together, and Ray. ``--cranfield FOLDER`` adds the quality of
search on that collection. With ``--all --cranfield FOLDER`` every part runs that a page is made from. A part that fails
is named at the end, and the others run all the same.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.dense import RESULTS, say
from benchmarks.machine import describe_machine, slug

ROOT = Path(__file__).parents[1]


def parts(machine: str, *, quick: bool, everything: bool, cranfield: str | None) -> Iterator[list[str]]:
    """The command lines of all parts, after the interpreter.

    Args:
        machine: Name of the machine in the names of results.
        quick: Whether few inputs are enough.
        everything: Whether what takes long is measured, too.
        cranfield: Folder of the collection.

    Yields:
        One part after another.
    """
    few = ["--quick"] if quick else []
    collection = ["--cranfield", cranfield] if cranfield and not quick else []
    yield ["-m", "benchmarks.suite", *few]
    yield ["-m", "benchmarks.products", *few]
    yield ["-m", "benchmarks.memory", *few, *(["--count", "100000"] if everything and not quick else [])]
    for kind in ("sparse", "rerank", "image"):
        yield ["-m", "benchmarks.compare", kind, *few]
    yield ["-m", "benchmarks.precision", *few, *collection]
    if quick:
        return
    yield ["-m", "benchmarks.maxsim"]
    yield ["-m", "benchmarks.serverless"]
    if cranfield:
        yield ["-m", "benchmarks.cranfield", cranfield]
        yield ["-m", "benchmarks.hybrid", cranfield]
    if everything:
        yield ["-m", "benchmarks.dense"]
        yield ["-m", "benchmarks.sizes", "--json", str(RESULTS / f"sizes-{machine}.json")]
        yield ["-m", "benchmarks.actors"]
        yield ["-m", "benchmarks.installed", "--json", str(RESULTS / "installed.json")]
    yield ["scripts/precision_table.py"]
    yield ["scripts/numbers_page.py"]


def interpreter(part: Sequence[str]) -> str:
    """That of the peers for sizes on disk, since it has all that is compared; this one for the rest."""
    if "benchmarks.installed" not in part:
        return sys.executable
    return os.environ.get("ONNXEMBED_PEERS") or str(Path(sys.prefix, "peers", "bin", "python"))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few inputs: whether all works, and roughly how fast")
    parser.add_argument("--all", action="store_true", help="what takes long, too: 100,000 texts, all sizes of models")
    parser.add_argument("--cranfield", metavar="FOLDER", help="folder of the Cranfield collection")
    chosen = parser.parse_args(arguments)
    failed, began = [], time.monotonic()
    machine = slug(describe_machine()["cpu"])
    cranfield = str(Path(chosen.cranfield).resolve()) if chosen.cranfield else None
    for part in parts(machine, quick=chosen.quick, everything=chosen.all, cranfield=cranfield):
        named, started = " ".join(part), time.monotonic()
        say(f"== {named}")
        path = os.pathsep.join([str(ROOT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]).rstrip(os.pathsep)
        done = subprocess.run([interpreter(part), *part], cwd=ROOT, env={**os.environ, "PYTHONPATH": path})
        if done.returncode:
            failed.append(named)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        say(
            f"== {named}: {time.monotonic() - started:.0f} s; in all {time.monotonic() - began:.0f} s, and "
            f"{used.ru_utime + used.ru_stime:.0f} s of processors"
        )
    for named in failed:
        say(f"failed: {named}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
