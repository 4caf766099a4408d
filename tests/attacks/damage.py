"""Damage to the files of small models: made by a seed, so that each can be made again by its number.

As a program it is the process that opens damaged models: `python -m tests.attacks.damage ROOT SEED FIRST LAST`. It
prints one line of JSON before and after each, so that its parent knows which one it hangs or dies of.
"""

from __future__ import annotations

import copy
import json
import random
import resource
import shutil
import sys
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

TEXTS = ["hello world", "", "the quick brown fox, and others [SIDE] 東京", "x" * 90]
GARBAGE = (b"", b"<!DOCTYPE html><html>log in</html>", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
_DEEP: list[Any] = []
for _ in range(400):
    _DEEP = [_DEEP]
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 3, 255, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 2**64, 10**400, -(2**63)),
    *(0.5, -1e308, 1e308, float("nan"), float("inf")),
    *("", "a", "a" * 300, "../../etc/passwd", "/", "\0", "\ud800", "[CLS]", "\N{GRINNING FACE}" * 50, "AAAA", "left"),
    *([], {}, [[]], [None], ["a", 1], {"a": 1}, {"type": "Sequence"}, {"": {"": {}}}, _DEEP),
)


def damaged(name: str, content: bytes, chance: random.Random) -> bytes:
    """Damage the content of a file in one of the ways that suit it."""
    if name.endswith((".json", ".metadata")) and chance.random() < 0.8:
        return _damaged_json(content, chance)
    return _damaged_bytes(content, chance)


def _damaged_bytes(content: bytes, chance: random.Random) -> bytes:
    way = chance.randrange(9)
    if way == 0:
        return chance.choice(GARBAGE)
    if way == 1:
        return content[: chance.randrange(len(content) + 1)]
    # Headers and graphs are at the beginning, so damage is more often there.
    reach = len(content) if chance.random() < 0.5 else min(len(content), 600)
    at = chance.randrange(max(1, reach))
    length = chance.choice((1, 2, 8, 64))
    changed = bytearray(content)
    if way in (2, 3, 4):
        for _ in range(chance.choice((1, 1, 3, 20))):
            place = chance.randrange(max(1, reach))
            changed[place : place + 1] = bytes([chance.randrange(256)])
    elif way == 5:
        changed[at : at + length] = bytes(length)
    elif way == 6:
        changed[at : at + length] = b"\xff" * length
    elif way == 7:
        changed[at:at] = chance.randbytes(length)
    else:
        del changed[at : at + length]
    return bytes(changed)


def _damaged_json(content: bytes, chance: random.Random) -> bytes:
    """Change one entry of a JSON file, wherever it lies; the result is JSON, as far as Python writes it."""
    document: list[Any] = [json.loads(content)]
    holder: Any = document
    key: Any = 0
    while isinstance(holder[key], dict | list) and holder[key] and chance.random() < 0.9:
        holder = holder[key]
        keys = list(holder) if isinstance(holder, dict) else range(len(holder))
        # Vocabularies are long, so the entry of any other place would hardly ever be met.
        key = keys[chance.randrange(min(len(keys), 12))] if chance.random() < 0.7 else chance.choice(keys)
    way, value = chance.randrange(5), holder[key]
    if way == 0:
        del holder[key]
    elif way == 1 and isinstance(holder, dict):
        holder[f"{key}x"] = holder.pop(key)
    elif way == 2 and isinstance(value, int) and not isinstance(value, bool):
        holder[key] = value + chance.choice((-1, 1, 100, 2**20))
    else:
        holder[key] = copy.copy(chance.choice(VALUES))
    return json.dumps(document[0] if document else None).encode()


def write_models(root: Path) -> list[str]:
    """Write one small model of each kind and form; gives their folders' names."""
    from tests.fixtures import late_interaction_models, rerank_models, sparse_models
    from tests.fixtures.dense_models import variant, write_variant
    from tests.fixtures.small_models import write_bert_folder

    makers: dict[str, Callable[[Path], object]] = {
        "compiled": write_bert_folder,
        "dense": lambda folder: write_variant(folder, variant("mean_norm")),
        "external": _write_external,
        "static": _write_static,
        "rerank": lambda folder: rerank_models.write_variant(folder, rerank_models.variant("minilm_6")),
        "splade": sparse_models.write_splade,
        "inference_free": sparse_models.write_inference_free,
        "bm42": sparse_models.write_bm42,
        "minicoil": sparse_models.write_minicoil,
        "late_interaction": lambda folder: late_interaction_models.write_form(folder, late_interaction_models.FORMS[0]),
        "pylate": _write_pylate,
    }
    for name, make in makers.items():
        (root / name).mkdir(parents=True)
        make(root / name)
    return list(makers)


def _write_static(folder: Path) -> None:
    """A static model that describes itself."""
    from tests.fixtures.dense_models import write_static
    from tests.fixtures.dense_tokenizers import write_json

    write_static(folder, "pieces")
    write_json(folder / "config.json", {"model_type": "model2vec", "normalize": True, "hidden_dim": 16})


def _write_external(folder: Path) -> None:
    """A graph whose weights lie beside it."""
    import onnx
    from onnx.external_data_helper import convert_model_to_external_data

    from tests.fixtures.dense_models import variant, write_variant

    write_variant(folder, variant("mean_norm"))
    graph = next(folder.rglob("*.onnx"))
    model = onnx.load(graph)
    convert_model_to_external_data(model, location=f"{graph.name}_data", size_threshold=200)
    graph.unlink()
    onnx.save(model, graph)


def _write_pylate(folder: Path) -> None:
    """Weights with a linear layer, as PyLate writes them."""
    import numpy as np

    from tests.fixtures.dense_models import write_safetensors
    from tests.fixtures.dense_tokenizers import write_json
    from tests.fixtures.late_interaction_models import write_modules, write_pylate_config
    from tests.fixtures.small_models import write_bert_folder

    write_bert_folder(folder)
    write_pylate_config(folder, query_prefix="[SIDE]", document_prefix="[MASK]", query_length=8, document_length=40)
    write_modules(folder, ("Transformer", ""), ("Dense", "1_Dense"))
    (folder / "1_Dense").mkdir(exist_ok=True)
    write_json(
        folder / "1_Dense" / "config.json",
        {"in_features": 32, "out_features": 8, "activation_function": "torch.nn.Identity", "bias": False},
    )
    weight = np.random.default_rng(1).standard_normal((8, 32)).astype(np.float32)
    write_safetensors(folder / "1_Dense" / "model.safetensors", {"linear.weight": weight})


def use(kind: str, folder: Path, cache: Path) -> None:
    """Open a model and use it as its kind is used."""
    import onnxembed
    from tests.fixtures.late_interaction_models import FORMS

    options: dict[str, Any] = {"cache_dir": str(cache), "threads": 1, "local_files_only": True}
    if kind == "rerank":
        reranker = onnxembed.TextCrossEncoder(folder, **options)
        list(reranker.rerank(TEXTS[0], TEXTS))
        return
    if kind in ("splade", "inference_free", "bm42", "minicoil"):
        sparse = onnxembed.SparseTextEmbedding(_SPARSE[kind], specific_model_path=folder, **options)
        list(sparse.embed(TEXTS))
        list(sparse.query_embed(TEXTS))
        return
    if kind in ("late_interaction", "pylate"):
        late = (
            onnxembed.LateInteractionTextEmbedding(folder, **options)
            if kind == "pylate"
            else onnxembed.LateInteractionTextEmbedding(FORMS[0].name, specific_model_path=folder, **options)
        )
        list(late.embed(TEXTS))
        late.rank(TEXTS[0], TEXTS)
        return
    dense = onnxembed.TextEmbedding(folder, **options)
    dense.embed_to_array(TEXTS)
    dense.fingerprint  # noqa: B018


_SPARSE = {
    "splade": "prithivida/Splade_PP_en_v1",
    "inference_free": "opensearch-project/opensearch-neural-sparse-encoding-doc-v3-gte",
    "bm42": "Qdrant/bm42-all-minilm-l6-v2-attentions",
    "minicoil": "Qdrant/minicoil-v1",
}


def choose(root: Path, seed: int, number: int) -> tuple[str, str, random.Random]:
    """Choose a model and one of its files, and give the chance that the damage is made with."""
    chance = random.Random(f"{seed} {number}")
    kinds = sorted(folder.name for folder in root.iterdir() if folder.name[0] != ".")
    kind = chance.choice(kinds)
    files = sorted(path.relative_to(root / kind).as_posix() for path in (root / kind).rglob("*") if path.is_file())
    return kind, chance.choice(files), chance


def told(number: int, kind: str, name: str, work: Callable[[], object]) -> None:
    """Do something with what is damaged, and print a line before and after."""
    from onnxembed.errors import OnnxEmbedError

    sys.stdout.write(json.dumps({"number": number, "kind": kind, "file": name}) + "\n")
    sys.stdout.flush()
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    error, refused = "", False
    try:
        work()
    except OnnxEmbedError:
        refused = True
    except BaseException as foreign:  # what this is about
        error = f"{type(foreign).__module__}.{type(foreign).__name__}: {foreign}"[:300]
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    seconds = time.process_time() - started
    outcome = {"error": error, "refused": refused, "seconds": seconds, "grown_mb": grown / 1024}
    sys.stdout.write(json.dumps(outcome) + "\n")
    sys.stdout.flush()


def main(root: Path, seed: int, first: int, last: int) -> None:
    """Damage and open models, number by number."""
    warnings.simplefilter("ignore")
    for number in range(first, last):
        kind, name, chance = choose(root, seed, number)
        folder = root / f".{number}"
        shutil.copytree(root / kind, folder)
        content = damaged(name, (folder / name).read_bytes(), chance)
        (folder / name).write_bytes(content)
        told(number, kind, name, partial(use, kind, folder, root / ".cache"))
        shutil.rmtree(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:5]))
