"""Compare two checkouts of this project, one thread each, in turns: no change may make a row slower.

``python -m benchmarks.before_after FOLDER`` runs every row in processes of its own, once with the packages of the given
checkout and once with those of this one, and prints the medians and their ratio, by the clock and by processor time.
With ``--most RATIO`` it fails when a row takes longer than that, both by the clock and by processor time.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.dense import make_shared_model
from benchmarks.texts import WORKLOADS, queries

HERE = Path(__file__).parents[1]

WORKER = """
import json, sys, time
row, model, texts, size = sys.argv[1], sys.argv[2] or None, sys.argv[3], int(sys.argv[4])
wall, cpu = time.perf_counter(), time.process_time()
from onnxembed import TextEmbedding
if row != "import":
    opened = TextEmbedding("sentence-transformers/all-MiniLM-L6-v2", threads=1, specific_model_path=model)
    next(iter(opened.embed(["This sentence is embedded before anything is timed."])))
if row in ("bulk", "query"):
    given = json.load(open(texts, encoding="utf-8"))
    if row == "query":
        for text in given:
            next(opened.query_embed(text))
    wall, cpu = time.perf_counter(), time.process_time()
    if row == "bulk":
        list(opened.embed(given, **({"batch_size": size} if size else {})))
    else:
        for text in given * 5:
            next(opened.query_embed(text))
print(json.dumps([time.perf_counter() - wall, time.process_time() - cpu]))
"""


def measured(checkout: Path, row: str, model: str, texts: Path, size: int) -> tuple[float, float]:
    """Run one row once; seconds by the clock and of processor time.

    Bytecode is kept beside ``texts``, as an installed package has it: without, each start would compile all sources.
    """
    path = os.pathsep.join(str(checkout / part) for part in ("core", "integrations/langchain"))
    command = [sys.executable, "-P", "-c", WORKER, row, model, str(texts), str(size)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment |= {"PYTHONPATH": path, "PYTHONPYCACHEPREFIX": str(texts.with_name("bytecode"))}
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True, env=environment)
    wall, cpu = json.loads(done.stdout)
    return wall, cpu


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure all rows and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("before", type=Path, help="a checkout of the project")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--texts", type=int, default=100)
    parser.add_argument("--most", type=float, help="the largest ratio of any row; beyond it the command fails")
    chosen = parser.parse_args(arguments)
    slower: list[str] = []
    with tempfile.TemporaryDirectory() as scratch:
        model, bulk, asked = Path(scratch, "model"), Path(scratch, "texts.json"), Path(scratch, "queries.json")
        make_shared_model(model)
        bulk.write_text(json.dumps(WORKLOADS["as-written"](chosen.texts)), encoding="utf-8")
        asked.write_text(json.dumps(queries(20)), encoding="utf-8")
        rows = [
            ("import", "", bulk, 0),
            ("cold", str(model), bulk, 0),
            ("cold", "", bulk, 0),
            ("query", str(model), asked, 0),
        ]
        rows += [("bulk", str(model), bulk, size) for size in (0, 32, 16, 8, 4, 1)] + [("bulk", "", bulk, 0)]
        for row in rows:
            taken: dict[Path, list[tuple[float, float]]] = {chosen.before: [], HERE: []}
            for checkout in taken:  # bytecode, digests, kept graphs
                measured(checkout, *row)
            for turn in range(chosen.rounds):
                for checkout in (chosen.before, HERE) if turn % 2 else (HERE, chosen.before):
                    taken[checkout].append(measured(checkout, *row))
            label = f"{row[0]} {'onnx' if row[1] else 'weights'} {row[3] or ''}".strip()
            ratios = []
            for clock, name in enumerate(("clock", "processor")):
                before, after = (statistics.median(run[clock] for run in taken[side]) for side in (chosen.before, HERE))
                print(f"{label:18} {name:10} {before:8.4f} s {after:8.4f} s  {after / before:6.3f}", flush=True)
                ratios.append(after / before)
            if chosen.most and min(ratios) > chosen.most:
                slower.append(f"{label}: {min(ratios):.3f}")
    if slower:
        print(f"slower than {chosen.most} times the time before: {', '.join(slower)}", file=sys.stderr)
    return 1 if slower else 0


if __name__ == "__main__":
    sys.exit(main())
