"""The benchmarks' texts and reports, without timing anything."""

from __future__ import annotations

import ast
import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import (
    cancelled,
    compare,
    comparisons,
    cranfield,
    dense,
    hybrid,
    machine,
    models,
    precision,
    report,
    tasks,
    texts,
    worker,
)
from scripts import precision_table


def make_results() -> dict[str, Any]:
    def runs(seconds: list[float], mebibytes: int) -> dict[str, Any]:
        return {"seconds": seconds, "peak_bytes": [mebibytes * 2**20] * len(seconds)}

    versions = {"python": "3.13.0", "onnxruntime": "1.31.1"}
    return {
        "model": "some/model",
        "max_length": 512,
        "machine": {
            "cpu": "Some CPU",
            "cpu_flags": ["avx2"],
            "cores": 2,
            "memory_gib": 8.0,
            "load_average_before": 0.1,
        },
        "versions": {"onnxembed": {**versions, "onnxembed": "1.0"}, "fastembed": {**versions, "fastembed": "0.9.1"}},
        "texts": {
            "workload": "as-written",
            "count": 100,
            "tokens": {"smallest": 12, "largest": 512, "median": 40.0, "mean": 68.6},
        },
        "bulk": {
            "onnxembed": {
                "default": runs([2.0, 9.0, 1.0], 200),
                "32": runs([2.0], 150),
                "16": runs([4.0], 150),
                "1": runs([4.0], 150),
            },
            "onnxembed from safetensors": {"default": runs([2.5], 200)},
            "fastembed": {
                "default": runs([40.0], 4000),
                "32": runs([16.0], 900),
                "16": runs([12.0], 900),
                "1": runs([6.0], 300),
            },
        },
        "largest_difference": 2e-7,
        "import_seconds": {"onnxembed": [0.05, 0.06, 0.3], "fastembed": [0.4, 0.5, 0.6]},
        "cold_seconds": {"onnxembed": [0.5], "onnxembed from safetensors": [0.4], "fastembed": [1.0]},
        "query_seconds": {"onnxembed": [0.002, 0.002, 0.004], "fastembed": [0.002, 0.002, 0.002]},
    }


@pytest.mark.parametrize("workload", texts.WORKLOADS)
def test_texts_are_the_same_each_time_and_of_mixed_lengths(workload: str) -> None:
    made = texts.WORKLOADS[workload](200)
    assert made == texts.WORKLOADS[workload](200)
    assert len(made) == 200
    words = sorted(len(text.split()) for text in made)
    assert words[0] >= 9
    assert words[-1] <= 400
    assert words[20] * 4 < words[180], "the shortest tenth and the longest tenth should be far apart"


def test_log_uniform_texts_are_longer_than_written_ones() -> None:
    written, uniform = (sum(len(text.split()) for text in make(200)) for make in texts.WORKLOADS.values())
    assert uniform > written


def test_queries_are_different_and_of_ten_words() -> None:
    asked = texts.queries(330)
    assert len(set(asked)) == 330
    assert {len(query.split()) for query in asked} == {10}


def test_throughput_is_compared_call_by_call_and_with_the_best() -> None:
    default, by_32, by_16, best = report.throughput_figures(make_results())
    assert (default.result, default.ours, default.theirs, default.met) == (20.0, "50.0/s", "2.5/s", True)
    assert (by_32.result, by_32.met) == (8.0, True)
    assert (by_16.result, by_16.met) == (3.0, False)
    assert (best.result, best.target, best.met) == (3.0, 1.5, True)
    assert "batch_size=1)" in best.label


def test_other_figures_hold_ratios_of_medians_against_upper_bounds() -> None:
    figures = {figure.label: figure for figure in report.other_figures(make_results())}
    assert figures["peak memory, at their defaults"].result == pytest.approx(0.05)
    assert figures["import of TextEmbedding"].result == 0.06
    assert figures["first vector of a new process, safetensors"].result == pytest.approx(0.4)
    assert figures["query of 10 words, median"].met
    assert not figures["query of 10 words, 95th percentile"].met
    assert figures["largest difference of any number"].row()[3:] == ["2.0e-07", "<= 1.0e-05", "met"]


def test_report_tells_figures_targets_and_circumstances() -> None:
    results = make_results()
    text = report.to_markdown(results, [*report.throughput_figures(results), *report.other_figures(results)])
    assert "| texts/s, both at their defaults | 50.0/s | 2.5/s | 20x | >= 15x | met |" in text
    assert "| texts/s, both at batch_size=16 | 25.0/s | 8.3/s | 3x | >= 5x | MISSED |" in text
    assert "| import of TextEmbedding | 60.00 ms | 0.50 s | 0.06 s | <= 0.12 s | met |" in text
    assert "| default | 2.00 s | 2.50 s | 40.00 s | 20.0x | 3/1 | 200 / 4,000 MiB |" in text
    assert "| 1 | 4.00 s |  | 6.00 s | 1.5x | 1/1 | 150 / 300 MiB |" in text
    assert "12 to 512 tokens, median 40, mean 69" in text


@pytest.mark.parametrize(
    ("fraction", "expected"), [(0.0, 1), (0.5, 2), (0.51, 3), (0.95, 4), (1.0, 4)], ids=lambda value: str(value)
)
def test_percentile(fraction: float, expected: int) -> None:
    assert report.percentile([4, 1, 3, 2], fraction) == expected


@pytest.mark.parametrize(
    ("cpu", "name"),
    [
        ("Intel(R) Xeon(R) Platinum 8488C CPU @ 2.40GHz", "intel-xeon-platinum-8488c"),
        ("AMD EPYC 9R14", "amd-epyc-9r14"),
        ("", "unknown"),
    ],
)
def test_processor_names_become_file_names(cpu: str, name: str) -> None:
    assert machine.slug(cpu) == name


def test_machine_facts_name_no_place() -> None:
    facts = machine.describe_machine()
    assert facts["cores"] >= 1
    assert "/" not in json.dumps({key: value for key, value in facts.items() if key != "cpu"})


def test_worker_needs_nothing_but_the_library_it_measures() -> None:
    tree = ast.parse(Path(worker.__file__).read_text(encoding="utf-8"))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    roots = {name.partition(".")[0] for name in imported} - {"__future__"}
    assert roots - sys.stdlib_module_names == {"numpy"}


def test_a_worker_answers_in_json() -> None:
    ours = dense.Contender("onnxembed", "onnxembed", sys.executable, None)
    result = ours.measure("import")
    assert 0 <= result["bare_seconds"] <= result["seconds"]


def test_a_missing_interpreter_is_told_before_anything_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ONNXEMBED_PEERS", "nowhere/python")
    with pytest.raises(SystemExit):
        dense.main([])
    assert "nowhere/python is not there" in capsys.readouterr().err


def test_bulk_runs_stop_when_enough_was_measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seconds = {"ours": 1.0, "weights": 1.0, "theirs": 30.0}
    told: list[tuple[str, str]] = []

    def measure(self: dense.Contender, measurement: str, *options: str) -> dict[str, Any]:
        told.append((self.name, options[-1]))
        np.save(tmp_path / "vectors.npy", np.full((2, 3), 0.5 if self.name == "theirs" else 0.25, dtype=np.float32))
        return {"seconds": seconds[self.name], "peak_bytes": 7}

    monkeypatch.setattr(dense.Contender, "measure", measure)
    contenders = [dense.Contender(name, "x", "python", None if name == "weights" else "folder") for name in seconds]
    effort = dense.Effort(2, (0, 8), rounds=2, enough_seconds=20, imports=1, colds=1, query_pairs=1, query_turns=1)
    bulk, difference = dense.measure_bulk(contenders, effort, tmp_path / "texts.json", tmp_path)
    assert bulk["ours"] == {size: {"seconds": [1.0, 1.0], "peak_bytes": [7, 7]} for size in ("default", "8")}
    assert bulk["theirs"]["default"]["seconds"] == [30.0]
    assert list(bulk["weights"]) == ["default"]
    assert difference == 0.25
    assert told.count(("theirs", "8")) == 1


def test_comparisons_name_tasks_and_models_that_exist() -> None:
    for comparison in (one for kind in comparisons.COMPARISONS.values() for one in kind):
        assert comparison.task in tasks.OPENERS
        assert comparison.model in {None, "bm25", "bm42", *models.MAKERS}


def test_results_that_differ_are_noticed(tmp_path: Path) -> None:
    for library, values in (("onnxembed", [[1.0, 2.0]]), ("fastembed", [[1.0, 2.5]])):
        np.savez(tmp_path / f"{library}.npz", values=values, lengths=[1])
    assert compare.largest_difference(tmp_path) == 0.5
    np.savez(tmp_path / "fastembed.npz", values=[[1.0, 2.0], [3.0, 4.0]], lengths=[2])
    assert compare.largest_difference(tmp_path) == float("inf")


def test_a_table_of_comparisons() -> None:
    figure = {"speed_ratio": 9.876, "least_speed": 8, "memory_ratio": 0.04, "most_memory": 0.05}
    drawn = compare.table({"figures": {"BM25": {**figure, "largest_difference": 0}}})
    assert "| BM25 | 9.88 times | >= 8 | 0.040 | <= 0.050 | 0.0e+00 |" in drawn


def test_ndcg_by_hand() -> None:
    relevant = {"1": {"a": 1, "b": 1, "c": 0}}
    assert cranfield.ndcg({"1": ["a", "b"]}, relevant) == 1.0
    assert cranfield.ndcg({"1": ["c", "a"]}, relevant) == pytest.approx((1 / math.log2(3)) / (1 + 1 / math.log2(3)))
    assert cranfield.ndcg({"1": []}, relevant) == 0.0


def test_a_table_of_hybrid_searches() -> None:
    drawn = hybrid.table({"LangChain": {"dense": 0.4, "only here": 0.1}, "LlamaIndex": {"dense": 0.41234}})
    assert drawn.splitlines() == [
        "| nDCG@10 | LangChain | LlamaIndex |",
        "|---|---|---|",
        "| dense | 0.4000 | 0.4123 |",
        "| only here | 0.1000 |  |",
    ]


def test_a_collection_is_read(tmp_path: Path) -> None:
    (tmp_path / "cran.all.1400.xml").write_text(
        "<doc>\n<docno>1</docno>\n<title>a\nwing .</title>\n<text>a\nwing .\n  lift</text>\n</doc>\n"
        "<doc>\n<docno>2</docno>\n<title>only a title</title>\n<text></text>\n</doc>"
    )
    (tmp_path / "cran.qry.xml").write_text("<top>\n<num> 7</num>\n<title>\nwhat\nlifts .\n</title>\n</top>")
    (tmp_path / "cranqrel.trec.txt").write_text("1 0 2 1\n1 0 1 0\n")
    collection = cranfield.read_collection(tmp_path)
    assert collection.documents == {"1": "a wing . lift", "2": "only a title"}
    assert collection.questions == {"1": "what lifts"}
    assert collection.relevant == {"1": {"2": 1, "1": 0}}


def test_cancelled_requests_are_measured() -> None:
    from onnxembed import TextEmbedding
    from tests.fixtures.text_models import small_model

    found = cancelled.measure(TextEmbedding(small_model(), token_budget=64), rounds=1, count=50)
    assert found["ratio"] > 0


def precision_results() -> dict[str, Any]:
    def side(seconds: float) -> dict[str, Any]:
        return {"seconds": [9.0, seconds, seconds, seconds], "processor_seconds": [seconds, seconds, 7.0, seconds]}

    threads = {
        "opened": {
            name: {"resident_before": BEFORE, "resident_after": {"all": after, "own": after // 2}}
            for name, after in GROWN.items()
        },
        "bulk": {"fp32": side(4.0), "int8": side(2.0), "fastembed": side(5.0)},
        "queries": {"fp32": side(0.004), "int8": side(0.002), "fastembed": side(0.005)},
    }
    results: dict[str, Any] = {
        "machine": {
            "cpu": "Some CPU",
            "cpu_flags": ["avx2", "avx512_vnni", "other"],
            "cores": 2,
            "load_average_before": 0.5,
        },
        "onnxruntime": "1.31.1",
        "texts": 100,
        "workload": "as-written",
        "threads": {"1": threads, "2": threads},
        "closeness": {
            "cosine_mean": 0.99921,
            "cosine_least": 0.998,
            "alone": 1e-8,
            "reversed": 3e-8,
            "batch_size=3": 2e-8,
        },
        "file_bytes": {"fp32": 90 * 10**6, "int8": 24 * 10**6},
        "cranfield": {"fp32": {"dense": 0.4}, "int8": {"dense": 0.399}},
    }
    return results | {"figures": precision.figures(results)}


BEFORE = {"all": 10**6, "own": 5 * 10**5}
GROWN = {"fp32": 61 * 10**6, "int8": 31 * 10**6, "fastembed": 101 * 10**6}


def test_a_table_of_precisions() -> None:
    drawn = precision.to_markdown(precision_results())
    assert "Some CPU (avx2, avx512_vnni), 2 processors, load 0.5 before" in drawn
    for row in (
        "| texts/s, one thread | 25.0 | 50.0 | 20.0 | 2.00x | 2.50x |",
        "| query of 7 tokens, ms, 2 threads | 4.00 | 2.00 | 5.00 | 0.50x | 0.40x |",
        "| file, MB | 90.0 | 24.0 |  | 0.27x |  |",
        "| resident memory grown by the graph and a text, MB | 60.0 | 30.0 |  | 0.50x |  |",
        "| of it not mapped from files, MB | 30.0 | 15.0 |  | 0.50x |  |",
        "| cosine to fp32, mean |  | 0.9992 |  |  |  |",
        "| changed by neighbours, order or batch, at most |  | 3e-08 |  |  |  |",
        "| nDCG@10, Cranfield, dense | 0.4000 | 0.3990 |  | -0.0010 |  |",
    ):
        assert row in drawn


def test_the_pages_say_what_was_measured() -> None:
    assert precision_table.main(["--check"]) == 0
    said = precision_table.sentence(precision_results())
    assert "runs 2.0 times as fast with one thread" in said
    assert max(map(len, said.splitlines())) <= 132


def test_rankings_are_joined_by_their_places() -> None:
    assert precision.fused([1, 2, 3], [3, 1]) == [1, 3, 2]
