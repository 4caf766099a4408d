"""Each fault of an installation or a machine is found, and the command that mends it is named; secrets stay hidden."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from onnxembed.care import machine
from onnxembed.care.doctor import examine
from onnxembed.care.finding import Finding
from onnxembed.care.machine import examine_processor, examine_runtime
from onnxembed.care.packages import examine_packages
from onnxembed.care.surroundings import examine_cache, examine_network
from onnxembed.runtime import cuda
from onnxembed.runtime.cuda import Driver

DRIVER = Driver(found=True, text="NVIDIA driver 580.65 was found")
NO_DRIVER = Driver(found=False, text="no NVIDIA driver nor a device was found here")
GPU_LIBRARIES = 'pip install "onnxruntime-gpu[cuda,cudnn]"'


def problems(found: Any) -> list[Finding]:
    return [finding for finding in found if finding.problem]


def test_this_machine_is_well(tmp_path: Path) -> None:
    found = examine(tmp_path / "cache")
    assert problems(found) == []
    assert [finding.area for finding in found] == sorted(
        (finding.area for finding in found),
        key=("packages", "runtime", "device", "processor", "cache", "network").index,
    )
    assert {finding.name for finding in found} >= {"onnxembed", "onnxruntime", "providers", "CUDA", "usable", "hub"}
    assert not (tmp_path / "cache").exists()


def distribution(site: Path, name: str, version: str, *requires: str, files: str = "") -> None:
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    (info / "METADATA").write_text("\n".join([*lines, *(f"Requires-Dist: {one}" for one in requires)]))
    (info / "RECORD").write_text(files)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of packages that is searched first."""
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site"), *sys.path])
    (tmp_path / "site").mkdir()
    return tmp_path / "site"


def test_requirements_that_are_not_met(site: Path) -> None:
    distribution(
        site,
        "langchain-onnxembed",
        "0.1.0",
        "numpy>=99",
        "absent-package>=2",
        "other>=1; python_version < '3'",
        'filelock>=99; extra == "locks"',
        'absent-optional>=1; extra == "more"',
        "onnxruntime>=99 ; extra == 'x'",
    )
    found = {one.name: (one.problem, one.mend) for one in problems(examine_packages())}
    assert found["numpy"] == ("langchain-onnxembed needs numpy>=99", 'pip install "numpy>=99"')
    assert found["absent-package"][0] == "langchain-onnxembed needs absent-package>=2"
    assert found["filelock"][1] == 'pip install "filelock>=99"'
    assert set(found) == {"numpy", "absent-package", "filelock", "onnxruntime"}


@pytest.mark.parametrize(
    ("version", "specifiers", "fits"),
    [
        ("1.2.3", ">=1.2,<2", True),
        ("2.0", ">=1.2,<2", False),
        ("1.10.0", ">=1.9", True),
        ("1.2", "==1.2.0", True),
        ("1.2.4", "~=1.2.3", True),
        ("1.3", "~=1.2.3", False),
        ("1.4", "==1.*", True),
        ("1.4.1", "!=1.4.*", False),
        ("2.0rc1", ">=2", True),
        ("3.0.post1", "<=3.0", True),
        ("0.9.1+local", "==0.9.1", True),
        ("1.0", "!=1.0", False),
        ("1.0", "===1.0", True),
    ],
)
def test_versions(version: str, specifiers: str, fits: bool, site: Path) -> None:
    distribution(site, "langchain-onnxembed", "0.1.0", f"some.package[extra] ({specifiers})")
    distribution(site, "some-package", version)
    assert [one.name for one in problems(examine_packages())] == ([] if fits else ["some.package"])


def test_real_fastembed_beside_ours(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    distribution(site, "fastembed", "0.9.1")
    with monkeypatch.context() as patch:
        patch.setattr(sys, "path", [str(site)])  # ours is not there
        assert problems(examine_packages()) == []
    distribution(site, "onnxembed-fastembed", "0.1.0")
    (found,) = problems(examine_packages())
    assert "fastembed 0.9.1 and onnxembed-fastembed are installed together" in found.problem
    assert found.mend.startswith("pip uninstall -y fastembed onnxembed-fastembed")


def test_real_fastembed_that_took_files_along(site: Path) -> None:
    distribution(site, "onnxembed-fastembed", "0.1.0", files="fastembed/__init__.py,,\n")
    (found,) = problems(examine_packages())
    assert found.mend == "pip install --force-reinstall --no-deps onnxembed-fastembed"


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Finding]]:
    """Examine a machine with some builds, providers and driver."""

    def examined(
        builds: set[str], providers: tuple[str, ...], driver: Driver = NO_DRIVER, missing: str = ""
    ) -> list[Finding]:
        fake = SimpleNamespace(__version__="1.32.0", get_available_providers=lambda: list(providers), __file__=None)
        monkeypatch.setattr(machine, "installed_runtimes", lambda: builds)
        monkeypatch.setattr(machine, "import_onnxruntime", lambda: fake)
        monkeypatch.setattr(cuda, "driver", lambda: driver)
        monkeypatch.setattr(cuda, "preload", lambda _: "")
        monkeypatch.setattr(cuda, "missing_library", lambda *_: missing)
        return list(examine_runtime())

    return examined


CPU = ("CPUExecutionProvider",)
BOTH = ("CUDAExecutionProvider", "CPUExecutionProvider")


def test_two_builds(runtime: Callable[..., list[Finding]]) -> None:
    builds = {"onnxruntime", "onnxruntime-gpu"}
    (found,) = problems(runtime(builds, CPU))
    assert found.value == "onnxruntime and onnxruntime-gpu"
    assert found.mend == "pip uninstall -y onnxruntime onnxruntime-gpu && pip install onnxruntime"
    (found,) = problems(runtime(builds, CPU, DRIVER))
    assert found.mend.endswith(f"&& {GPU_LIBRARIES}")


def test_missing_cuda_libraries(runtime: Callable[..., list[Finding]]) -> None:
    missing = "libcudnn.so.9: cannot open shared object file"
    (found,) = problems(runtime({"onnxruntime-gpu"}, BOTH, DRIVER, missing))
    assert missing in found.problem
    assert "made for CUDA 13" in found.problem
    assert found.mend == GPU_LIBRARIES
    assert problems(runtime({"onnxruntime-gpu"}, BOTH, DRIVER)) == []
    assert problems(runtime({"onnxruntime-gpu"}, BOTH, NO_DRIVER, missing)) == []


def test_a_gpu_build_without_its_provider(runtime: Callable[..., list[Finding]]) -> None:
    (found,) = problems(runtime({"onnxruntime-gpu"}, CPU, DRIVER))
    assert "has no CUDAExecutionProvider" in found.problem
    assert found.mend.endswith(GPU_LIBRARIES)


def test_a_device_that_is_not_used_is_no_problem(runtime: Callable[..., list[Finding]]) -> None:
    found = runtime({"onnxruntime"}, CPU, DRIVER)
    assert problems(found) == []
    assert GPU_LIBRARIES in found[-1].note


def test_a_runtime_that_cannot_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ImportError("no module")

    monkeypatch.setattr(machine, "installed_runtimes", lambda: {"onnxruntime"})
    monkeypatch.setattr(machine, "import_onnxruntime", broken)
    (found,) = problems(examine_runtime())
    assert found.problem == "it cannot be imported (ImportError: no module)"
    assert found.mend == "pip uninstall -y onnxruntime && pip install --force-reinstall onnxruntime"
    monkeypatch.setattr(machine, "installed_runtimes", set)
    (found,) = problems(examine_runtime())
    assert (found.value, found.mend) == ("not installed", "pip install --force-reinstall onnxruntime")


@pytest.mark.parametrize(
    ("lines", "value", "noted"),
    [
        ("flags : fpu avx2 avx512f avx512_vnni", "AVX2, AVX-512, AVX-512 VNNI", False),
        ("flags : fpu avx2", "AVX2", True),
        ("Features : asimd asimddp i8mm", "NEON, dot products, 8-bit matrices", False),
    ],
)
def test_features(lines: str, value: str, noted: bool, tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text(f"processor : 0\n{lines}\n")
    features, _ = examine_processor(tmp_path / "cpuinfo")
    assert (features.value, bool(features.note)) == (value, noted)


def test_fewer_processors_than_the_machine_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "usable_cpus", lambda: 2)
    monkeypatch.setattr("os.cpu_count", lambda: 64)
    _, usable = examine_processor()
    assert (usable.value, usable.problem) == ("2 of 64", "")
    assert "control group" in usable.note


def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    (found,) = problems(examine_cache(tmp_path / "file" / "cache"))
    assert found.problem == f"{tmp_path / 'file'} is no folder"
    monkeypatch.setattr("os.access", lambda *_: False)
    (found,) = problems(examine_cache(tmp_path / "cache"))
    assert found.problem == f"{tmp_path} cannot be written by this user"
    assert "ONNXEMBED_CACHE" in found.mend


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10 << 20))
    (found,) = problems(examine_cache(tmp_path))
    assert (found.name, found.mend) == ("room", "onnxembed cache prune")


def test_which_variable_names_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONNXEMBED_CACHE", str(tmp_path))
    assert next(examine_cache()).value == f"{tmp_path} (ONNXEMBED_CACHE)"


def test_nothing_private_is_shown(tmp_path: Path) -> None:
    found = list(
        examine_network(
            {
                "HTTPS_PROXY": "http://me:secret@proxy.example:3128",
                "all_proxy": "socks5://me:secret@proxy.example:1080/?key=secret",
                "HTTP_PROXY": "me:secret@proxy.example:3128",
                "HF_TOKEN": "secret",
                "HF_HUB_OFFLINE": "1",
                "SSL_CERT_FILE": str(tmp_path / "absent.pem"),
            }
        )
    )
    assert "secret" not in repr(found)
    values = {finding.name: finding.value for finding in found}
    assert values["HTTPS_PROXY"] == "http://proxy.example:3128"
    assert values["all_proxy"] == "socks5://proxy.example:1080/"
    assert values["HTTP_PROXY"] == "proxy.example:3128"
    assert values["login"] == "HF_TOKEN is set (not shown)"
    assert [(one.name, one.mend) for one in problems(found)] == [("SSL_CERT_FILE", "unset SSL_CERT_FILE")]


def test_an_endpoint_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "me:secret@hub")
    (found,) = problems(examine_network({}))
    assert (found.value, found.mend) == ("hub", "unset HF_ENDPOINT")
