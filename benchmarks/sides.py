"""The libraries that ``benchmarks.suite`` measures beside each other, and the folder of one model that all can load."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.dense import make_shared_model
from benchmarks.sides_worker import MAX_LENGTH, NAME
from benchmarks.waiting import Worker

WORKER = Path(__file__).with_name("sides_worker.py")
_FILES = ("modules.json", "config_sentence_transformers.json", "model.safetensors")


@dataclass(frozen=True)
class Side:
    """One library in one way of using it.

    Attributes:
        name: What it is called in tables.
        library: A library of ``benchmarks.sides_worker``.
        environment: Folder beside the peers' environment that has it; empty for our own.
        precision: How the model is computed; ``"onnx"`` for sentence-transformers' ONNX backend.
        options: Of the call that embeds.
        scaled: Whether it is measured with one processor, too.
    """

    name: str
    library: str
    environment: str = ""
    precision: str = "fp32"
    options: Mapping[str, Any] = field(default_factory=dict)
    scaled: bool = False

    def python(self) -> Path | None:
        """The interpreter that has the library; ``None`` where its environment is not there."""
        if not self.environment:
            return Path(sys.executable)
        named = os.environ.get("ONNXEMBED_PEERS")
        peers = Path(named) if named else Path(sys.prefix, "peers", "bin", "python")
        found = peers.parents[2] / self.environment / "bin" / "python" if self.environment != "peers" else peers
        return found if found.is_file() else None

    def command(self, do: str, model: Path, threads: int) -> list[str]:
        """The command line of a process."""
        options = ["--library", self.library, "--precision", self.precision, "--model", str(model)]
        return [str(self.python()), "-P", str(WORKER), do, *options, "--threads", str(threads)]

    def once(self, do: str, model: Path, threads: int, limit: float | None = None) -> dict[str, Any]:
        """Run one measurement in a new process, in at most so many seconds."""
        done = subprocess.run(
            self.command(do, model, threads),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=True,
            text=True,
            env=environment(threads),
            timeout=limit,
        )
        answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return answer

    def start(self, model: Path, threads: int, limit: float | None = None) -> Worker:
        """Start a process that waits for commands; it may take so many seconds."""
        return Worker(self.name, self.command("serve", model, threads), self.options, environment(threads), limit)


SIDES = (
    Side("onnxembed", "onnxembed", scaled=True),
    Side("onnxembed, int8", "onnxembed", precision="int8", scaled=True),
    Side("fastembed", "fastembed", "peers"),
    Side("fastembed, batch_size=1", "fastembed", "peers", options={"batch_size": 1}, scaled=True),
    Side("sentence-transformers, PyTorch", "sentence-transformers", "peers", scaled=True),
    Side("sentence-transformers, ONNX", "sentence-transformers", "peers-onnx", precision="onnx"),
    Side("libembedding-ng", "libembedding", "peers-libembedding"),
    Side("infinity", "infinity", "peers-infinity"),
)


def environment(threads: int) -> dict[str, str]:
    """Of a process: the same budget of threads for whatever library counts them, and no network."""
    count = str(threads)
    return {
        **os.environ,
        "OMP_NUM_THREADS": count,
        "MKL_NUM_THREADS": count,
        "RAYON_NUM_THREADS": count,
        "TOKENIZERS_PARALLELISM": "true" if threads > 1 else "false",
        "HF_HUB_OFFLINE": "1",
        "DO_NOT_TRACK": "1",
        "INFINITY_ANONYMOUS_USAGE_STATS": "0",
    }


def make_folder(folder: Path) -> None:
    """Make the folder that all libraries load: the published weights, the same as ONNX, and the tokenizer.

    Args:
        folder: Where to make it.
    """
    from onnxembed.hub.locate import locate
    from onnxembed.hub.settings import StoreSettings
    from onnxembed.text.known import dense_registry

    make_shared_model(folder)
    source = locate(dense_registry.find(NAME), StoreSettings(local_files_only=True)).path
    for name in _FILES:
        shutil.copy(source / name, folder / name)
    limit = {"max_seq_length": MAX_LENGTH, "do_lower_case": False}  # the published one is 256
    (folder / "sentence_bert_config.json").write_text(json.dumps(limit), encoding="utf-8")
    shutil.copytree(source / "1_Pooling", folder / "1_Pooling")
    (folder / "onnx").mkdir()
    os.link(folder / "model.onnx", folder / "onnx" / "model.onnx")
