"""Makes the rows of ``tests/golden/rows`` from folders that a library has just saved; see `tests.fixtures.model_rows`.

A maker, ``make_rows_*.py``, builds each small model with the library, saves it, and calls `make_row` with a function
that computes the values by that library from the folder. Run as ``python -m tests.golden.make_rows_<family>``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tests.fixtures.model_rows import ELEMENT_TYPES, ROWS, weight, write_safetensors

_TEXT_ENDINGS = (".jinja",)
_SHARED = ("tokenizer.json",)


def make_row(
    name: str,
    folder: Path,
    compute: Callable[[Path], Mapping[str, Any]],
    *,
    architecture: str,
    head: str,
    kind: str,
    library: str,
    options: Mapping[str, Any] | None = None,
    scales: Mapping[str, float] | None = None,
) -> None:
    """Give a saved model the weights that follow from their names, compute its values, and write its row.

    Args:
        name: The row's name.
        folder: The saved model; its ``safetensors`` files, and ``.pt`` files beside them, are rewritten in place.
        compute: Gives the library's values for `TEXTS` from the folder, by their name.
        architecture: The family.
        head: What stands on the body.
        kind: What `open_model` calls it.
        library: The library and its version.
        options: Further arguments of our class.
        scales: What weights are multiplied by, by name: large ones would make a score of large numbers, whose float32
            rounding alone exceeds the tolerance.
    """
    weights = {
        path.relative_to(folder).as_posix(): _rewrite(path, scales or {})
        for path in sorted(folder.rglob("*.safetensors"))
    } | {path.name: _rewrite_head(path) for path in sorted(folder.glob("*.pt"))}
    expected = {key: _plain(value) for key, value in compute(folder).items()}
    row = {
        "architecture": architecture,
        "head": head,
        "kind": kind,
        "library": library,
        "options": dict(options or {}),
        "files": _files(folder),
        "weights": weights,
        "expected": expected,
    }
    ROWS.mkdir(exist_ok=True)
    (ROWS / f"{name}.json").write_text(json.dumps(row, separators=(",", ":")) + "\n")


def _rewrite(path: Path, scales: Mapping[str, float]) -> dict[str, list[Any]]:
    from safetensors import safe_open

    described: dict[str, list[Any]] = {}
    with safe_open(path, "np") as stored:
        for name in stored.keys():  # noqa: SIM118  # it is no mapping
            part = stored.get_slice(name)
            dtype = ELEMENT_TYPES[part.get_dtype()]
            described[name] = [dtype, list(part.get_shape())]
            if "float" not in dtype:
                described[name].append(stored.get_tensor(name).ravel().tolist())
            elif name in scales:
                described[name].append(scales[name])
    write_safetensors(path, {name: weight(name, described[name]) for name in described})
    return described


def _rewrite_head(path: Path) -> dict[str, list[Any]]:
    """The same for a file of ``torch.save``, by that library."""
    import torch

    stored = torch.load(path, weights_only=True)
    described = {name: [str(value.dtype).removeprefix("torch."), list(value.shape)] for name, value in stored.items()}
    torch.save({name: torch.from_numpy(weight(name, made)) for name, made in described.items()}, path)
    return described


def _files(folder: Path) -> dict[str, Any]:
    files: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.suffix in _TEXT_ENDINGS:
            files[name] = path.read_text()
        elif path.suffix == ".json":
            content = json.loads(path.read_text())
            files[name] = _shared(content) if path.name in _SHARED else content
    return files


def _shared(content: Any) -> dict[str, str]:
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=False)
    target = ROWS / "shared" / f"{hashlib.sha256(text.encode()).hexdigest()[:12]}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text + "\n")
    return {"$file": target.relative_to(ROWS).as_posix()}


def _plain(value: Any) -> Any:
    """Numbers as JSON has them, to the eight digits that tell any two float32 numbers of one size apart."""
    if isinstance(value, dict):
        return {str(key): float(f"{number:.8g}") for key, number in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return [_plain(item) for item in value] if np.ndim(value) else float(f"{float(value):.8g}")
