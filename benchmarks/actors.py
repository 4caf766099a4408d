"""What the second of two Ray actors gains: ``python -m benchmarks.actors``, in one run with plain matrix products.

Ray Data embeds mixed texts by `EmbedBatches`, a thread for each actor, first with one actor and then with two; between
them one and two processes of plain products run, since two processors may share more than they show. Starting actors
and loading models does not count: each actor embeds a few texts before it takes its first batch, and texts a second are
those of the time in which all actors were at work. Ray lives in an environment of its own, as in ``make test-full``:
the interpreter named by ``ONNXEMBED_CLUSTER``, or ``cluster/bin/python`` inside the present environment.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.dense import RESULTS, say
from benchmarks.machine import describe_machine, slug
from benchmarks.products import SECONDS, products_of
from benchmarks.sides_worker import NAME, WARM_UP
from benchmarks.texts import as_written
from benchmarks.waiting import Worker

ROOT = Path(__file__).parents[1]
ACTORS = (1, 2)
BATCH = 32
AIM = 0.9
OPENING_SECONDS = 120


def rate_together(batches: Iterable[tuple[str, float, float, int]]) -> float:
    """Texts a second while all actors were at work.

    Args:
        batches: Of each the actor, its begin and end in seconds, and the number of its texts.

    Returns:
        Texts between the latest first begin and the earliest last end of an actor; of a batch that lies on a border its
        share.
    """
    listed = list(batches)
    actors = {actor for actor, *_ in listed}
    begin = max(min(start for who, start, _, _ in listed if who == actor) for actor in actors)
    end = min(max(stop for who, _, stop, _ in listed if who == actor) for actor in actors)
    shares = (count * max(0.0, min(stop, end) - max(start, begin)) / (stop - start) for _, start, stop, count in listed)
    return sum(shares) / (end - begin)


def embed_on(actors: int, texts: Sequence[str]) -> dict[str, float]:
    """Embed texts on so many actors of the Ray that runs; in Ray's environment."""
    import pyarrow as pa
    import ray.data

    from onnxembed.batches import EmbedBatches

    class Timed(EmbedBatches):
        """Says who embedded each batch, and when."""

        def __init__(self, model: str, ready: str) -> None:
            super().__init__(model)
            super().__call__(pa.table({"text": [WARM_UP]}))  # opens the model
            self._ready = Path(ready)
            (self._ready / str(os.getpid())).touch()

        def __call__(self, batch: Any) -> Any:
            while len(list(self._ready.iterdir())) < actors:  # Ray hands out work as soon as one actor is there
                time.sleep(0.02)
            began = time.monotonic()
            rows = super().__call__(batch)
            row = {"actor": str(os.getpid()), "began": began, "ended": time.monotonic(), "count": rows.num_rows}
            return pa.Table.from_pylist([row])

    blocks = -(-len(texts) // BATCH)
    rows = ray.data.from_items([{"text": text} for text in texts], override_num_blocks=blocks).materialize()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as ready:
        found = rows.map_batches(
            Timed,
            fn_constructor_kwargs={"model": NAME, "ready": ready},
            batch_format="pyarrow",
            batch_size=None,
            compute=ray.data.ActorPoolStrategy(size=actors),
            num_cpus=0.9,  # Ray's own tasks need a little of the two processors
        ).take_all()
    batches = [(row["actor"], row["began"], row["ended"], row["count"]) for row in found]
    used = len({actor for actor, *_ in batches})
    if used != actors or sum(count for *_, count in batches) != len(texts):
        raise RuntimeError(f"{used} of {actors} actors embedded {sum(count for *_, count in batches)} of {len(texts)}")
    return {"a_second": rate_together(batches), "whole_seconds": time.monotonic() - began}


def serve() -> None:
    """Wait for commands, one line of JSON each, as ``benchmarks.waiting`` writes them."""
    import ray.data

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what Ray says goes to standard error
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=300_000_000)
    ray.data.DataContext.get_current().enable_progress_bars = False
    print(json.dumps({"ray": ray.__version__}), file=answers, flush=True)
    for line in sys.stdin:
        command = json.loads(line)
        print(json.dumps(embed_on(command["actors"], command["texts"])), file=answers, flush=True)
    ray.shutdown()


def measure(worker: Worker, texts: Sequence[str], rounds: int, seconds: float) -> dict[str, Any]:
    """Take turns: one actor, two, one process of plain products, two.

    Args:
        worker: Has Ray.
        texts: What is embedded.
        rounds: Turns.
        seconds: How long plain products run each time.

    Returns:
        Texts and rows a second of one and of two, and the gains, of the best of the turns.
    """
    processors = sorted(os.sched_getaffinity(0))[:2] if hasattr(os, "sched_getaffinity") else [0, 1]
    found: dict[str, list[float]] = {"one actor": [], "two actors": [], "one process": [], "two processes": []}
    whole: list[float] = []
    for _ in range(rounds):
        for count, name in zip(ACTORS, ("one actor", "two actors"), strict=True):
            got = worker.ask("embed", texts, actors=count)
            found[name].append(got["a_second"])
            whole.append(got["whole_seconds"])
        found["one process"].append(products_of(processors[:1], seconds))
        found["two processes"].append(products_of(processors, seconds))
        say("  ".join(f"{name} {values[-1]:.1f}/s" for name, values in found.items()))
    gain = max(found["two actors"]) / max(found["one actor"])
    plain = max(found["two processes"]) / max(found["one process"])
    return {
        "a_second": found,
        "whole_seconds": whole,
        "gain": round(gain, 3),
        "plain_gain": round(plain, 3),
        "ratio": round(gain / plain, 3),
    }


def test_of_cluster(cluster: str, environment: Mapping[str, str]) -> dict[str, Any]:
    """What ``tests.full.ray_cluster`` finds: rows of which none is lost or doubled, and 200 questions at once."""
    from tests.fixtures.small_models import write_bert_folder

    with tempfile.TemporaryDirectory(prefix="onnxembed-bench-") as scratch:
        model, folder = Path(scratch, "model"), Path(scratch, "found")
        model.mkdir()
        folder.mkdir()
        write_bert_folder(model, seed=7)
        command = [cluster, "-m", "tests.full.ray_cluster", str(model), str(folder)]
        subprocess.run(command, cwd=ROOT, env=dict(environment), check=True, stdout=subprocess.DEVNULL)
        found: dict[str, Any] = json.loads((folder / "ray.json").read_text(encoding="utf-8"))
    served = {name: value for name, value in found["serve"].items() if name != "bad"}
    return {"load": found["load"], "actors": found["actors"], "serve": served}  # the rest quotes errors, with paths


def tested(results: Mapping[str, Any]) -> str:
    """A paragraph of what the test of the cluster has found."""
    found = results["tested"]
    actors, served = found["actors"], found["serve"]
    near = max(actors["furthest"], served["furthest"])
    text = f"""
        Measured with `tests/full/ray_cluster.py` on one machine of two cores, load {found["load"]:.1f} before, with a
        model of two layers and 32 numbers: 200,000 rows on two actors, one of which is killed on the way:
        {actors["once"]:,} rows came once, {actors["seconds"]:.0f} s. 200 questions at once to one replica with half a
        processor: 50th percentile {served["p50"]:.2f} s, 95th {served["p95"]:.2f} s, batches of up to
        {served["seen"]["largest"]} ({served["seen"]["batches"]} for {served["seen"]["questions"]} questions). Vectors
        are {f"within {near:.0e} of" if near else "equal to"} local ones."""
    return textwrap.fill(" ".join(text.split()), 132, break_long_words=False, break_on_hyphens=False) + "\n"


def to_markdown(results: Mapping[str, Any]) -> str:
    """Draw the table."""
    best = {name: max(values) for name, values in results["a_second"].items()}
    machine, gains = results["machine"], (results["gain"], results["plain_gain"])
    lines = [
        f"{results['texts']} mixed texts in fp32, a thread for each actor, Ray {results['ray']}, two processors of "
        f"{machine['cpu']}, load {machine['load_average_before']} before the run; starting actors and loading models "
        "does not count (`python -m benchmarks.actors`):",
        "",
        "| | one | two | gain | aim |",
        "|---|--:|--:|--:|--:|",
        f"| actors of Ray Data, texts/s | {best['one actor']:.1f} | {best['two actors']:.1f} | {gains[0]:.2f} |  |",
        f"| processes of plain matrix products, rows/s | {best['one process']:,.0f} | {best['two processes']:,.0f} | "
        f"{gains[1]:.2f} |  |",
        f"| the one gain by the other |  |  | {results['ratio']:.2f} | >= {AIM} |",
    ]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.actors", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few texts: whether it works")
    parser.add_argument("--output", type=Path, help="file for all measurements, as JSON")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.serve:
        serve()
        return
    cluster = os.environ.get("ONNXEMBED_CLUSTER") or str(Path(sys.prefix, "cluster", "bin", "python"))
    if not Path(cluster).is_file():
        parser.error(f"{cluster} is not there; `make test-full` sets it up, ONNXEMBED_CLUSTER names another one")
    path = os.pathsep.join([str(ROOT / "core"), str(ROOT)])
    environment = {**os.environ, "PYTHONPATH": path, "HF_HUB_OFFLINE": "1", "RAY_USAGE_STATS_ENABLED": "0"}
    texts = as_written(192 if chosen.quick else 768)
    rounds, seconds = (1, 0.3) if chosen.quick else (3, SECONDS)
    results: dict[str, Any] = {"machine": describe_machine(), "texts": len(texts)}
    command = [cluster, "-m", "benchmarks.actors", "--serve"]
    worker = Worker("Ray", command, {}, environment, OPENING_SECONDS)
    try:
        results["ray"] = worker.opened["ray"]
        results |= measure(worker, texts, rounds, seconds)
    finally:
        worker.close()
    if not chosen.quick:
        say("the test of the cluster: 200,000 rows with a killed actor, 200 questions at once")
        results["tested"] = test_of_cluster(cluster, environment)
    results["machine"]["load_average_after"] = round(os.getloadavg()[0], 2)
    print(to_markdown(results))
    output = chosen.output
    if output is None and not chosen.quick:
        output = RESULTS / f"actors-{slug(results['machine']['cpu'])}.json"
    if output is not None:
        output.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
