"""Wheels without modules: they have a distribution's name, and require the one that has its files.

pip and uv do not know that one distribution can do what another does. A wheel of this kind tells them: it is installed
under the wanted name, so that nothing brings the other one.
"""

from __future__ import annotations

import base64
import hashlib
import zipfile
from pathlib import Path

from onnxembed.errors import ProviderError
from onnxembed.runtime.provider_packages import CPU_RUNTIME, STAND_IN_MARK, installed_runtimes, runtime_version

# The first moment that a zip file can name, so that every build gives the same bytes.
_EPOCH = (1980, 1, 1, 0, 0, 0)


def write_stand_in(folder: Path, name: str, version: str, requirement: str, summary: str) -> Path:
    """Write a wheel that is called ``name`` and requires another distribution; equal calls write equal bytes.

    Args:
        folder: Where to; made if it is not there.
        name: The distribution that it stands for.
        version: Its version, with a local part after ``+`` by which it is known.
        requirement: The distribution that has the files, with its version where that matters.
        summary: What ``pip show`` says.

    Returns:
        The wheel's path.
    """
    folder.mkdir(parents=True, exist_ok=True)
    info = f"{name}-{version}.dist-info"
    files = {
        f"{info}/METADATA": (
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nSummary: {summary}\nLicense: Apache-2.0\n"
            f"Requires-Python: >=3.11\nRequires-Dist: {requirement}\n"
        ),
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: onnxembed\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = [f"{file},sha256={_digest(text)},{len(text.encode())}" for file, text in files.items()]
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for file, text in {**files, f"{info}/RECORD": "\n".join([*record, f"{info}/RECORD,,", ""])}.items():
            archive.writestr(zipfile.ZipInfo(file, _EPOCH), text)
    return wheel


def runtime_stand_in(folder: Path) -> Path:
    """Write the wheel that keeps ``onnxruntime`` away where another build of it is installed.

    Args:
        folder: Where to; made if it is not there.

    Returns:
        The wheel's path. Installed, it meets every requirement of ``onnxruntime`` up to the version of that build.

    Raises:
        ProviderError: If no other build is installed, several are, or ``onnxruntime`` itself lies beside it.
    """
    there = installed_runtimes()
    others = sorted(there - {CPU_RUNTIME})
    if len(others) != 1 or CPU_RUNTIME in there:
        raise ProviderError(
            f"{' and '.join(sorted(there)) or 'no build of ONNX Runtime'} installed; expected one build alone, and not "
            f"{CPU_RUNTIME}: pip uninstall -y {' '.join(sorted(there | {CPU_RUNTIME}))}, then pip install the one that "
            "you need, such as onnxruntime-gpu"
        )
    (build,) = others
    version = runtime_version(build).partition("+")[0]
    summary = f"Stands in for {CPU_RUNTIME}: its modules are those of {build}"
    return write_stand_in(folder, CPU_RUNTIME, f"{version}+{STAND_IN_MARK}", build, summary)


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
