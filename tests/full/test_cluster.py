"""`EmbedBatches` on a local Ray and a local Spark, `Questions` on Ray Serve, and models in mteb."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.small_models import write_bert_folder

pytestmark = [pytest.mark.full, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]


def run(script: str, variable: str, environment: str, folder: Path, *arguments: Path) -> dict[str, Any]:
    """Run a script by the Python of another environment, and read what it wrote."""
    python = Path(os.environ.get(variable) or ROOT / ".venv" / environment / "bin" / "python")
    if not python.is_file():
        pytest.skip(f"{python} is not there; `make test-full` sets it up, {variable} names another one")
    done = subprocess.run(
        [python, "-m", f"tests.full.{script}", *arguments, folder],
        cwd=ROOT,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT / "core"), str(ROOT)]),
            "HF_HUB_OFFLINE": "1",
            "RAY_USAGE_STATS_ENABLED": "0",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    (written,) = folder.glob("*.json")
    found: dict[str, Any] = json.loads(written.read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    write_bert_folder(folder, seed=7)
    return folder


@pytest.fixture(scope="module")
def on_ray(model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return run("ray_cluster", "ONNXEMBED_CLUSTER", "cluster", tmp_path_factory.mktemp("ray"), model)


@pytest.fixture(scope="module")
def on_spark(model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    if shutil.which("java") is None and not os.environ.get("JAVA_HOME"):
        pytest.skip("Spark needs Java, which is not here: install a runtime such as openjdk-17-jre-headless")
    return run("spark_cluster", "ONNXEMBED_CLUSTER", "cluster", tmp_path_factory.mktemp("spark"), model)


def test_a_killed_actor_loses_and_doubles_nothing(on_ray: dict[str, Any]) -> None:
    actors = on_ray["actors"]
    assert actors["killed"]
    assert actors["once"] == 200_000
    assert actors["furthest"] < 1e-6


def test_bad_rows_on_ray(on_ray: dict[str, Any]) -> None:
    why = "row 0 of the batch (column='text', id='b'): is None; expected str"
    assert on_ray["bad"]["kept"] == [["a", False, None], ["b", True, why]]
    assert why in on_ray["bad"]["raised"]


def test_questions_that_come_at_once_share_batches(on_ray: dict[str, Any]) -> None:
    served = on_ray["serve"]
    assert served["furthest"] < 1e-6
    assert served["http"] < 1e-6
    assert served["seen"]["largest"] > 1
    assert served["seen"]["batches"] < served["seen"]["questions"] == 203
    assert served["p95"] < 30  # seconds, on any machine; `docs/cluster.md` has what was measured


def test_a_bad_question_is_an_error_for_its_caller(on_ray: dict[str, Any]) -> None:
    assert "text 0 is None; expected str" in on_ray["serve"]["bad"]


def test_spark_gives_the_local_vectors(on_spark: dict[str, Any]) -> None:
    assert on_spark["schema"] == "struct<id:bigint,text:string,vector:array<float>>"
    for way in ("in_arrow", "in_pandas", "udf", "late_in_arrow", "late_in_pandas"):
        assert on_spark[way] < 1e-6, way
    assert on_spark["sparse"]
    assert on_spark["sparse_udf"]


def test_bad_rows_on_spark(on_spark: dict[str, Any]) -> None:
    (good, bad) = on_spark["skipped"]
    assert good == [1, False, None]
    assert bad[:2] == [2, True]
    assert "id=2): is None; expected str" in bad[2]
    assert on_spark["skipped_udf"] == [[1, False], [2, True]]
    assert "id=2): is None; expected str" in on_spark["raised"]


def test_mteb_runs_tasks_with_our_models(tmp_path: Path) -> None:
    found = run("mteb_tasks", "ONNXEMBED_MTEB", "mteb", tmp_path)
    assert found["protocols"] == [True, True, True]
    assert found["names"] == ["sentence-transformers/all-MiniLM-L6-v2", "local/cross"]
    assert found["retrieval"] == found["late"] == 1
    assert found["sts"] == pytest.approx(found["expected_sts"], abs=1e-5)
    assert found["cross"] == pytest.approx(found["expected_cross"], abs=1e-5)
