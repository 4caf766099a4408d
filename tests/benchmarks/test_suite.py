"""The suite of all libraries: its sides, its tables and the pages made from them, without timing anything."""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import __main__ as everything
from benchmarks import (
    actors,
    before_after,
    memory,
    pages,
    plots,
    products,
    serverless,
    sides,
    sides_worker,
    sizes,
    suite,
    suite_report,
    turns,
)
from benchmarks.waiting import Worker
from scripts import numbers_page


def suite_results() -> dict[str, Any]:
    names = ("onnxembed", "rival", "rival, batch_size=1")

    def runs(*seconds: float) -> dict[str, Any]:
        return {name: {"seconds": [took], "peak_bytes": 10**8} for name, took in zip(names, seconds, strict=True)}

    return {
        "model": "some/model",
        "max_length": 512,
        "threads": 2,
        "order": [*names, "absent"],
        "machine": {"cpu": "Some CPU", "cpu_flags": ["avx2"], "cores": 2, "load_average_before": 0.1},
        "texts": {"mixed": 100, "short": 100, "full": 10, "giant": 100},
        "bulk": {"mixed": runs(1, 10, 2), "short": runs(1, 2, 4), "full": runs(2, 1, 1), "giant": runs(1, 50, 2)},
        "query_seconds": {"onnxembed": [0.001, 0.002, 0.009], "rival": [0.003]},
        "import_seconds": {"onnxembed": [0.05], "rival": [0.5]},
        "cold_seconds": {"onnxembed": [0.25], "rival": [1.0]},
        "least_cosine": {"onnxembed": 1.0, "rival": 0.99},
        "one_processor": {"onnxembed": {"seconds": [2.0]}},
        "versions": {"onnxembed": "1.0", "rival": "2.0"},
        "missing": {"absent": "not installed"},
    }


def test_tables_show_who_was_fastest_and_what_is_missing() -> None:
    drawn = suite_report.to_markdown(suite_results())
    for row in (
        "| onnxembed | **100** | **100** | 5 | **100** |",
        "| rival | 10 | 50 | **10** | 2 |",
        "| absent | not installed | | | |",
        "| onnxembed | **2.0** | 9.0 | 9.0 | **100** | **0.05** | **0.25** | 1.00000 |",
        "| rival, batch_size=1 |  |  |  | **100** |  |  |  |",
        "| onnxembed | **50.0** | **100.0** | **2.00** |",
    ):
        assert row in drawn
    assert "Mixed: rival, batch_size=1 comes next, ours in fp32 has 2.00 times its speed" in drawn
    assert "512 tokens: rival is faster, ours in fp32 has 0.50 times its speed" in drawn
    assert "Less than ours in fp32 has p95: rival (3.0, ours 9.0); p99: rival (3.0, ours 9.0)." in drawn
    assert "fewer" not in drawn


def test_it_is_told_where_no_other_library_has_less() -> None:
    results = suite_results() | {"query_seconds": {"onnxembed": [0.001], "rival": [0.003]}}
    assert "No other library has less than ours in fp32." in suite_report.to_markdown(results)


def test_tables_say_which_sides_embedded_fewer_texts() -> None:
    results = suite_results() | {"side_seconds": 6}
    results["bulk"]["mixed"]["rival"]["texts"] = 30
    assert "| rival | 3 | 50 |" in suite_report.to_markdown(results)
    assert "those that are too slow for all texts embed fewer, a mix of the same kind: rival 30 of mixed." in (
        suite_report.to_markdown(results)
    )
    results["bulk"] = {}
    assert "| texts/s | mixed (100) |" in suite_report.to_markdown(results)


def test_the_short_table_of_the_readme() -> None:
    assert "| onnxembed | **100** | **100** | **2.0** | **100** | **0.25** |" in suite_report.short_table(
        suite_results()
    )


def test_what_is_aimed_at_is_told() -> None:
    results = suite_results()
    assert suite_report.aim(results) == ""
    results["bulk"]["mixed"]["sentence-transformers, PyTorch"] = {"seconds": [2.5]}
    assert suite_report.aim(results).endswith("2.50 times as long as ours in fp32 (aim: 1.9).")


def test_mixes_are_what_their_names_say() -> None:
    assert [len(text.split()) for text in suite.full(2)] == [420, 420]
    lengths = sorted(len(text.split()) for text in suite.giant(9))
    assert lengths == [12] * 8 + [420]
    assert set(suite.MIXES) == set(suite.FULL.texts) == set(suite.QUICK.texts) == set(suite_report.MIX_NAMES)
    assert next(iter(suite.MIXES)) == "mixed"


class Fake:
    """A worker that takes so many seconds, and ends where it is told to embed more than once."""

    def __init__(self, name: str, seconds: float, *, dies: bool = False) -> None:
        self.name = name
        self.asked = 0
        self._seconds, self._dies = seconds, dies

    def ask(self, do: str, texts: Sequence[str], **further: Any) -> dict[str, Any]:
        self.asked += 1
        if self._dies and self.asked > 1:
            raise RuntimeError("ended")
        return {"seconds": [self._seconds], "peak_bytes": 7}


def test_slow_sides_embed_fewer_texts_and_ended_ones_are_named() -> None:
    workers: Any = [Fake("quick", 0.01), Fake("slow", 2.0), Fake("dying", 0.01, dies=True)]
    missing: dict[str, str] = {}
    effort = replace(suite.FULL, side_seconds=6)
    asked = turns.Turns(workers, lambda count: ["a text"] * count, effort, missing, turns.Clock(1))
    found = turns.bulk(asked, 60)
    assert {name: len(runs["seconds"]) for name, runs in found.items()} == {"quick": 3, "slow": 1}
    assert {name: runs["texts"] for name, runs in found.items()} == {"quick": 60, "slow": 30}
    assert missing == {"dying": "ended while it embedded: ended"}
    assert found["quick"]["peak_bytes"] == 7


@pytest.mark.parametrize(
    ("probe_seconds", "expected"),
    [(0.1, (60, 3)), (0.3, (60, 2)), (0.6, (60, 1)), (1.2, (30, 1)), (60.0, (6, 1)), (0.0, (60, 3))],
)
def test_texts_and_turns_follow_from_the_first_few(probe_seconds: float, expected: tuple[int, int]) -> None:
    assert turns.affordable(probe_seconds, probe=6, count=60, rounds=3, budget=6) == expected


def test_nothing_is_asked_once_the_time_is_up() -> None:
    worker = Fake("quick", 0.01)
    asked = turns.Turns([worker], lambda count: ["a"] * count, suite.FULL, {}, turns.Clock(0))  # type: ignore[list-item]
    assert turns.bulk(asked, 60) == {}
    assert worker.asked == 0


def test_a_process_that_takes_too_long_is_ended() -> None:
    program = "import sys\nprint('{}', flush=True)\nsys.stdin.readline()\nsys.stdin.readline()"
    worker = Worker("slow", [sys.executable, "-c", program], {}, limit=60)
    with pytest.raises(RuntimeError, match="took more than 0 s"):
        worker.ask("embed", ["a"], limit=0.01)
    worker.close()


class Rested:
    """What is measured of each part, without any library."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[str] = []
        monkeypatch.setattr(suite, "make_folder", lambda _: None)
        monkeypatch.setattr(suite, "opened", self.opened)
        monkeypatch.setattr(suite, "bulk", self.bulk)
        monkeypatch.setattr(suite, "latency", lambda *_: self.seen("queries", {"onnxembed": [0.01]}))
        monkeypatch.setattr(suite, "starts", lambda *_: self.seen("starts", {"cold_seconds": {"onnxembed": [0.5]}}))

    def seen(self, part: str, found: Any) -> Any:
        self.asked.append(part)
        return found

    @contextmanager
    def opened(self, *_: Any) -> Iterator[list[Any]]:
        yield []

    def bulk(self, *given: Any) -> Any:
        return self.seen("bulk", {"onnxembed": {"texts": 3, "seconds": [1.0], "peak_bytes": 7}})


def test_what_was_measured_is_kept_after_each_part_and_not_measured_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rested, kept = Rested(monkeypatch), []
    results = suite.run(suite.FULL, tmp_path, {}, lambda found: kept.append(list(found["done"])))
    assert results["done"] == ["mixed", "short", "full", "giant", "queries", "one processor", "starts"]
    assert [len(done) for done in kept] == [1, 2, 3, 4, 5, 6, 7]
    assert results["skipped"] == []
    rested.asked.clear()
    earlier = {"done": ["mixed", "short", "full", "giant", "queries"], "bulk": results["bulk"]}
    again = suite.run(suite.FULL, tmp_path, earlier, lambda _: None)
    assert rested.asked == ["bulk", "starts"]
    assert again["bulk"] == results["bulk"]


def test_parts_without_time_are_named_and_the_rest_is_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Rested(monkeypatch)
    output = tmp_path / "suite.json"
    assert suite.main(["--minutes", "1e-9", "--output", str(output)]) == 1
    assert "no time for: mixed, short, full, giant, queries, one processor, starts" in capsys.readouterr().err
    assert not output.exists()
    assert suite.main(["--resume", "--output", str(output)]) == 0
    assert json.loads(output.read_text(encoding="utf-8"))["skipped"] == []
    assert [file.name for file in tmp_path.iterdir()] == ["suite.json"]


def test_the_worker_imports_no_more_than_the_standard_library() -> None:
    tree = ast.parse(Path(sides_worker.__file__).read_text(encoding="utf-8"))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in imported} - {"__future__"} <= sys.stdlib_module_names


def test_a_side_is_found_beside_the_peers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("peers", "peers-onnx"):
        (tmp_path / name / "bin").mkdir(parents=True)
        (tmp_path / name / "bin" / "python").touch()
    monkeypatch.setenv("ONNXEMBED_PEERS", str(tmp_path / "peers" / "bin" / "python"))
    found = {side.name: side.python() for side in sides.SIDES}
    assert found["onnxembed"] == Path(sys.executable)
    assert found["fastembed"] == tmp_path / "peers" / "bin" / "python"
    assert found["sentence-transformers, ONNX"] == tmp_path / "peers-onnx" / "bin" / "python"
    assert found["infinity"] is None
    assert {side.library for side in sides.SIDES} == set(sides_worker.OPENERS)


def test_closeness_is_to_pytorch_where_it_is(tmp_path: Path) -> None:
    np.save(tmp_path / "onnxembed.npy", np.array([[2.0, 0.0]]))
    np.save(tmp_path / "sentence-transformers, PyTorch.npy", np.array([[3.0, 4.0]]))
    assert turns.closeness(tmp_path)["onnxembed"] == 0.6
    (tmp_path / "sentence-transformers, PyTorch.npy").unlink()
    assert turns.closeness(tmp_path) == {"onnxembed": 1.0}
    (tmp_path / "onnxembed.npy").unlink()
    assert turns.closeness(tmp_path) == {}


def test_the_stream_of_texts_is_mixed() -> None:
    lengths = [len(text.split()) for text in memory.mixed_stream(2_000)]
    assert min(lengths) == 4
    assert max(lengths) == 400
    assert sorted(lengths)[1_000] == pytest.approx(8, abs=1)
    assert list(memory.mixed_stream(3)) == list(memory.mixed_stream(3))


def test_memory_that_grows_shows() -> None:
    assert memory.growth([10, 20, 20, 20]) == 1.0
    assert memory.growth([10, 10, 15, 20]) == 2.0
    stream = {"count": 100, "seconds": 2.0, "peak_bytes": 2e8, "resident_bytes": [1, 1], "afterwards_bytes": 1e8}
    drawn = memory.to_markdown({"streams": {"int8": stream}, "side_by_side": {"ratio": 0.9}})
    assert "| int8 | 100 | 50 | 200 | <= 300 | 1.00 | 100 |" in drawn
    assert "side by side take 0.90 of the time" in drawn


def test_products_are_those_of_the_layers() -> None:
    run = products.open_products(1)
    outputs = run(64)
    assert [output.shape for output in outputs] == [(64, 3 * 384)] * 6 + [(64, 384)]
    drawn = products.to_markdown(
        {
            "products": {"tokens": 1000, "rows": 64, "seconds": {"fp32": [2.0, 1.5]}, "ratio": 1.2},
            "workers": {"gain": 1.8, "plain_gain": 1.9, "ratio": 0.947},
        }
    )
    assert "(1,000 tokens, 1.50 s; 64 rows at once) | 1.20 | <= 1.22 |" in drawn
    assert "| the one by the other | 0.95 | >= 0.9 |" in drawn


def test_all_parts_are_modules_or_scripts_that_exist() -> None:
    whole = list(everything.parts("cpu", quick=False, everything=True, cranfield="folder"))
    quick = list(everything.parts("cpu", quick=True, everything=True, cranfield="folder"))
    assert all("--quick" in part for part in quick)
    assert ["-m", "benchmarks.memory", "--count", "100000"] in whole
    assert ["-m", "benchmarks.cranfield", "folder"] in whole
    assert whole[-1] == ["scripts/numbers_page.py"]
    for part in whole:
        file = part[0] if part[0] != "-m" else f"{part[1].replace('.', '/')}.py"
        assert (everything.ROOT / file).is_file()


def test_slower_rows_fail(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def measured(checkout: Path, row: str, *_: Any) -> tuple[float, float]:
        slow = checkout != tmp_path
        return (2.0 if slow else 1.0, 1.2 if slow and row == "query" else 1.0)

    monkeypatch.setattr(before_after, "measured", measured)
    monkeypatch.setattr(before_after, "make_shared_model", lambda _: None)
    arguments = [str(tmp_path), "--rounds", "1", "--texts", "1"]
    assert before_after.main([*arguments, "--most", "1.15"]) == 1
    assert capsys.readouterr().err == "slower than 1.15 times the time before: query onnx: 1.200\n"
    assert before_after.main([*arguments, "--most", "1.25"]) == 0
    assert before_after.main(arguments) == 0


def test_the_pages_say_what_was_measured() -> None:
    assert numbers_page.main(["--check"]) == 0


def test_parts_of_pages_are_made_from_measurements(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numbers_page, "RESULTS", tmp_path)
    part = numbers_page.Part("page", "sizes", ("sizes",), sizes.to_markdown)
    page = "a\n<!-- sizes:begin -->\nold\n<!-- sizes:end -->\nb\n"
    assert numbers_page.fresh_page(page, part) == page
    row = {"layers": 6, "hidden": 384, "models": "some", "precision": "int8"}
    results = {"rows": [row | {"texts_per_second": 9.5, "query_milliseconds": 1.5}]}
    (tmp_path / "sizes-amd-epyc.json").write_text(json.dumps(results), encoding="utf-8")
    fresh = numbers_page.fresh_page(page, part)
    assert fresh is not None
    assert "| 6 x 384 | some | int8 | 9.5 | 1.5 |\n<!-- sizes:end -->\nb\n" in fresh
    assert "old" not in fresh
    assert numbers_page.fresh_page("no marks", part) is None


def test_the_readme_and_the_page_of_numbers() -> None:
    def runs(seconds: float, *alone: float) -> list[dict[str, Any]]:
        return [{"seconds": seconds, "peak_bytes": 10**8, "single_seconds": list(alone)}]

    sides = {"onnxembed": runs(1.0, 0.01, 0.02), "fastembed": runs(4.0, 0.005, 0.008)}
    figure = {"items": 10, "speed_ratio": 10.2, "memory_ratio": 0.02, "runs": sides}
    kind = {"figures": {"SPLADE, default batch": figure}}
    said = pages.readme(suite_results(), kind)
    assert "Other kinds, times fastembed's speed: SPLADE, default batch 10.2." in said
    slow = {"figures": {"CLIP": {"speed_ratio": 0.9, "memory_ratio": 1.2}}}
    drawn = pages.kinds(kind, slow)
    assert "| CLIP | 0.9 times | 1.20 | fastembed |" in drawn
    assert "| SPLADE, default batch, onnxembed | **10.0** | 10.0 | 20.0 | 20.0 | **100** |" in drawn
    assert "| SPLADE, default batch, fastembed | 2.5 | **5.0** | **8.0** | **8.0** | **100** |" in drawn
    assert "CLIP, onnxembed" not in drawn
    assert "figures/latency.png" in pages.dense(suite_results())


def test_plots_name_their_measurements(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numbers_page, "RESULTS", tmp_path)
    monkeypatch.setattr(numbers_page, "FIGURES", tmp_path / "figures")
    assert not numbers_page.plots_differ()
    source = tmp_path / "suite-amd-epyc.json"
    source.write_text(json.dumps(suite_results()), encoding="utf-8")
    assert numbers_page.plots_differ()
    plots.draw(suite_results(), plots.digest(source), tmp_path / "figures")
    assert not numbers_page.plots_differ()
    drawn = {file.stem: file.read_bytes() for file in (tmp_path / "figures").iterdir()}
    assert set(drawn) == set(plots.NAMES)
    assert max(map(len, drawn.values())) < 40_000
    plots.draw(suite_results(), plots.digest(source), tmp_path / "figures")
    assert drawn == {file.stem: file.read_bytes() for file in (tmp_path / "figures").iterdir()}
    source.write_text("{}", encoding="utf-8")
    assert numbers_page.plots_differ()


def test_a_single_figure_of_a_sentence_follows_from_the_measurements(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numbers_page, "RESULTS", tmp_path)
    figure = numbers_page.Figure("page", r"takes (\d+) MB", "installed", numbers_page.megabytes)
    assert numbers_page.fresh_figure("It takes 1 MB.", figure) == "It takes 1 MB."
    (tmp_path / "installed.json").write_text(json.dumps({"rows": [{"megabytes": 192.9}]}), encoding="utf-8")
    assert numbers_page.fresh_figure("It takes 1 MB.", figure) == "It takes 193 MB."
    assert numbers_page.fresh_figure("It takes none.", figure) is None


def test_what_a_billion_chunks_take() -> None:
    machine = {"cpu": "Some CPU", "cpu_flags": ["avx2"], "load_average_before": 0.1}
    precision = {"figures": {"1": {"texts_per_second": {"fp32": 100.0, "int8": 200.0}}}, "machine": machine}
    drawn = pages.billion(precision, {"texts": {"tokens": {"mean": 64.0}}})
    assert "| core hours, 64 tokens each | 2,778 | 1,389 |" in drawn
    assert "| hours on 64 cores | 43.4 | 21.7 |" in drawn
    assert "| core hours, 256 tokens each, at least | 11,111 | 5,556 |" in drawn


def test_the_first_answer_of_a_function() -> None:
    def runs(*clock: float) -> list[dict[str, float]]:
        return [{"clock": one, "processor": one / 2, "peak": 10**8} for one in clock]

    versions = {"onnxembed": {"python": "3.13.0", "onnxruntime": "1.32.0"}, "fastembed": {"fastembed": "0.9.1"}}
    machine = {"cpu": "Some CPU", "cores": 2, "load_average_before": 0.1, "load_average_after": 0.2}
    results = {"times": 3, "machine": machine, "versions": versions, "folder_bytes": {"ours": 2e7, "fastembed": 9e7}}
    results |= {"limited": {"ours": {"peak": 10**8, "address": 7 * 10**8}}}
    drawn = serverless.to_markdown(results | {"starts": {"ours": runs(0.1, 0.2, 0.3), "fastembed": runs(0.5)}})
    assert "of 1024 MB: 100 MB resident at most and 700 MB of address space (ours)." in drawn
    assert "| ours | **200** | **0.40** | **100** | **100** | **0.40** | **100** | **20.0** |" in drawn
    assert "| fastembed | 500 | 1.00 | 500 | 250 | 1.00 | **100** | 90.0 |" in drawn


def test_texts_of_actors_count_while_all_are_at_work() -> None:
    batches = [("a", 0.0, 1.0, 10), ("a", 1.0, 3.0, 20), ("b", 1.0, 2.0, 10), ("b", 2.0, 4.0, 20)]
    assert actors.rate_together(batches[:2]) == 10.0
    assert actors.rate_together(batches) == (20 + 10 + 10) / 2


def test_what_the_test_of_the_cluster_found() -> None:
    rows = {"once": 200_000, "furthest": 0.0, "killed": True, "seconds": 9.6}
    served = {"furthest": 0.0, "p50": 0.24, "p95": 0.34, "seen": {"batches": 17, "largest": 28, "questions": 203}}
    said = actors.tested({"tested": {"load": 3.0, "actors": rows, "serve": served}}).replace("\n", " ")
    assert "200,000 rows came once, 10 s." in said
    assert "95th 0.34 s, batches of up to 28 (17 for 203 questions). Vectors are equal to local ones." in said
    near = served | {"furthest": 2e-7}
    assert "are within 2e-07 of" in actors.tested({"tested": {"load": 3.0, "actors": rows, "serve": near}})


class Engine:
    """A Ray with so many texts a second for so many actors."""

    def ask(self, do: str, texts: Sequence[str], *, actors: int) -> dict[str, float]:
        return {"a_second": 50.0 if actors == 1 else 90.0, "whole_seconds": 1.0}


def test_two_actors_beside_two_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actors, "products_of", lambda processors, _: 1000.0 * len(processors) ** 0.9)
    engine: Any = Engine()
    found = actors.measure(engine, ["a"], 2, 0.1)
    assert (found["gain"], found["plain_gain"], found["ratio"]) == (1.8, 1.866, 0.965)
    machine = {"cpu": "Some CPU", "load_average_before": 0.1}
    drawn = actors.to_markdown({**found, "machine": machine, "texts": 1, "ray": "2.0"})
    assert "| actors of Ray Data, texts/s | 50.0 | 90.0 | 1.80 |  |" in drawn
    assert "| the one gain by the other |  |  | 0.96 | >= 0.9 |" in drawn
